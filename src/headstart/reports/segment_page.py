"""What the page says of segmentations: a run's outcome and classes, and its masks over the epochs."""

from typing import Any

from headstart.reports import segment_tables
from headstart.reports.curve_figures import segment_curves
from headstart.reports.pictures import Picture
from headstart.reports.segment_facts import SampleFacts, SegmentFacts
from headstart.reports.study_page import split_verdict
from headstart.reports.tables import Pair
from headstart.reports.words import (
    count,
    duration,
    percent,
    plural,
    share_of_labels,
    short_count,
    what_is_trained,
)
from headstart.results import SegmentResult, metric_words

ERROR_COLOURS = {"right": (235, 235, 235), "wrong": (200, 30, 30), "unknown": (140, 140, 160)}
"""What the colours of an error map mean."""
CHOSEN = {
    "best": "the best at the end",
    "median": "the median at the end",
    "worst": "the worst at the end",
    "asked": "asked for",
}


def segment_head(result: SegmentResult) -> dict[str, Any]:
    """Title and outcome of a run."""
    letter = f" ({result.letter})" if result.letter else ""
    metric, images = metric_words("miou", result.protocol), f"{count(result.n_val)} {result.judged_images}"
    labels = share_of_labels(result.label_fraction)
    nothing = f"No pixel of the {images} could be scored, so there is no {metric}."
    scored = f"The {metric} on {images} is {percent(result.miou)}."
    return {
        "title": f"Segmentation with {result.model} on {result.encoder}",
        "eyebrow": f"headstart segment, setting {result.setting}{letter}, recipe {result.recipe}",
        **split_verdict(nothing if result.miou is None else scored),
        "alerts": result.warnings,
        "details": [f"Trained: {what_is_trained(result.trained, 'segment')}, with {labels} of the labels, in one run."],
    }


def segment_view(run: SegmentFacts) -> dict[str, Any]:
    """Outcome, curves and classes of a run."""
    result, scores = run.result, run.result.scores
    unknown = segment_tables.has_unknown(scores)
    return {
        "outcome": outcome(result),
        "protocol_note": segment_tables.protocol_sentence(list(result.miou_by_protocol), unknown),
        "curves": segment_curves(run.curves, result),
        "classes": segment_tables.iou_rows(result),
        "absent": scores.absent,
        "protocol": result.protocol,
        "boundary_px": scores.boundary_px,
        "images": f"{count(result.n_val)} {result.judged_images}",
        "mean": [percent(share) for share in (result.miou, scores.mean_dice, scores.boundary_f1)],
    }


def outcome(result: SegmentResult) -> list[Pair]:
    """The run's numbers, the mean IoU under every protocol first."""
    scores = result.scores
    reach = "boundaries met within each image's own tolerance"
    if scores.boundary_px is not None:
        reach = f"boundaries met within {scores.boundary_px} px"
    others = {name: share for name, share in result.miou_by_protocol.items() if name != result.protocol}
    pairs = [Pair(f"Mean IoU, protocol {result.protocol}", percent(result.miou))]
    pairs += [Pair(f"Mean IoU, protocol {name}", percent(share)) for name, share in others.items()]
    pairs += [
        Pair("Pixel accuracy", percent(scores.pixel_accuracy)),
        Pair("Mean Dice", percent(scores.mean_dice)),
        Pair(f"Boundary F1 ({reach})", percent(scores.boundary_f1)),
        Pair("Model and encoder", f"{result.model}, {result.encoder}"),
        Pair("Start of the encoder", result.start),
        Pair("Parameters", short_count(result.n_parameters)),
        Pair("Labels used", f"{plural(result.n_train, 'training pair')}, seed {result.seed}"),
        Pair("Length", f"{plural(result.epochs, 'epoch')}, {plural(result.steps, 'step')}"),
        Pair("Time", duration(result.seconds)),
    ]
    return pairs + ([Pair("Weights it began from", str(result.weights))] if result.weights is not None else [])


def masks_view(run: SegmentFacts) -> dict[str, Any]:
    """The kept images with truth, predictions and errors, and the key to their colours."""
    result = run.result
    unknown = segment_tables.has_unknown(result.scores)
    return {
        "samples": [_sample(sample) for sample in run.samples],
        "unseen": run.unseen,
        "legend": [Pair(name, colour) for name, colour in segment_tables.css_colours(result).items()],
        "errors": [
            Pair(name, f"rgb({red} {green} {blue})")
            for name, (red, green, blue) in ERROR_COLOURS.items()
            if unknown or name != "unknown"
        ],
        "is_ranked": any(sample.chosen != "asked" for sample in run.samples),
    }


def _sample(sample: SampleFacts) -> dict[str, Any]:
    last = max((mask.epoch for mask in sample.masks), default=0)
    tiles = [
        _tile("Image", "", sample.image, f"Image {sample.name}"),
        _tile("Truth", "", sample.truth, f"True classes of {sample.name}"),
    ]
    for mask in sample.masks:
        iou = "no class to score" if mask.iou is None else f"IoU {percent(mask.iou)}"
        alt = f"Classes predicted for {sample.name} after epoch {mask.epoch}, {iou}"
        tiles.append(_tile(f"Epoch {mask.epoch}", iou, mask.picture, alt))
    tiles.append(
        _tile("Errors", f"epoch {last}", sample.error, f"Where the last prediction for {sample.name} is wrong")
    )
    return {"name": sample.name, "chosen": CHOSEN.get(sample.chosen, sample.chosen), "tiles": tiles}


def _tile(title: str, note: str, picture: Picture | None, alt: str) -> dict[str, Any]:
    return {"title": title, "note": note, "picture": picture, "alt": alt}
