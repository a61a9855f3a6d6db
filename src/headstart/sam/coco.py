"""One COCO annotation file for all images of a call: what labelling tools and ``pycocotools`` load.

Boxes are COCO's XYWH here, and every mask is of the one category "object", unless a segmentation model has given it a
class. Estimates and the id in the image's own files come along as further fields, which readers of COCO files pass
over.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from headstart.files import written_beside
from headstart.results import printable
from headstart.sam.files import Categories

CATEGORY: dict[str, Any] = {"id": 1, "name": "object", "supercategory": "object"}


def write_coco(path: Path, files: Sequence[Path], version: str, categories: Categories = (CATEGORY,)) -> int:
    """Write the file from the images' own JSON ``files``, in their order, one in memory at a time.

    Whole or not at all. The number of annotations. ``categories`` are those of all files, whose masks are of the first
    where they have none.
    """
    with written_beside(path) as beside, beside.open("w", encoding="utf-8", newline="\n") as stream:
        info = {"description": "automatic masks by headstart masks", "version": version}
        stream.write(
            f'{{\n "info": {json.dumps(info)},\n "licenses": [],\n "categories": {json.dumps(list(categories))},\n'
        )
        images, n = [], 0
        stream.write(' "annotations": [')
        for number, file in enumerate(files, 1):
            raw = json.loads(file.read_text(encoding="utf-8"))
            size = {"width": raw["width"], "height": raw["height"]}
            images.append({"id": number, "file_name": printable(raw["file_name"]), **size})
            n += _write_annotations(stream, raw["annotations"], number, n)
        lines = ",\n  ".join(json.dumps(image) for image in images)
        stream.write(f'\n ],\n "images": [\n  {lines}\n ]\n}}\n')
    return n


def _write_annotations(stream: TextIO, entries: Sequence[dict[str, Any]], image: int, before: int) -> int:
    for place, entry in enumerate(entries, before + 1):
        stream.write(("," if place > 1 else "") + "\n  " + json.dumps(coco_annotation(entry, place, image)))
    return len(entries)


def coco_annotation(entry: dict[str, Any], number: int, image: int) -> dict[str, Any]:
    """An annotation of an image's own file as one of COCO's, with the ids ``number`` and ``image``."""
    x0, y0, x1, y1 = entry["bbox"]
    return {
        "id": number,
        "image_id": image,
        "category_id": entry.get("category_id", CATEGORY["id"]),
        "iscrowd": 0,
        "area": entry["area"],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": entry["segmentation"],
        "mask_id": entry["id"],
        "predicted_iou": entry["predicted_iou"],
        "stability_score": entry["stability_score"],
        **({"score": entry["class_probability"]} if "class_probability" in entry else {}),
    }
