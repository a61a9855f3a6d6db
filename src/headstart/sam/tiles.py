"""Masks of images too large to be looked at whole: tiles that overlap, one in memory at a time, finished ones kept."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headstart.inference.grid import tile_origins
from headstart.inference.parts import Parts, file_facts, key_of
from headstart.inference.raster import parts_folder
from headstart.inference.tiles import Reader
from headstart.sam.merge import Tile
from headstart.sam.record import Mask, dense_in_bbox, mask_of, moved
from headstart.sam.runs import XYXY
from headstart.training.progress import Progress

logger = logging.getLogger(__name__)


class Generator(Protocol):
    """What finds the masks of an image uint8 (H, W, 3)."""

    def generate(self, image: np.ndarray) -> list[Mask]: ...


def tile_boxes(size: tuple[int, int], side: int, overlap: float) -> list[XYXY]:
    """XYXY of the tiles over an image of ``size`` (height, width), row by row; at the far edges they may be smaller."""
    height, width = size
    return [
        (x, y, min(x + side, width), min(y + side, height))
        for y in tile_origins(height, side, overlap)
        for x in tile_origins(width, side, overlap)
    ]


def tile_masks(
    generator: Generator, read: Reader, size: tuple[int, int], boxes: list[XYXY], parts: Parts
) -> list[Tile]:
    """The masks of each tile, in pixels of the image of ``size`` (height, width), without pixels that are nodata.

    Tiles that are among ``parts`` are taken from there, the others are added to them.
    """
    missing = [index for index in range(len(boxes)) if _name(index) not in parts]
    done = len(boxes) - len(missing)
    if 0 < done < len(boxes):
        logger.info("Going on after %d of %d tiles.", done, len(boxes))
    with Progress(len(boxes), done, 1, len(boxes) > 1, "tile", "tiles") as progress:
        for index in missing:
            masks = look_at(generator, read, size, boxes[index])
            text = json.dumps([asdict(mask) for mask in masks])
            parts.save(_name(index), np.frombuffer(text.encode("ascii"), dtype=np.uint8))
            done += 1
            progress.update(done)
    return [Tile(box, _kept(parts, index)) for index, box in enumerate(boxes)]


def look_at(generator: Generator, read: Reader, size: tuple[int, int], box: XYXY) -> list[Mask]:
    """The masks in one tile, in pixels of the image; none where the tile has no valid pixel."""
    x0, y0, x1, y1 = box
    pixels, valid = read(y0, y1, x0, x1)
    if valid is not None and not bool(valid.any()):
        return []
    image = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    found = generator.generate(image)
    if valid is not None:
        found = [mask for each in found if (mask := _valid_part(each, valid.numpy())) is not None]
    return [moved(mask, (x0, y0), size) for mask in found]


def _valid_part(mask: Mask, valid: np.ndarray) -> Mask | None:
    """``mask`` without the pixels at which ``valid``, bool (h, w), is false; None where nothing is left."""
    x0, y0, x1, y1 = mask.bbox
    pixels = dense_in_bbox(mask) & valid[y0:y1, x0:x1]
    if not pixels.any():
        return None
    told = {name: getattr(mask, name) for name in ("predicted_iou", "stability", "point", "crop")}
    return mask_of(pixels, mask.image_size, (x0, y0), **told)


def parts_of(output: Path, source: Path, settings: str, side: int) -> Parts:
    """Where the finished tiles of ``output`` are kept until it is whole."""
    return Parts(parts_folder(output), key_of(job=settings, tile=side, **file_facts(source)))


def _name(index: int) -> str:
    return f"tile-{index:06}"


def _kept(parts: Parts, index: int) -> tuple[Mask, ...]:
    raw: list[dict[str, Any]] = json.loads(parts.load(_name(index), (-1,)).tobytes())
    return tuple(Mask(**{name: _tuples(value) for name, value in each.items()}) for each in raw)


def _tuples(value: Any) -> Any:
    """What JSON has made of a tuple, as one again."""
    return tuple(value) if isinstance(value, list) else value
