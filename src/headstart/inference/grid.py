"""The geometry of tiled prediction: where tiles lie, how they are padded, and how much each counts at a pixel."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

ALIGNMENT = 32
"""Origins are multiples of this stride of most encoders, so that their pooling falls on the same pixels in a tile as in
the whole image; what differs is only what a tile cannot see."""


@dataclass(frozen=True)
class Axis:
    """Overlapping tiles along one side of an image.

    Tile i covers the pixels from ``origins[i]`` to ``origins[i] + size``; the last may reach beyond ``length``, where
    the image is padded. ``weights`` (n, size) float32 are what each tile counts, positive; those of all tiles that
    cover a pixel sum to 1, so a weighted sum is a weighted mean.
    """

    length: int
    size: int
    origins: tuple[int, ...]
    weights: Tensor

    @property
    def end(self) -> int:
        """Where the last tile ends, at ``length`` or beyond."""
        return self.origins[-1] + self.size

    def part(self, begin: int, end: int) -> "Axis":
        """The tiles that cover any pixel from ``begin`` to ``end``, with their weights as they are."""
        chosen = [i for i, origin in enumerate(self.origins) if origin < end and origin + self.size > begin]
        return replace(self, origins=tuple(self.origins[i] for i in chosen), weights=self.weights[chosen])


@dataclass(frozen=True)
class Grid:
    """Tiles over an image, or over its columns from ``left`` to ``right``."""

    rows: Axis
    cols: Axis
    left: int
    right: int

    @property
    def n_rows(self) -> int:
        """Rows of tiles, and strips."""
        return len(self.rows.origins)

    @property
    def n_cols(self) -> int:
        """Tiles in a row."""
        return len(self.cols.origins)

    @property
    def n_tiles(self) -> int:
        """Tiles in all."""
        return self.n_rows * self.n_cols

    def strip(self, row: int) -> tuple[int, int]:
        """The image rows that no tile row after ``row`` covers, and none before it finished: [top, bottom)."""
        origins = self.rows.origins
        return origins[row], origins[row + 1] if row + 1 < len(origins) else self.rows.length

    def first_needed(self, row: int) -> int:
        """The first tile row that counts in the strip of ``row``."""
        origins = self.rows.origins
        return next(r for r in range(row + 1) if origins[r] + self.rows.size > origins[row])

    def panels(self, width: int, multiple: int = 1) -> Iterator["Grid"]:
        """The grid in equal parts of at most ``width`` columns (at least ``multiple``), which begin at multiples of it.

        Tiles on the border of two parts belong to both, so every pixel gets the same answer as without parts.
        """
        length = self.cols.length
        most = max(1, width // multiple)
        blocks = -(-length // multiple)
        step = -(-blocks // -(-blocks // most)) * multiple
        for left in range(0, length, step):
            right = min(left + step, length)
            yield replace(self, cols=self.cols.part(left, right), left=left, right=right)


def make_grid(height: int, width: int, size: int, overlap: float, fixed: bool = False) -> Grid:
    """Tiles of ``size`` pixels over an image; a shorter side is one tile of its own length, unless ``fixed``."""
    rows, cols = (make_axis(n, size if fixed else min(size, n), overlap) for n in (height, width))
    return Grid(rows, cols, 0, width)


def tile_origins(length: int, size: int, overlap: float) -> tuple[int, ...]:
    """Evenly spread origins, neighbours at least ``overlap`` (a share of ``size``) into one another.

    They are multiples of ALIGNMENT (of the largest power of two below the step where that is smaller), so the last tile
    reaches less than that beyond ``length``; a side shorter than ``size`` is covered by one tile.
    """
    if length <= size:
        return (0,)
    step = max(1, int(size * (1 - overlap)))
    unit = min(ALIGNMENT, 1 << (step.bit_length() - 1))
    last = -(-(length - size) // unit)
    intervals = -(-last // (step // unit))
    return tuple(i * last // intervals * unit for i in range(intervals + 1))


def make_axis(length: int, size: int, overlap: float) -> Axis:
    """The tiles along one side, with their weights."""
    origins = tile_origins(length, size, overlap)
    profile = window_profile(size)
    total = torch.zeros(origins[-1] + size, dtype=torch.float64)
    for origin in origins:
        total[origin : origin + size] += profile
    weights = torch.stack([profile / total[origin : origin + size] for origin in origins])
    return Axis(length, size, origins, weights.float())


def window_profile(size: int) -> Tensor:
    """Blending weights across a tile: a Hann window without its zeros, float64 (size,), above 0."""
    return torch.sin(torch.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size).square()


def reflected(pixels: Tensor, height: int, width: int) -> Tensor:
    """``pixels`` (..., h, w), h and w at least 1, continued to the right and below by reflection to (height, width)."""
    for dim, wanted in ((-2, height), (-1, width)):
        if pixels.shape[dim] < wanted:
            pixels = pixels.index_select(dim, reflection(pixels.shape[dim], wanted).to(pixels.device))
    return pixels


def reflection(length: int, wanted: int) -> Tensor:
    """Indices into ``length`` pixels for ``wanted`` ones: 0 1 2 3 2 1 0 1 ... (the edge is not repeated)."""
    period = max(1, 2 * (length - 1))
    position = torch.arange(wanted) % period
    return torch.minimum(position, period - position) if length > 1 else torch.zeros(wanted, dtype=torch.int64)
