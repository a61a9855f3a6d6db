"""The masks of one image as JSON, one annotation a line: what the other files are made from.

Fields are named as in the SA-1B data set (Kirillov et al. 2023) and segment-anything's own output, but boxes are XYXY,
which ``bbox_mode`` says in the file. The id of a mask is its place in the list, from 1, the largest mask first.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.errors import RunError
from headstart.files import written_beside
from headstart.results import SCHEMA_VERSION, printable
from headstart.sam.record import Mask, coco_rle, runs_in_image, with_runs
from headstart.sam.runs import Runs, joined, runs_of

Categories = tuple[dict[str, Any], ...]
"""COCO's categories: ``id`` from 1, ``name``, ``supercategory``."""
GATHERED = 500
"""Masks whose runs are joined at a time when pixels are counted."""


@dataclass(frozen=True)
class ImageMasks:
    """All masks of an image of ``size`` (height, width), in the order of their ids; ``name`` is that of the image.

    ``tiles`` is how many tiles it was looked at in, and ``covered`` the number of pixels in some mask. ``categories``
    are the classes of the masks, none where they were not classified.
    """

    name: str
    size: tuple[int, int]
    masks: tuple[Mask, ...]
    tiles: int
    covered: int
    categories: Categories = ()

    @classmethod
    def of(cls, name: str, size: tuple[int, int], masks: Iterable[Mask], tiles: int = 1) -> "ImageMasks":
        """The masks with the largest first; of equal ones, that which begins further up and to the left."""
        ordered = largest_first(masks)
        return cls(name, size, ordered, tiles, covered_pixels(ordered))

    @property
    def coverage(self) -> float:
        """The share of the image's pixels that lie in some mask, in [0, 1]."""
        return self.covered / (self.size[0] * self.size[1])

    @property
    def areas(self) -> tuple[int, int, int] | None:
        """The smallest, the median and the largest area in pixels; None without a mask."""
        areas = [mask.area for mask in self.masks]
        return (areas[-1], int(np.median(areas)), areas[0]) if areas else None


def largest_first(masks: Iterable[Mask]) -> tuple[Mask, ...]:
    """The masks in the order of their ids: by area, then from the top and from the left, then by predicted IoU."""
    return tuple(sorted(masks, key=lambda mask: (-mask.area, mask.bbox[1], mask.bbox[0], -mask.predicted_iou)))


def covered_pixels(masks: Sequence[Mask]) -> int:
    """Pixels that lie in at least one mask; all masks are of one image."""
    starts = ends = np.zeros(0, dtype=np.int64)
    for first in range(0, len(masks), GATHERED):
        chosen = masks[first : first + GATHERED]
        height = chosen[0].image_size[0]
        runs = [runs_in_image(mask) for mask in chosen]
        starts, ends = joined(
            np.concatenate([starts, *(each.x * height + each.top for each in runs)]),
            np.concatenate([ends, *(each.x * height + each.bottom for each in runs)]),
        )
    return int((ends - starts).sum())


def annotation(number: int, mask: Mask) -> dict[str, Any]:
    """A mask as an entry of the file; ``number`` is its id."""
    classified = {"category_id": mask.category_id, "class_probability": mask.class_probability}
    return {
        "id": number,
        **(classified if mask.category_id is not None else {}),
        "area": mask.area,
        "bbox": list(mask.bbox),
        "predicted_iou": mask.predicted_iou,
        "stability_score": mask.stability,
        "point_coords": [list(mask.point)],
        "crop_box": list(mask.crop),
        "segmentation": coco_rle(mask),
    }


def write_masks(path: Path, image: ImageMasks) -> None:
    """Write the file, whole or not at all."""
    head = {
        "schema_version": SCHEMA_VERSION,
        "file_name": printable(image.name),
        "height": image.size[0],
        "width": image.size[1],
        "bbox_mode": "XYXY",
        "tiles": image.tiles,
        "covered_pixels": image.covered,
        "coverage": image.coverage,
        **({"categories": list(image.categories)} if image.categories else {}),
    }
    with written_beside(path) as beside, beside.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(json.dumps(head, indent=1)[:-2] + ',\n "annotations": [')
        for number, mask in enumerate(image.masks, 1):
            stream.write(("," if number > 1 else "") + "\n  " + json.dumps(annotation(number, mask)))
        stream.write("\n ]\n}\n")


def read_masks(path: Path) -> ImageMasks:
    """The masks of a file. RunError where it is damaged or was changed by hand."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        size = (int(raw["height"]), int(raw["width"]))
        masks = tuple(_mask(entry, size) for entry in raw["annotations"])
        categories = tuple(dict(each) for each in raw.get("categories", ()))
        covered = int(raw["covered_pixels"])
        return ImageMasks(str(raw["file_name"]), size, masks, int(raw["tiles"]), covered, categories)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error}). Make it again: the same command with --overwrite.") from error


def _mask(entry: dict[str, Any], size: tuple[int, int]) -> Mask:
    if list(entry["segmentation"]["size"]) != list(size):
        raise ValueError(f"annotation {entry['id']} is of another size")
    x, y = entry["point_coords"][0]
    x0, y0, x1, y1 = (int(edge) for edge in entry["crop_box"])
    whole = Mask(
        image_size=size,
        bbox=(0, 0, size[1], size[0]),
        rle=entry["segmentation"],
        area=int(entry["area"]),
        predicted_iou=float(entry["predicted_iou"]),
        stability=float(entry["stability_score"]),
        point=(float(x), float(y)),
        crop=(x0, y0, x1, y1),
        category_id=entry.get("category_id"),
        class_probability=entry.get("class_probability"),
    )
    runs: Runs = runs_of(entry["segmentation"])
    if runs.area != whole.area:
        raise ValueError(f"annotation {entry['id']} has another area than its segmentation")
    return with_runs(whole, runs)
