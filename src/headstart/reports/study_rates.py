"""How the learning rates of a study were chosen: a small table, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headstart.reports.figures import start_of
from headstart.reports.words import DASH, capital, count, duration, percent, plural, share_of_labels, what_is_trained
from headstart.results import LearningRate, StudyResult, StudyRow


@dataclass(frozen=True)
class RateScore:
    """What one multiple scored on the held-out images, and whether it is the one that was chosen."""

    text: str
    chosen: bool


@dataclass(frozen=True)
class RateRow:
    """A line of the table: the choice for one setting at one share of the labels."""

    start: str
    trained: str
    labels: str
    scores: list[RateScore]
    chosen: str
    at_edge: bool
    held_out: str
    seconds: str


def rates_view(study: StudyResult) -> dict[str, Any] | None:
    """The choice of the learning rates; ``rows`` is empty where none was chosen. None for studies from before."""
    tuned = [(row, row.lr) for row in study.rows if row.lr is not None]
    if not tuned:
        return None
    rates = [rate for _, rate in tuned]
    rows = [_row(row, rate, study.task) for row, rate in tuned if len(rate.grid) > 1]
    trainings, seconds = sum(rate.trainings for rate in rates), sum(rate.seconds for rate in rates)
    return {
        "grid": [times(multiple) for multiple in rates[0].grid],
        "only": "the recipe's" if rates[0].grid == [1.0] else f"{rates[0].grid[0]:g} times the recipe's",
        "rows": rows,
        "choices": plural(sum(rate.was_chosen for rate in rates), "choice"),
        "cost": f"{plural(trainings, 'training')}, {duration(seconds)}",
        "edges": sum(row.at_edge for row in rows),
        "notes": list(dict.fromkeys(_notes(rates))),
    }


def times(multiple: float) -> str:
    """A multiple of the recipe's learning rate: x 0.3."""
    return f"\u00d7\u202f{multiple:g}"


def _row(row: StudyRow, rate: LearningRate, task: str) -> RateRow:
    return RateRow(
        start=start_of(row),
        trained=what_is_trained(row.trained, task),
        labels=share_of_labels(row.label_fraction),
        scores=[
            RateScore(_score(rate, score), rate.was_chosen and multiple == rate.chosen)
            for multiple, score in zip(rate.grid, rate.scores, strict=True)
        ],
        chosen=times(rate.chosen),
        at_edge=rate.at_edge,
        held_out=count(rate.n_held_out),
        seconds=duration(rate.seconds),
    )


def _score(rate: LearningRate, score: float | None) -> str:
    """A held-out score; a multiple without one diverged, where it was tried."""
    if score is None:
        return "diverged" if rate.trainings else DASH
    return percent(score)


def _notes(rates: Sequence[LearningRate]) -> list[str]:
    """Why no rate could be chosen, or on fewer images."""
    return [capital(rate.note) for rate in rates if rate.note]
