"""What the verdict says of the learning rates: how they were chosen, and where the choice says little."""

import pytest

from headstart.results import LearningRate, StudyRow
from headstart.studies.rate_words import rate_notes
from headstart.studies.verdict import make_verdict


def row(setting: str, rate: LearningRate | None, fraction: float = 0.1) -> StudyRow:
    start, _, trained = setting.rpartition("/")
    return StudyRow(
        setting=setting,
        start=start,
        trained=trained,
        letter=None,
        label_fraction=fraction,
        n_labels=116,
        metric="accuracy",
        seeds=[0, 1],
        values=[0.5, 0.6],
        mean=0.55,
        sd=0.07,
        ci95=(0.0, 1.0),
        seconds=1.0,
        lr=rate,
    )


def rate(chosen: float, n_held_out: int = 70, scores: tuple[float | None, ...] = (0.4, 0.5, 0.6), **fields):
    facts = {"grid": [0.3, 1.0, 3.0], "scores": list(scores), "folds": 3, "trainings": 9, "seconds": 5.0} | fields
    return LearningRate(chosen=chosen, lr=1e-3 * chosen, n_held_out=n_held_out, **facts)


def test_the_grid_the_images_and_the_edges_are_named():
    notes = rate_notes([row("scratch/full", rate(1.0)), row("ssl/full", rate(3.0, 232), 1.0)])
    assert notes == [
        "The learning rate of each setting and share of the labels was chosen from 0.3, 1 and 3 times the recipe's, by "
        "the accuracy on 70 to 232 labelled training images held out of the training; no validation image was looked "
        "at for it. All seeds of a setting share one choice, so the intervals do not say how much another choice would "
        "change the numbers.",
        "The learning rate chosen is the lowest or the highest on offer for ssl/full with all labels (x 3): a better "
        "one may lie beyond it (--lr-grid).",
    ]
    assert len(rate_notes([row("scratch/full", rate(1.0))])) == 1


def test_without_a_choice_the_disadvantage_is_named():
    (note,) = rate_notes([row("scratch/full", LearningRate(grid=[1.0], scores=[None], chosen=1.0, lr=1e-3))])
    assert note.startswith("Every setting was trained at the recipe's learning rate: none was chosen")
    (other,) = rate_notes([row("scratch/full", LearningRate(grid=[0.3], scores=[None], chosen=0.3, lr=3e-4))])
    assert "at 0.3 times the recipe's learning rate" in other


@pytest.mark.parametrize(("note", "why"), [("no image", "no image"), (None, "every training for it diverged")])
def test_where_nothing_could_be_chosen_it_says_why(note, why):
    none = rate(1.0, 0, (None, None, None), note=note)
    assert rate_notes([row("scratch/full", none)]) == [
        f"For scratch/full with 10 % of the labels no learning rate could be chosen, and x 1 was taken: {why}."
    ]
    assert not none.at_edge


def test_the_verdict_ends_with_them_and_says_nothing_of_older_results():
    rows = [row("scratch/full", rate(1.0)), row("ssl/full", rate(3.0))]
    assert make_verdict(rows, [], []).details[-2:] == rate_notes(rows)
    before = [each.model_copy(update={"lr": None}) for each in rows]
    assert rate_notes(before) == []
    assert not any("learning rate" in detail for detail in make_verdict(before, [], []).details)
