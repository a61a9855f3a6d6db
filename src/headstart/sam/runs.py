"""Masks as runs of pixels: shifted, joined, counted and drawn without a bitmap of their image. No PyTorch.

The counts of COCO's compressed run-length encoding are read here as ``maskApi.c`` of pycocotools writes them: groups of
5 bits, the lowest first, from the third count on as the difference to the count before last.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypedDict

import numpy as np

from headstart.errors import MissingExtraError

XYXY = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixel edges, half-open: columns x0 to x1 - 1, rows y0 to y1 - 1."""
COUNTABLE = 2**32 - 1
"""Pixels of the largest image whose masks COCO's encoding can count."""


class Rle(TypedDict):
    """COCO's compressed run-length encoding, column by column: ``size`` is [height, width]."""

    size: list[int]
    counts: str


def coco_mask() -> Any:
    """``pycocotools.mask``. MissingExtraError where the package is not installed."""
    try:
        return import_module("pycocotools.mask")
    except ImportError:
        raise MissingExtraError("pycocotools", "sam") from None


def encoded(dense: np.ndarray) -> Rle:
    """Compressed RLE of a bool or 0/1 uint8 array (h, w)."""
    rle = coco_mask().encode(np.asfortranarray(dense, dtype=np.uint8))
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decoded(rle: Rle) -> np.ndarray:
    """The bitmap of a compressed RLE: bool (h, w)."""
    pixels: np.ndarray = coco_mask().decode({"size": rle["size"], "counts": rle["counts"].encode("ascii")})
    return pixels.astype(bool)


@dataclass(frozen=True)
class Runs:
    """Vertical runs: in column ``x[i]``, the rows from ``top[i]`` to ``bottom[i] - 1``. All int64 (n,), sorted by
    column and then by row, neither empty nor touching one another within a column.
    """

    x: np.ndarray
    top: np.ndarray
    bottom: np.ndarray

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int((self.bottom - self.top).sum())

    @property
    def bbox(self) -> XYXY:
        """The smallest box around them; there must be at least one."""
        return int(self.x[0]), int(self.top.min()), int(self.x[-1]) + 1, int(self.bottom.max())

    def moved(self, dx: int, dy: int) -> "Runs":
        """The same, ``dx`` to the right and ``dy`` down."""
        return Runs(self.x + dx, self.top + dy, self.bottom + dy)

    def rle(self, size: tuple[int, int]) -> Rle:
        """Compressed RLE of an image of ``size`` (height, width) that holds these runs."""
        height, width = size
        starts, ends = joined(self.x * height + self.top, self.x * height + self.bottom)
        counts = np.diff(np.stack([starts, ends], axis=1).ravel(), prepend=0, append=height * width)
        if counts[-1] == 0:
            counts = counts[:-1]
        rle = coco_mask().frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
        return {"size": [height, width], "counts": rle["counts"].decode("ascii")}

    def drawn(self, window: XYXY) -> np.ndarray:
        """The pixels within ``window``: bool (y1 - y0, x1 - x0). Memory is that of the window."""
        x0, y0, x1, y1 = window
        first, last = np.searchsorted(self.x, [x0, x1])
        x = self.x[first:last] - x0
        top, bottom = (np.clip(rows[first:last], y0, y1) - y0 for rows in (self.top, self.bottom))
        steps = np.zeros((y1 - y0 + 1, x1 - x0), dtype=np.int8)
        np.add.at(steps, (top, x), 1)
        np.add.at(steps, (bottom, x), -1)
        pixels: np.ndarray = np.cumsum(steps[:-1], axis=0, dtype=np.int8).view(bool)
        return pixels


def runs_of(rle: Rle) -> Runs:
    """The runs of a compressed RLE."""
    height = rle["size"][0]
    edges = np.cumsum(counts_of(rle["counts"]))
    starts, ends = edges[0:-1:2], edges[1::2]
    kept = ends > starts
    starts, ends = starts[kept], ends[kept]
    first = starts // height
    n = (ends - 1) // height - first + 1  # columns that a run goes through
    run = np.repeat(np.arange(len(n)), n)
    x = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(n) - n, n)
    return Runs(x, np.maximum(starts[run] - x * height, 0), np.minimum(ends[run] - x * height, height))


def counts_of(text: str) -> np.ndarray:
    """The counts that a compressed RLE stands for, int64 (n,): pixels outside, inside, outside ... the mask."""
    signs = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(signs & 0x20 == 0)
    first = np.r_[0, last[:-1] + 1]
    place = 5 * (np.arange(len(signs)) - np.repeat(first, last - first + 1))
    values = np.add.reduceat((signs & 0x1F) << place, first)
    values -= np.where(signs[last] & 0x10, np.int64(1) << (5 * (last - first + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def joined(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The union of half-open intervals, int64 (n,) each in any order: sorted intervals that do not touch."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order]) if len(ends) else ends
    apart = np.r_[True, starts[1:] > ends[:-1]] if len(starts) else np.zeros(0, dtype=bool)
    return starts[apart], ends[np.r_[apart[1:], True]] if len(starts) else ends


def union(parts: Iterable[Runs]) -> Runs:
    """The runs that hold every pixel of ``parts`` once."""
    every = list(parts)
    if not every:
        return Runs(*(np.zeros(0, dtype=np.int64),) * 3)
    x, top, bottom = (np.concatenate([getattr(part, name) for part in every]) for name in ("x", "top", "bottom"))
    step = int(bottom.max(initial=0)) + 1  # a row between columns, so that no run goes on into the next
    starts, ends = joined(x * step + top, x * step + bottom)
    column = starts // step
    return Runs(column, starts - column * step, ends - column * step)
