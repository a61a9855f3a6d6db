"""Segmentations as rows of text: the classes of one run, and those of several models or settings side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headstart.reports.segment_facts import SegmentFacts
from headstart.reports.study_runs import ClassIous
from headstart.reports.words import DASH, capital, count, duration, percent, plural, short_count, what_is_trained
from headstart.results import Protocol, SegmentResult, SegmentScores, metric_words

PROTOCOLS: dict[Protocol, str] = {
    "ignore": "leaves out the pixels whose true class is unknown",
    "deepglobe6": "counts such a pixel against the class that was predicted there",
    "per-image": "takes the mean over the classes within each image and then over the images, so that every image "
    "counts alike, whatever its size and however rare its classes",
}
ABSENT = "absent"


@dataclass(frozen=True)
class IouRow:
    """A class of one run; ``bar`` is its IoU in per cent. An absent class has no numbers but its pixels."""

    name: str
    colour: str
    is_absent: bool
    iou: str
    bar: float
    dice: str
    boundary: str
    truth: str
    truth_share: str
    predicted: str


@dataclass(frozen=True)
class Column:
    """A model or a setting: its name, and what stands small beneath it."""

    name: str
    beneath: str = ""


@dataclass(frozen=True)
class Cell:
    """An IoU: as text, as the length of a bar in per cent where it is one, and whether it is the highest of its row."""

    text: str
    bar: float | None = None
    is_best: bool = False


@dataclass(frozen=True)
class CompareRow:
    """A class with a cell for each column."""

    name: str
    colour: str
    cells: list[Cell]


@dataclass(frozen=True)
class Comparison:
    """IoUs side by side; ``foot`` are rows of what else tells the columns apart."""

    caption: str
    columns: list[Column]
    rows: list[CompareRow]
    foot: list[CompareRow] = field(default_factory=list)


def css_colours(result: SegmentResult) -> dict[str, str]:
    """The palette's colour of each class, as CSS."""
    return {
        name: f"rgb({red} {green} {blue})"
        for name, (red, green, blue) in zip(result.classes, result.colours, strict=False)
    }


def iou_rows(result: SegmentResult) -> list[IouRow]:
    """The scored classes of a run."""
    colours, total = css_colours(result), sum(score.truth_pixels for score in result.scores.classes) or 1
    return [
        IouRow(
            name=score.name,
            colour=colours.get(score.name, ""),
            is_absent=score.iou is None,
            iou=percent(score.iou) if score.iou is not None else ABSENT,
            bar=100 * (score.iou or 0.0),
            dice=percent(score.dice),
            boundary=percent(score.boundary_f1),
            truth=short_count(score.truth_pixels),
            truth_share=percent(score.truth_pixels / total),
            predicted=short_count(score.predicted_pixels),
        )
        for score in result.scores.classes
    ]


def protocol_sentence(protocols: Sequence[str], unknown: bool) -> str:
    """Why the numbers under ``protocols`` differ, in one sentence; and where two of them cannot."""
    said = "; ".join(f"{name} {PROTOCOLS[name]}" for name in PROTOCOLS if name in protocols)
    same = {"ignore", "deepglobe6"} <= set(protocols) and not unknown
    agree = " No pixel of this palette is unknown, so ignore and deepglobe6 are the same here." if same else ""
    return f"Why the protocols differ: {said}.{agree}"


def has_unknown(scores: SegmentScores) -> bool:
    """Whether there are pixels whose true class is unknown."""
    n_scored = len(scores.classes)
    return any(any(row) for row in scores.counts[n_scored:])


def model_columns(models: Sequence[SegmentFacts]) -> list[Column]:
    """A heading for each model: what it is, or, where several are the same, the name of its run."""
    names = [model.result.model for model in models]
    return [
        Column(model.result.model if names.count(model.result.model) == 1 else model.name, model.result.encoder)
        for model in models
    ]


def compare_models(models: Sequence[SegmentFacts]) -> Comparison:
    """The models' IoU of each class, and beneath it what they are."""
    results = [model.result for model in models]
    chosen = {result.protocol for result in results}
    ious = [{score.name: score.iou for score in result.scores.classes} for result in results]
    colours: dict[str, str] = {}
    for result in results:
        colours = css_colours(result) | colours
    facts = {
        "Pixel accuracy": [percent(result.scores.pixel_accuracy) for result in results],
        "Parameters": [short_count(result.n_parameters) for result in results],
        "Start of the encoder": [result.start for result in results],
        "What is trained": [what_is_trained(result.trained, "segment") for result in results],
        "Length": [f"{plural(result.epochs, 'epoch')}, {plural(result.steps, 'step')}" for result in results],
        "Training time": [duration(result.seconds) for result in results],
        "Run": [model.name for model in models],
    }
    if len(chosen) > 1:
        facts = {"Protocol of the classes": [result.protocol for result in results], **facts}
    foot = [
        _score_row(metric_words("miou", protocol), [result.miou_by_protocol.get(protocol) for result in results])
        for protocol in sorted(PROTOCOLS, key=lambda protocol: protocol not in chosen)
    ]
    foot += [CompareRow(name, "", [Cell(value) for value in values]) for name, values in facts.items()]
    n_val = sorted({result.n_val for result in results})
    of = f"{' or '.join(count(n) for n in n_val)} validation images"
    by = f"protocol {' or '.join(sorted(chosen))}"
    return Comparison(f"IoU of each class on {of}, {by}.", model_columns(models), _class_rows(ious, colours), foot)


def compare_settings(settings: Sequence[ClassIous], colours: Mapping[str, str], metric: str) -> Comparison:
    """The settings' IoU of each class, means over the seeds."""
    columns = [
        Column(f"{each.letter or ''} {each.start}".strip(), what_is_trained(each.trained, "segment"))
        for each in settings
    ]
    seeds = sorted({each.n_seeds for each in settings})
    over = "of one seed" if seeds == [1] else f"means over {' or '.join(map(str, seeds))} seeds"
    return Comparison(
        f"IoU of each class, {over}.",
        columns,
        _class_rows([each.ious for each in settings], colours),
        [_score_row(metric, [each.miou for each in settings])],
    )


def _class_rows(ious: Sequence[Mapping[str, float | None]], colours: Mapping[str, str]) -> list[CompareRow]:
    """A row for each class that any column knows; the others have a dash in it."""
    rows = []
    for name in dict.fromkeys(name for column in ious for name in column):
        cells = _cells([column.get(name) for column in ious], ABSENT)
        known = [cell if name in column else Cell(DASH) for cell, column in zip(cells, ious, strict=True)]
        rows.append(CompareRow(name, colours.get(name, ""), known))
    return rows


def _score_row(name: str, values: Sequence[float | None]) -> CompareRow:
    return CompareRow(capital(name), "", _cells(values, DASH))


def _cells(values: Sequence[float | None], nothing: str) -> list[Cell]:
    """Shares as cells; None is ``nothing``, and the highest of several is marked."""
    known = [value for value in values if value is not None]
    best = max(known) if len(known) > 1 else None
    return [Cell(nothing) if value is None else Cell(percent(value), 100 * value, value == best) for value in values]
