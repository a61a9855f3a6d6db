import itertools
import json
import math
import re

import pytest
from tests.reports import synthetic

from headstart.reports import class_figures, curve_figures, figures
from headstart.reports.files import Curve
from headstart.reports.render import TEMPLATES, script_json
from headstart.reports.study_runs import Confusion

STYLE = (TEMPLATES / "page.css").read_text()
LIGHT, DARK = STYLE.split("@media screen and (prefers-color-scheme: dark)")[:2]


def colours(style: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", style.split("\n* {")[0]))


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("style", [LIGHT, DARK])
def test_colours_can_be_read(style):
    """WCAG 2.2: 4.5 for text, 3 for what a figure is made of."""
    named = colours(style)
    assert {f"--c{i}" for i in range(1, 9)} <= named.keys()
    text = ("--ink", "--soft", "--accent", "--good", "--bad")
    grounds = ("--paper", "--card")
    assert min(contrast(named[name], named[ground]) for name in text for ground in grounds) >= 4.5
    assert contrast(named["--warn-ink"], named["--warn-paper"]) >= 4.5
    assert contrast(named["--ink"], named["--heat"]) >= 4.5
    assert min(contrast(named[f"--c{i}"], named["--card"]) for i in range(1, 9)) >= 3


def test_every_colour_a_figure_names_is_defined():
    rows = synthetic.make_study()
    marks = class_figures.class_marks(synthetic.make_tsne(synthetic.CLASSES), list(range(400)))
    drawn = [figures.study_dots(rows, 0.1), figures.efficiency(rows, "full")]
    used = set(re.findall(r"var\((--[\w-]+)\)", json.dumps([[f.data, f.layout] for f in drawn])))
    used |= {mark.colour[4:-1] for mark in marks.values()}
    assert used <= colours(LIGHT).keys()
    assert used <= colours(DARK).keys()


def test_sixty_five_classes_are_told_apart():
    marks = class_figures.class_marks(synthetic.make_tsne([f"class {i}" for i in range(64)], 640), list(range(640)))
    looks = [(mark.colour, mark.symbol) for mark in marks.values()]
    assert len(set(looks)) == 64
    neighbours = [(a, b) for a, b in itertools.combinations(looks[:8], 2) if a[0] == b[0] or a[1] == b[1]]
    assert neighbours == []
    assert set(class_figures.SYMBOL_PATHS) == set(figures.SYMBOLS)


@pytest.mark.parametrize("text", synthetic.HOSTILE)
def test_plain_leaves_no_markup(text):
    shown = figures.plain(text + "\n\x00&amp;")
    assert not set("<>\n\x00") & set(shown)
    assert "&amp;amp;" in shown


def test_the_plot_shows_the_numbers_of_the_rows():
    study = synthetic.make_study()
    figure = figures.study_dots(study, 0.1)
    rows = [row for row in study.rows if row.label_fraction == 0.1]
    means = figure.data[1:]
    assert [trace["x"][0] for trace in means] == pytest.approx([row.mean * 100 for row in rows])
    half = [(row.ci95[1] - row.ci95[0]) * 50 for row in rows]
    assert [trace["error_x"]["array"][0] for trace in means] == pytest.approx(half)
    assert figure.data[0]["x"] == pytest.approx([value * 100 for row in rows for value in row.values])
    assert figure.layout["shapes"][0]["x0"] == pytest.approx(rows[0].mean * 100)
    low, high = figure.layout["xaxis"]["range"]
    assert all(low < (row.mean * 100 - h) and (row.mean * 100 + h) < high for row, h in zip(rows, half, strict=True))


def test_one_seed_has_no_bar_to_show():
    figure = figures.study_dots(synthetic.make_study(seeds=1), 1.0)
    assert all(trace["error_x"]["array"] == [0.0] for trace in figure.data[1:])
    assert "no interval" in figure.data[1]["hovertext"][0]


def test_a_curve_against_labels_needs_two_shares():
    assert figures.efficiency(synthetic.make_study(fractions=(1.0,)), "full") is None


def test_points_of_the_label_curve_are_moved_by_little():
    figure = figures.efficiency(synthetic.make_study(fractions=(0.01, 0.1, 1.0)), "full")
    lines = [trace for trace in figure.data if trace["mode"] == "lines"]
    dots = [trace for trace in figure.data if trace["mode"] == "markers"]
    moved = [[math.log10(x / true) for x, true in zip(line["x"], (1, 10, 100), strict=True)] for line in lines]
    assert len({round(shifts[0], 6) for shifts in moved}) == len(lines) == 4
    assert all(abs(shift) < 0.03 * 2 for shifts in moved for shift in shifts)
    assert [x for line in lines for x in line["x"]] == [dot["x"][0] for dot in dots]


def test_thinning_averages_and_keeps_gaps():
    curve = Curve(tuple(range(1, 901)), (None, *[float(step) for step in range(2, 901)]))
    steps, values = curve_figures.thinned(curve, mean=True)
    assert len(steps) == 300
    assert steps[:2] == [3, 6]
    assert values[1] == 5.0
    assert curve_figures.thinned(curve, mean=False)[1][1] == 6.0
    gap = Curve((1, 2), (None, None))
    assert curve_figures.thinned(gap, mean=True) == ([1, 2], [None, None])


def test_a_figure_cannot_end_its_script():
    result = synthetic.make_tsne(synthetic.CLASSES)
    shown = class_figures.shown_points(result)
    figure = class_figures.tsne_figure("g", result, result.layouts[0], class_figures.class_marks(result, shown), shown)
    text = str(script_json(figure))
    assert not set("<>&") & set(text)
    assert json.loads(text)["data"] == figure.data


def test_tsne_draws_every_point_once_and_says_when_it_draws_fewer():
    result = synthetic.make_tsne(synthetic.CLASSES, 3400)
    shown = class_figures.shown_points(result)
    assert len(shown) == len(set(shown)) == class_figures.MOST_POINTS
    assert shown[-1] < 3400
    marks = class_figures.class_marks(result, shown)
    figure = class_figures.tsne_figure("g", result, result.layouts[0], marks, shown)
    assert sum(len(trace["x"]) for trace in figure.data) == len(shown) == sum(mark.n for mark in marks.values())


def test_confusion_is_by_row_and_lists_the_worst():
    confusion = Confusion("ssl/full", 1.0, 1, ("a", "b", "c"), ((6, 2, 0), (0, 3, 1), (0, 0, 0)))
    figure = class_figures.confusion_figure(confusion)
    assert figure.data[0]["z"] == [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25], [None, None, None]]
    assert class_figures.worst_confusions(confusion) == [("a", "b", 2, 8), ("b", "c", 1, 4)]
    assert class_figures.largest_share(confusion) == 0.75
