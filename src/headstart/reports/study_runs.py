"""The single runs of a study, read back from its directory, and what they say together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from headstart.reports.files import optional
from headstart.results import ClassifyResult, SegmentResult, StudyResult, StudyRow

RunResult = TypeVar("RunResult", ClassifyResult, SegmentResult)


@dataclass(frozen=True)
class Confusion:
    """Counts (truth x prediction) of one setting, summed over its seeds.

    ``ignored`` is the name of the last class where that one is not scored.
    """

    setting: str
    label_fraction: float
    n_seeds: int
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    counted: Literal["images", "pixels"] = "images"
    ignored: str | None = None


@dataclass(frozen=True)
class ClassIous:
    """IoU of each class in one setting: means over the seeds, None where neither truth nor prediction has a pixel.

    ``miou`` is the mean over the seeds of what the study compares.
    """

    start: str
    trained: str
    letter: str | None
    n_seeds: int
    ious: dict[str, float | None]
    miou: float


def rows_with_most_labels(study: StudyResult) -> list[StudyRow]:
    """The settings at the largest share of the labels, in the study's order."""
    largest = max((row.label_fraction for row in study.rows), default=0.0)
    return [row for row in study.rows if row.label_fraction == largest]


def best_row(study: StudyResult) -> StudyRow | None:
    """The setting with the highest mean at the largest share of labels."""
    return max(rows_with_most_labels(study), key=lambda row: row.mean, default=None)


def read_runs(run_dir: Path, record: type[RunResult]) -> list[tuple[Path, RunResult]]:
    """Directory and result of every run of a study whose result can be read, sorted by seed within a setting."""
    paths = sorted((run_dir / "runs").glob("*/*/labels-*/seed-*/result.json"))
    found = [(path.parent, result) for path in paths if (result := optional(record, path)) is not None]
    return sorted(found, key=lambda run: run[1].seed)


def runs_of(row: StudyRow, runs: Sequence[tuple[Path, RunResult]]) -> list[tuple[Path, RunResult]]:
    """Those of ``runs`` that a row sums up. A run of a bare start knows that start by the pre-training it came from."""
    return [
        (path, result)
        for path, result in runs
        if (result.trained, result.label_fraction) == (row.trained, row.label_fraction)
        and (result.start == row.start or result.start.endswith(f"/runs/pretrain/{row.start}"))
        and result.seed in row.seeds
    ]


def images_confused(results: Sequence[ClassifyResult], setting: str) -> Confusion | None:
    """Sum of the confusion matrices; None where there are none or their classes differ."""
    counts = summed([result.confusion for result in results], [result.classes for result in results])
    if counts is None:
        return None
    return Confusion(setting, results[0].label_fraction, len(results), tuple(results[0].classes), counts)


def pixels_confused(results: Sequence[SegmentResult], setting: str) -> Confusion | None:
    """The same of segmentations. A class that is not scored, and that no pixel is of, is left out."""
    scores = [result.scores for result in results]
    counts = summed([each.counts for each in scores], [each.labels for each in scores])
    if counts is None:
        return None
    labels, n_scored = tuple(scores[0].labels), len(scores[0].classes)
    ignored = labels[n_scored] if n_scored < len(labels) else None
    if ignored is not None and not any(counts[n_scored]) and not any(row[n_scored] for row in counts):
        labels, counts, ignored = labels[:n_scored], tuple(row[:n_scored] for row in counts[:n_scored]), None
    return Confusion(setting, results[0].label_fraction, len(results), labels, counts, "pixels", ignored)


def summed(matrices: Sequence[list[list[int]]], names: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], ...] | None:
    """Sum of square matrices over the same classes; None where there are none, or they do not fit each other."""
    if not matrices or any(each != names[0] for each in names):
        return None
    size = len(names[0])
    if any(len(matrix) != size or any(len(row) != size for row in matrix) for matrix in matrices):
        return None
    return tuple(
        tuple(sum(matrix[truth][guess] for matrix in matrices) for guess in range(size)) for truth in range(size)
    )


def class_ious(row: StudyRow, results: Sequence[SegmentResult]) -> ClassIous:
    """The classes' mean IoUs over the ``results`` of a row."""
    gathered: dict[str, list[float]] = {}
    for result in results:
        for score in result.scores.classes:
            gathered.setdefault(score.name, []).extend([] if score.iou is None else [score.iou])
    means = {name: sum(values) / len(values) if values else None for name, values in gathered.items()}
    start = row.setting.rpartition("/")[0] or row.start
    return ClassIous(start, row.trained, row.letter, len(results), means, row.mean)
