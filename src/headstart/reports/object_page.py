"""What the page says of automatic masks: how they were made, in words, and what was found in each image."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from headstart.reports.object_facts import ObjectFacts
from headstart.reports.study_page import split_verdict
from headstart.reports.tables import Pair
from headstart.reports.words import DASH, count, duration, number, percent, plural, short_count
from headstart.results import MaskedImage, MasksResult

MOST_ROWS = 200


@dataclass(frozen=True)
class ImageRow:
    """A line of the table; sizes are in pixels."""

    name: str
    size: str
    n_masks: str
    coverage: str
    bar: float
    areas: tuple[str, str, str]


def object_head(result: MasksResult) -> dict[str, Any]:
    """Title and outcome of a run."""
    n = len(result.images)
    what = f"{plural(result.n_masks, 'mask')} in {plural(n, 'image')}"
    found = f"{what}, which cover {percent(result.coverage)} of the pixels."
    details = [f"Model: {model_words(result)}."]
    if result.failed:
        details.append(f"{plural(len(result.failed), 'image')} could not be decoded: see quarantine.csv.")
    return {
        "title": f"What is in {plural(n, 'image')}, as masks",
        "eyebrow": f"headstart masks, {model_words(result)}",
        **split_verdict(found),
        "alerts": result.warnings,
        "details": details,
    }


def object_view(facts: ObjectFacts) -> dict[str, Any]:
    """Method, parameters, table and overlays of a run."""
    result = facts.result
    return {
        "summary": object_head(result)["verdict"],
        "method": method_words(result),
        "settings": setting_pairs(result),
        "rows": [_row(image) for image in result.images[:MOST_ROWS]],
        "more_rows": max(0, len(result.images) - MOST_ROWS),
        "overlays": [
            {
                "name": image.name,
                "note": f"{plural(image.n_masks, 'mask')}, {percent(image.coverage)} covered",
                "picture": picture,
                "alt": f"{image.name} with its {plural(image.n_masks, 'mask')} tinted and outlined",
            }
            for image, picture in facts.overlays
        ],
        "unseen": len(result.images) - len(facts.overlays),
    }


def _row(image: MaskedImage) -> ImageRow:
    areas = tuple(short_count(area) for area in image.areas) if image.areas else (DASH, DASH, DASH)
    tiles = f", {plural(image.tiles, 'tile')}" if image.tiles > 1 else ""
    return ImageRow(
        name=image.name,
        size=f"{count(image.width)} \u00d7 {count(image.height)}{tiles}",
        n_masks=count(image.n_masks),
        coverage=percent(image.coverage),
        bar=100 * image.coverage,
        areas=(areas[0], areas[1], areas[2]),
    )


def model_words(result: MasksResult) -> str:
    """The model's name, or the file its weights came from."""
    return f"the weights {PurePath(result.checkpoint).name}" if result.checkpoint else result.model


def method_words(result: MasksResult) -> list[str]:
    """How the masks were made, in sentences: every parameter that had a part in it."""
    has = result.generator
    side = has["points_per_side"]
    sentences = [
        "The masks are the automatic ones of Segment Anything (Kirillov et al., 2023): nobody marked anything. "
        + (
            f"Their classes are those that {result.classified_by} favours."
            if result.classified_by
            else "They have no classes."
        ),
        f"A grid of {side} \u00d7 {side} points is laid over the image, and for each point the model "
        f"({model_words(result)}) proposes three masks (a part, a larger part, the whole thing) with an estimate of "
        "each one's IoU.",
        f"Kept are masks whose estimated IoU is above {number(has['pred_iou_thresh'])} and whose stability is at least "
        f"{number(has['stability_score_thresh'])}: the IoU between the mask at a threshold raised by "
        f"{number(has['stability_score_offset'])} and the one at a threshold lowered by as much.",
        f"Of masks whose boxes have an IoU above {number(has['box_nms_thresh'])} only the one with the best estimate "
        "stays.",
    ]
    if has["crop_n_layers"]:
        sentences.append(
            f"The image is looked at again in {plural(has['crop_n_layers'], 'layer')} of crops, whose points along a "
            f"side are divided by {has['crop_n_points_downscale_factor']} in each layer; of masks from different crops "
            f"whose boxes have an IoU above {number(has['crop_nms_thresh'])} one stays."
        )
    if has["min_mask_region_area"]:
        sentences.append(f"Holes and islands of fewer than {has['min_mask_region_area']} pixels are mended.")
    if has["low_resolution_stability"]:
        sentences.append("Stability was judged on the model's small masks, a shortcut that can change which are kept.")
    if any(image.tiles > 1 for image in result.images):
        overlap, merge = percent(result.tiles["overlap"], 0), number(result.tiles["merge_iou"])
        sentences.append(
            f"Large images are looked at in tiles that have {overlap} of their side in common; masks of two tiles are "
            f"joined where their IoU within the common part is at least {merge}."
        )
    return sentences


def setting_pairs(result: MasksResult) -> list[Pair]:
    """The parameters by their names in segment-anything, and what was computed with."""
    pairs = [Pair(name, str(value)) for name, value in result.generator.items() if value is not None]
    pairs += [Pair(f"tiles.{name}", str(value)) for name, value in result.tiles.items() if value is not None]
    pairs += [Pair("precision", result.precision), Pair("Time of the last call", duration(result.seconds))]
    return pairs + ([Pair("Weights", str(result.weights))] if result.weights else [])
