"""Masks of overlapping tiles made into masks of the whole raster.

Two masks of neighbouring tiles are one where their IoU within the tiles' overlap is high. Pairs are joined in the order
of that IoU, the highest first, and two masks of one tile never come together: a part and the whole of a thing, which
Segment Anything both gives, stay two masks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.sam.record import Mask, runs_in_image, with_runs
from headstart.sam.runs import XYXY, coco_mask, encoded, union


@dataclass(frozen=True)
class Tile:
    """A part of the raster, ``box`` XYXY, with the masks found in it, in pixels of the raster."""

    box: XYXY
    masks: tuple[Mask, ...]


def merged(tiles: Sequence[Tile], merge_iou: float) -> list[Mask]:
    """The masks of the raster: each group of joined masks as their union, the rest as they are.

    The estimates, the point and the crop of a union are those of its largest part.
    """
    members = [(index, mask) for index, tile in enumerate(tiles) for mask in tile.masks]
    first = np.cumsum([0, *(len(tile.masks) for tile in tiles)])
    pairs = [
        (iou, first[i] + a, first[j] + b)
        for i, j in overlapping([tile.box for tile in tiles])
        for iou, a, b in matches(tiles[i], tiles[j], merge_iou)
    ]
    groups = Groups([index for index, _ in members])
    for _, a, b in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        groups.join(int(a), int(b))
    return [_joined([members[k][1] for k in group]) for group in groups]


def overlapping(boxes: Sequence[XYXY]) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of boxes that have pixels in common; a sweep from the top down."""
    order = sorted(range(len(boxes)), key=lambda i: boxes[i][1])
    open_boxes: list[int] = []
    for i in order:
        x0, y0, x1, _ = boxes[i]
        open_boxes = [j for j in open_boxes if boxes[j][3] > y0]
        for j in open_boxes:
            if boxes[j][0] < x1 and boxes[j][2] > x0:
                yield min(i, j), max(i, j)
        open_boxes.append(i)


def matches(one: Tile, other: Tile, least: float) -> Iterator[tuple[float, int, int]]:
    """(IoU, index in ``one``, index in ``other``) of masks whose IoU within the tiles' overlap reaches ``least``."""
    window = common(one.box, other.box)
    ours, theirs = _within(one, window), _within(other, window)
    if not ours or not theirs:
        return
    ious = coco_mask().iou([rle for _, rle in ours], [rle for _, rle in theirs], [0] * len(theirs))
    for a, b in np.argwhere(ious >= least):
        yield float(ious[a, b]), ours[a][0], theirs[b][0]


def common(one: XYXY, other: XYXY) -> XYXY:
    """The box that two boxes have in common."""
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _within(tile: Tile, window: XYXY) -> list[tuple[int, Any]]:
    """Index and RLE, within the window, of the masks that have a pixel there."""
    found = []
    for index, mask in enumerate(tile.masks):
        x0, y0, x1, y1 = common(mask.bbox, window)
        if x0 >= x1 or y0 >= y1:
            continue
        drawn = runs_in_image(mask).drawn(window)
        if drawn.any():
            rle = encoded(drawn)
            found.append((index, {"size": rle["size"], "counts": rle["counts"].encode("ascii")}))
    return found


class Groups:
    """Union-find over masks of which each belongs to a tile; no group has two of one tile."""

    def __init__(self, tile_of: Sequence[int]) -> None:
        self.parent = list(range(len(tile_of)))
        self.tiles = [{tile} for tile in tile_of]

    def root(self, mask: int) -> int:
        """The mask that stands for the group."""
        while self.parent[mask] != mask:
            self.parent[mask] = self.parent[self.parent[mask]]
            mask = self.parent[mask]
        return mask

    def join(self, one: int, other: int) -> None:
        """Make two groups one, unless they have masks of the same tile."""
        a, b = sorted((self.root(one), self.root(other)))
        if a != b and self.tiles[a].isdisjoint(self.tiles[b]):
            self.parent[b] = a
            self.tiles[a] |= self.tiles[b]

    def __iter__(self) -> Iterator[list[int]]:
        found: dict[int, list[int]] = {}
        for mask in range(len(self.parent)):
            found.setdefault(self.root(mask), []).append(mask)
        return iter(found.values())


def _joined(parts: Sequence[Mask]) -> Mask:
    if len(parts) == 1:
        return parts[0]
    largest = max(parts, key=lambda mask: mask.area)
    return with_runs(largest, union(runs_in_image(part) for part in parts))
