"""Curves over the training: losses, probes, scores and schedules."""

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.reports.facts import PretrainFacts
from headstart.reports.figures import COLOURS, Figure, Spec, axis, clipped, dotted_line, layout
from headstart.reports.files import Curve, Curves
from headstart.reports.words import number, short_start
from headstart.results import SegmentResult, metric_words
from headstart.training.health import COLLAPSED_STD

LONGEST_CURVE = 300


def thinned(curve: Curve, mean: bool) -> tuple[list[int], list[float | None]]:
    """At most LONGEST_CURVE points: the mean of each stretch of steps, or the stretch's last value."""
    size = -(-len(curve.steps) // LONGEST_CURVE)
    steps, values = [], []
    for begin in range(0, len(curve.steps), max(size, 1)):
        stretch = curve.values[begin : begin + size]
        known = [value for value in stretch if value is not None]
        steps.append(curve.steps[min(begin + size, len(curve.steps)) - 1])
        averaged = sum(known) / len(known) if mean and len(known) == len(stretch) else stretch[-1]
        values.append(None if averaged is None else float(f"{averaged:.5g}"))
    return steps, values


def is_thinned(curve: Curve | None) -> bool:
    """Whether the curve has more points than are drawn."""
    return curve is not None and len(curve.steps) > LONGEST_CURVE


def curve_figure(
    key: str,
    title: str,
    lines: Sequence[tuple[str, str, str, Curve]],
    scale: float = 1.0,
    measured: bool = False,
    epoch_steps: float | None = None,
    **y: Any,
) -> Figure | None:
    """Curves over the optimiser steps, or over epochs of ``epoch_steps`` steps. ``lines``: label, colour, dash, curve;
    values are multiplied by ``scale``. ``measured``: single measurements, marked by points where there are few.
    """
    unit = "epoch" if epoch_steps else "step"
    data: list[Spec] = []
    for label, colour, dash, curve in lines:
        steps, values = thinned(curve, mean=key.endswith("loss"))
        places = [round(step / epoch_steps, 3) for step in steps] if epoch_steps else steps
        scaled = [None if value is None else value * scale for value in values]
        hover = [f"{clipped(label, 40)}<br>{unit} {x:g}: {number(v)}" for x, v in zip(places, scaled, strict=True)]
        few = "lines+markers" if len(steps) == 1 or (measured and len(steps) <= 60) else "lines"
        style = {"line": {"color": colour, "width": 1.8, "dash": dash}, "marker": {"size": 4 if len(steps) > 1 else 7}}
        data.append({"type": "scatter", "mode": few, "x": places, "y": scaled, "hovertext": hover, "hoverinfo": "text"})
        data[-1] |= style
    if not data:
        return None
    drawn = layout(220, axis(unit, nticks=5), axis(nticks=5, **y))
    ends = [f"{label} from {number(c.values[0])} to {number(c.values[-1])}" for label, _, _, c in lines if c.values]
    return Figure(key, title, f"{title}: {'; '.join(ends)}", data, drawn)


def pretrain_curves(pretrains: Sequence[PretrainFacts], colours: Mapping[str, str]) -> list[Figure]:
    """Loss, probes and schedules of all pre-training runs; ``colours`` by start."""

    def gather(*keys: tuple[str, str]) -> list[tuple[str, str, str, Curve]]:
        dashes = ("solid", "dot")
        return [
            (short_start(facts.start), colours[facts.start], dash, facts.curves[key])
            for facts in pretrains
            for key, dash in zip(keys, dashes, strict=False)
            if key in facts.curves
        ]

    spreads = gather(("watch", "feature_std"), ("watch", "projection_std"))
    spheres = gather(("watch", "alignment"), ("watch", "uniformity"))
    figures = [
        curve_figure("pretrain-loss", "BYOL loss", gather(("train", "loss"))),
        curve_figure("pretrain-knn", "kNN accuracy, %", gather(("watch", "knn")), scale=100, measured=True),
        curve_figure("pretrain-retrieval", "Retrieval, %", gather(("watch", "retrieval")), scale=100, measured=True),
        curve_figure("pretrain-spheres", "Alignment and uniformity", spheres, measured=True),
        curve_figure("pretrain-std", "Spread", spreads, rangemode="tozero", measured=True),
        curve_figure(
            "pretrain-rank", "Effective rank", gather(("watch", "effective_rank")), rangemode="tozero", measured=True
        ),
        curve_figure("pretrain-lr", "Learning rate", gather(("train", "lr")), rangemode="tozero"),
        curve_figure("pretrain-tau", "Momentum \u03c4 of the target", gather(("train", "tau"))),
    ]
    for figure in figures:
        if figure is not None and figure.key == "pretrain-std":
            figure.layout["shapes"] = [dotted_line("y", COLLAPSED_STD)]
    return [figure for figure in figures if figure is not None]


def classify_curves(curves: Curves) -> list[Figure]:
    """Whatever a classification run has measured more than once; shares in per cent."""
    splits, names = {"train": "Training", "val": "Validation"}, {"lr": "learning rate"}
    figures = []
    for i, ((split, name), curve) in enumerate(sorted(curves.items())):
        if len(curve.steps) < 2:
            continue
        scale, unit = (100, ", %") if "accuracy" in name else (1, "")
        title = f"{splits.get(split, split)}: {names.get(name, name.replace('_', ' '))}{unit}"
        line = (names.get(name, name), COLOURS[0], "solid", curve)
        figures.append(curve_figure(f"classify-{i}-{name}", title, [line], scale=scale, measured=split != "train"))
    return [figure for figure in figures if figure is not None]


SEGMENT_CURVES = (
    ("train", "loss", "Training: loss"),
    ("val", "miou", "Validation: {miou}, %"),
    ("val", "pixel_accuracy", "Validation: pixel accuracy, %"),
    ("val", "dice", "Validation: mean Dice, %"),
    ("train", "lr", "Learning rate"),
)


def segment_curves(curves: Curves, result: SegmentResult) -> list[Figure]:
    """Loss, scores and schedule of a segmentation run over its epochs; the scores, which are shares, in per cent."""
    epoch_steps = result.steps / result.epochs if result.steps and result.epochs else None
    figures = []
    for split, name, words in SEGMENT_CURVES:
        if (split, name) not in curves:
            continue
        title = words.format(miou=metric_words("miou", result.protocol))
        line = (title.rpartition(": ")[2], COLOURS[0], "solid", curves[split, name])
        is_score = split == "val"
        zero: dict[str, Any] = {} if is_score else {"rangemode": "tozero"}
        scale = 100 if is_score else 1
        figures.append(curve_figure(f"segment-{name}", title, [line], scale, is_score, epoch_steps, **zero))
    return [figure for figure in figures if figure is not None]
