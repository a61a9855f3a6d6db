"""Palettes of RGB masks, as data: which colour is which class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError

SHOWN_COLOURS = 5


@dataclass(frozen=True)
class Palette:
    """``colours[i]`` (RGB in [0, 255]) means ``classes[i]``.

    ``ignore_index`` is the class that is left out of means, if any. ``aliases`` are further colours and the index they
    mean. Where ``threshold`` is given, each channel of a mask is read as 255 from there on and as 0 below, so that
    masks with compression noise can be read; otherwise a colour must match exactly.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    ignore_index: int | None = None
    aliases: tuple[tuple[tuple[int, int, int], int], ...] = ()
    threshold: int | None = None

    def to_indices(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices (H, W) uint8 of an RGB mask (H, W, 3) uint8. DataError names colours that are no class."""
        if mask.ndim != 3 or mask.shape[2] != 3 or mask.dtype != np.uint8:
            raise DataError(f"A {self.name} mask is (H, W, 3) uint8, not {mask.shape} {mask.dtype}.")
        read = mask if self.threshold is None else (mask >= self.threshold) * np.uint8(255)
        known = [*((colour, i) for i, colour in enumerate(self.colours)), *self.aliases]
        table = np.array(sorted((_code(np.array(colour)).item(), i) for colour, i in known))
        codes = _code(read)
        at = np.searchsorted(table[:, 0], codes).clip(max=len(table) - 1)
        foreign = table[at, 0] != codes
        if foreign.any():
            raise DataError(self._describe(mask[foreign]))
        indices: NDArray[np.uint8] = table[at, 1].astype(np.uint8)
        return indices

    def to_colours(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The RGB mask (H, W, 3) uint8 of class indices (H, W) in [0, len(classes))."""
        if indices.size and (indices.min() < 0 or indices.max() >= len(self.classes)):
            raise DataError(
                f"Indices of {self.name} are 0 to {len(self.classes) - 1}, not {indices.min()} to {indices.max()}."
            )
        mask: NDArray[np.uint8] = np.array(self.colours, dtype=np.uint8)[indices]
        return mask

    def _describe(self, pixels: NDArray[np.uint8]) -> str:
        colours, counts = np.unique(pixels, axis=0, return_counts=True)
        common = np.argsort(-counts, kind="stable")[:SHOWN_COLOURS]
        shown = ", ".join(f"{tuple(colours[i].tolist())} ({counts[i]} px)" for i in common)
        return (
            f"A mask has {len(colours)} colour(s) that the palette {self.name} does not know: {shown}. "
            "Check that the mask was saved without loss and belongs to this palette."
        )


def _code(colours: NDArray[np.integer]) -> NDArray[np.int64]:
    """One number for each RGB colour (..., 3)."""
    red, green, blue = (colours[..., channel].astype(np.int64) for channel in range(3))
    return red << 16 | green << 8 | blue


DEEPGLOBE = Palette(
    name="deepglobe",
    classes=("urban", "agriculture", "rangeland", "forest", "water", "barren", "unknown"),
    colours=((0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)),
    ignore_index=6,
    aliases=(((255, 0, 0), 6),),
    threshold=128,
)
"""DeepGlobe land cover (Demir et al. 2018); the stray red of its course copy is unknown too."""

BLUEMARBLE = Palette(
    name="bluemarble",
    classes=("arid", "cold", "polar", "temperate", "tropical", "ocean"),
    colours=((230, 190, 60), (0, 170, 170), (190, 190, 200), (60, 160, 60), (200, 50, 40), (20, 40, 120)),
)
"""Koeppen-Geiger main climate groups of land, in the order of the classification's classes, then ocean."""

PALETTES = {palette.name: palette for palette in (DEEPGLOBE, BLUEMARBLE)}
