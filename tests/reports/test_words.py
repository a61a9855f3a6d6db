import math

import pytest

from headstart.reports import words


@pytest.mark.parametrize(
    ("share", "text"), [(0.5222, "52.2 %"), (1.0, "100.0 %"), (0.0, "0.0 %"), (None, "\u2013"), (math.nan, "\u2013")]
)
def test_percent(share, text):
    assert words.percent(share).replace(words.NARROW, " ") == text


@pytest.mark.parametrize(("fraction", "text"), [(0.1, "10 %"), (1.0, "100 %"), (0.005, "0.5 %"), (1 / 3, "33.3 %")])
def test_share_of_labels(fraction, text):
    assert words.share_of_labels(fraction).replace(words.NARROW, " ") == text


def test_differences_carry_their_sign_and_intervals_their_ends():
    assert words.signed(0.0421) == "+4.2"
    assert words.signed(-0.0421) == "\u22124.2"
    assert words.ends((-0.01, 0.025)) == "[\u22121.0, +2.5]"
    assert words.half_width((0.50, 0.53)).replace(words.NARROW, " ") == "± 1.5"
    assert words.half_width(None) == words.ends(None) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.91234, "3.91"),
        (83.34, "83.3"),
        (512.4, "512"),
        (0.0000123, "1.2e\u221205"),
        (0.0, "0"),
        (-2.5, "\u22122.5"),
        (None, "\u2013"),
    ],
)
def test_numbers_have_three_figures(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.26, "4.3 s"), (59.4, "59 s"), (75.2, "1 min 15 s"), (3599.7, "1 h 0 min"), (7265, "2 h 1 min")],
)
def test_duration(seconds, text):
    assert words.duration(seconds) == text


def test_plural_and_thousands():
    assert words.plural(1, "image") == "1 image"
    assert words.plural(38_400, "image").replace(words.NARROW, " ") == "38 400 images"


def test_a_long_start_is_cut_in_the_middle_and_keeps_its_kind():
    short = words.short_start("supervised=/data/weights/resnet50_a1_in1k_downloaded_in_2021.safetensors")
    assert short.startswith("supervised=")
    assert len(short) <= 22
    assert words.short_start("ssl=runs/a/b/") == "ssl=b"
    assert words.short_start("scratch") == "scratch"


def test_a_text_becomes_a_sentence():
    assert words.sentence("by spatial blocks") == "By spatial blocks."
    assert words.sentence("SSL is kept. ") == "SSL is kept."


def test_running_text_gets_its_signs():
    text = words.typeset("points -4.7 to 8.7, -0.9 with 10 % of ssl-2 and runs/a-1")
    assert text == "points \u22124.7 to 8.7, \u22120.9 with 10\u202f% of ssl-2 and runs/a-1"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9999, "9999"), (12_345, "12.3 k"), (999_499, "999 k"), (999_500, "1.0 M"), (1_234_567, "1.2 M"),
     (99_960_000, "100 M"), (301_000_000, "301 M"), (2_000_000_000, "2.0 G")],
)  # fmt: skip
def test_counts_of_pixels_are_short(number, text):
    assert words.short_count(number).replace(words.NARROW, " ") == text


def test_what_a_frozen_setting_trains_depends_on_the_task():
    assert words.what_is_trained("full", "segment") == "everything"
    assert words.what_is_trained("frozen", "classify") == "classifier only"
    assert words.what_is_trained("frozen", "segment") == "decoder only"


def test_names_are_listed():
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
