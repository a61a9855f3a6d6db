"""The page shows how learning rates were chosen: the table, its cost, the edges, and what could not be chosen."""

from pathlib import Path

from tests.reports import synthetic
from tests.reports.parsed import Page

from headstart.reports.render import write_report
from headstart.reports.study_rates import rates_view
from headstart.results import LearningRate, StudyResult

CHOICES = {
    "ssl/full": ([0.31, 0.42, 0.53], 3.0, None),
    "scratch/full": ([0.5, 0.5, None], 1.0, None),
    "scratch/frozen": ([None, None, None], 1.0, f"no image {synthetic.SCRIPT}"),
}


def rate(setting: str) -> LearningRate:
    scores, chosen, note = CHOICES.get(setting, ([0.2, 0.6, 0.4], 1.0, None))
    n = 0 if note else 9
    return LearningRate(
        grid=[0.3, 1.0, 3.0], scores=scores, chosen=chosen, lr=1e-3 * chosen, folds=n // 3, n_held_out=8 * n,
        trainings=n, seconds=4.0 * n, note=note,
    )  # fmt: skip


def tuned(only: LearningRate | None = None) -> StudyResult:
    study = synthetic.make_study()
    rows = [row.model_copy(update={"lr": only or rate(row.setting)}) for row in study.rows]
    return study.model_copy(update={"rows": rows})


def page(study: StudyResult, folder: Path) -> Page:
    synthetic.write_study(folder)
    synthetic.save(study, folder)
    return Page(write_report(folder))


def test_the_table_has_every_score_the_choice_and_the_cost(tmp_path: Path) -> None:
    words = page(tuned(), tmp_path / "study").words()
    rows = len(synthetic.make_study().rows)
    trained = rows - 2  # scratch/frozen, at two shares, held nothing out
    minutes, seconds = divmod(trained * 36, 60)
    assert (
        f"How the learning rates were chosen ({trained} choices, {trained * 9} trainings, {minutes} min {seconds} s)"
        in words
    )
    assert "ssleverything everything 10 % 31.0 % 42.0 % 53.0 % \u00d7 3 * 72 36 s" in words
    assert "scratcheverything everything 100 % 50.0 % 50.0 % diverged \u00d7 1 72 36 s" in words
    assert "scratchclassifier only classifier only 10 % \u2013 \u2013 \u2013 \u00d7 1 0 0.0 s" in words
    assert f"a better one may lie beyond it: 2 of {trained} choices" in words
    assert f"Not every held-out part could be used: No image {synthetic.SCRIPT}" in words
    assert "No validation image was looked at for this" in words


def test_a_study_without_a_choice_says_whom_that_favours(tmp_path: Path) -> None:
    only = LearningRate(grid=[1.0], scores=[None], chosen=1.0, lr=1e-3)
    words = page(tuned(only), tmp_path / "study").words()
    assert "Every setting was trained at the recipe's learning rate. None was chosen for each of them" in words
    assert "the demo has no time for that" in words
    assert "How the learning rates were chosen" not in words


def test_an_older_study_is_shown_without_a_word_on_rates(tmp_path: Path) -> None:
    assert rates_view(synthetic.make_study()) is None
    assert "earning rate" not in page(synthetic.make_study(), tmp_path / "study").words().split("How to repeat this")[0]
