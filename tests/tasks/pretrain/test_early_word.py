"""The rule of the early word, case by case, and its sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.results import EarlyWord, LookFigures
from headstart.tasks.pretrain.early_rule import NOISE, RANK_SHARE, Ground, verdict_of
from headstart.tasks.pretrain.early_word import compared_with_end, early_word

BEFORE = LookFigures(
    feature_std=0.5,
    projection_std=0.6,
    effective_rank=12.0,
    alignment=0.5,
    uniformity=-1.5,
    retrieval=0.4,
    knn=0.41,
)
LABELLED = Ground(BEFORE, n_knn=300, n_pairs=200, floors={"pixels": 0.33, "untrained": 0.41}, from_scratch=True)
BLIND = Ground(BEFORE, n_knn=0, n_pairs=200, floors={}, from_scratch=True)


def look(**changes: float | None) -> LookFigures:
    """A look like the one before training, with the errors of one afterwards."""
    return BEFORE.model_copy(update={"knn_gain_se": 0.02, "retrieval_gain_se": 0.03, **changes})


@pytest.mark.parametrize(
    ("knn", "verdict"),
    [(0.46, "go on"), (0.449, "no gain so far"), (0.41, "no gain so far"), (0.371, "no gain so far"), (0.36, "stop")],
)
def test_with_labels_two_standard_errors_of_knn_decide(knn: float, verdict: str) -> None:
    now = look(knn=knn, retrieval=0.9 if knn < 0.41 else 0.1)  # which says the opposite
    word = early_word(LABELLED, now, 20, 200)
    assert (word.verdict, word.measure, word.n_images) == (verdict, "knn", 300)
    assert word.verdict_without_labels == ("go on" if knn < 0.41 else "stop")


def test_a_fall_of_knn_is_no_stop_while_the_features_spread_out() -> None:
    """Digits, EfficientNet-Lite0: kNN 83.6 % before, 29.2 % after a tenth, 82.2 % in the end; fine-tuning gained."""
    word = early_word(LABELLED, look(knn=0.2, effective_rank=80.0), 20, 200)
    assert word.verdict == "no gain so far"
    assert "use more dimensions than before, but are worse for these classes so far" in word.sentence
    assert "more minutes" in word.sentence


@pytest.mark.parametrize(
    ("retrieval", "rank", "verdict"),
    [
        (0.5, 12.0, "go on"),
        (0.5, 12 * RANK_SHARE, "go on"),
        (0.5, 12 * RANK_SHARE - 0.1, "no gain so far"),
        (0.45, 40.0, "no gain so far"),
        (0.33, 40.0, "no gain so far"),
        (0.33, 12.0, "stop"),
        (0.33, 3.0, "stop"),
    ],
)
def test_without_labels_retrieval_decides_and_the_rank_must_not_contradict_it(
    retrieval: float, rank: float, verdict: str
) -> None:
    word = early_word(BLIND, look(retrieval=retrieval, effective_rank=rank, knn=None, knn_gain_se=None), 20, 200)
    assert word.verdict == word.verdict_without_labels == verdict
    assert (word.measure, word.n_images) == ("retrieval", 200)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"feature_std": 0.004}, "0.0040"),
        ({"projection_std": 0.009}, "0.0090"),
        ({"feature_std": None, "knn": None, "retrieval": None}, "no longer finite"),
    ],
)
@pytest.mark.parametrize("ground", [LABELLED, BLIND])
def test_collapse_is_a_stop_whatever_knn_says(broken: dict[str, float | None], words: str, ground: Ground) -> None:
    word = early_word(ground, look(**{"knn": 0.9, "retrieval": 0.8, **broken}), 20, 200)
    assert word.verdict == word.verdict_without_labels == "stop"
    assert words in word.sentence
    assert "--optim.lr" in word.sentence


@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(1e-4, 0.2), st.floats(0.02, 1), st.sampled_from(["knn", "retrieval"])
)
def test_the_rule_is_symmetric_and_stricter_with_more_noise(
    first: float, second: float, error: float, spread: float, measure: str
) -> None:
    before = look(**{measure: first})
    now = look(**{measure: second, f"{measure}_gain_se": error, "feature_std": spread})
    back = verdict_of(look(**{measure: second}), look(**{measure: first, f"{measure}_gain_se": error}), measure)
    opposite = {"go on": "stop", "stop": "go on", "no gain so far": "no gain so far"}
    assert verdict_of(before, now, measure) == opposite[back]
    if abs(second - first) <= NOISE * error:
        assert back == "no gain so far"


def test_a_sentence_says_what_was_measured_what_it_means_and_what_to_try() -> None:
    good = early_word(LABELLED, look(knn=0.481), 20, 200).sentence
    assert good.startswith("After 20 of 200 steps, 48.1 % of 300 images")
    assert "+7.1 points against 41.0 % before training (standard error 2.0; raw pixels: 33.0 %" in good
    assert "going on is worth it" in good
    assert "not yet as good" not in good
    bad = early_word(LABELLED, look(knn=0.3), 20, 200).sentence
    assert "-11.0 points" in bad
    assert "--views.crop-scale" in bad
    assert "--start supervised" in bad
    assert good.count(". ") == bad.count(". ") == 0  # one sentence each


def test_a_gain_that_is_below_a_floor_says_so() -> None:
    floors = {"pixels": 0.6, "untrained": 0.41}
    ground = Ground(BEFORE, n_knn=300, n_pairs=200, floors=floors, from_scratch=True)
    assert "not yet as good as raw pixels." in early_word(ground, look(knn=0.5), 1, 10).sentence


def test_what_to_try_fits_what_was_found() -> None:
    easy = look(retrieval=0.995, knn=None)
    already = BEFORE.model_copy(update={"retrieval": 0.994})
    blind = Ground(already, n_knn=0, n_pairs=200, floors={}, from_scratch=True)
    assert "stronger views" in early_word(blind, easy, 20, 200).sentence
    assert "without labels" in early_word(BLIND, look(retrieval=0.7), 20, 200).sentence
    assert (
        "less than 50 % of the dimensions" in early_word(BLIND, look(retrieval=0.7, effective_rank=2), 2, 20).sentence
    )
    spreading = early_word(BLIND, look(retrieval=0.3, effective_rank=40.0), 2, 20).sentence
    assert "use more dimensions than before" in spreading
    assert "noise" not in spreading
    assert "noise" in early_word(BLIND, look(retrieval=0.41), 2, 20).sentence
    supervised = Ground(BEFORE, n_knn=300, n_pairs=200, floors={}, from_scratch=False)
    assert "--start supervised" not in early_word(supervised, look(knn=0.2), 20, 200).sentence


@pytest.mark.parametrize(
    ("early", "end", "held"),
    [
        (0.5, 0.6, True),
        (0.5, 0.42, False),
        (0.42, 0.43, True),
        (0.42, 0.3, True),
        (0.42, 0.5, False),
        (0.3, 0.33, True),
        (0.3, 0.35, True),
        (0.3, 0.41, False),
        (0.3, 0.5, False),
    ],
)
def test_the_end_says_whether_the_word_was_right(early: float, end: float, held: bool) -> None:
    word = compared_with_end(early_word(LABELLED, look(knn=early), 20, 200), look(knn=end), 200)
    assert (word.held, word.end_step) == (held, 200)
    assert word.end_sentence is not None
    assert word.end_sentence.endswith("right." if held else "wrong.")
    assert f"{100 * end:.1f} %" in word.end_sentence
    assert f"{100 * (end - early):+.1f} points since the early word" in word.end_sentence


def test_a_stop_stays_right_where_the_rise_after_it_is_noise_or_the_end_is_a_stop_too() -> None:
    word = early_word(LABELLED, look(knn=0.33, knn_gain_se=0.03), 20, 200)
    assert compared_with_end(word, look(knn=0.40, knn_gain_se=0.02), 200).held  # +7 points, 2 x 3.6
    assert not compared_with_end(word, look(knn=0.41, knn_gain_se=0.02), 200).held
    assert compared_with_end(word, look(knn=0.42, knn_gain_se=0.04), 200).held
    deep = early_word(LABELLED, look(knn=0.1), 20, 200)
    assert compared_with_end(deep, look(knn=0.3), 200).held


@pytest.mark.parametrize(("rank", "verdict"), [(12.0, "stop"), (24.0, "stop"), (24.1, "no gain so far")])
def test_a_little_more_rank_does_not_excuse_a_fall(rank: float, verdict: str) -> None:
    assert early_word(LABELLED, look(knn=0.2, effective_rank=rank), 20, 200).verdict == verdict


def test_a_collapse_at_the_end_proves_going_on_wrong() -> None:
    ruined = look(knn=0.9, feature_std=0.0)
    assert compared_with_end(early_word(LABELLED, look(knn=0.5), 20, 200), ruined, 200).held is False
    assert compared_with_end(early_word(LABELLED, look(knn=0.2), 20, 200), ruined, 200).held is True


def test_a_word_survives_its_file() -> None:
    word = compared_with_end(early_word(LABELLED, look(knn=0.5), 20, 200), look(knn=0.52), 200)
    assert EarlyWord.model_validate_json(word.model_dump_json()) == word
