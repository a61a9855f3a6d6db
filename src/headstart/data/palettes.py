"""Palettes of masks, as data: which colour, or which value of a single-channel mask, is which class."""

import colorsys
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError

SHOWN_COLOURS = 5
NEAR, FAR_SHARE = 47, 0.05
MAX_CLASSES = 255
LARGEST_VALUE = 65535
FOREIGN = 255
"""Entry of the lookup tables for what is no class; so no class can have this index."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """``colours[i]`` (RGB in [0, 255]) in a colour mask and ``values[i]`` in a single-channel one mean ``classes[i]``.

    ``ignore_index`` is the class that is left out of means, if any; it is the last. ``aliases`` are further colours, or
    further values, and the index they mean. Where ``threshold`` is given, each channel of a colour mask is read as 255
    from there on and as 0 below, so that masks with compression noise can be read; otherwise a colour must match
    exactly. ``values`` are 0 to n - 1 unless given. At most 255 classes.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    ignore_index: int | None = None
    aliases: tuple[tuple[Colour | int, int], ...] = ()
    threshold: int | None = None
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.classes)
        if not self.values:
            object.__setattr__(self, "values", tuple(range(n)))
        if not 0 < n <= MAX_CLASSES or not n == len(self.colours) == len(self.values):
            raise DataError(f"{self.name}: 1 to {MAX_CLASSES} classes, each with one colour and one value, are needed.")
        if self.ignore_index not in (None, n - 1):
            raise DataError(f"{self.name}: the ignored class must be the last one.")
        if any(not 0 <= value <= LARGEST_VALUE for value in self.values):
            raise DataError(f"{self.name}: values must be from 0 to {LARGEST_VALUE}.")
        if not all(map(_is_colour, self.colours)):
            raise DataError(f"{self.name}: a colour is three numbers from 0 to 255.")
        if any(not 0 <= index < n for _, index in self.aliases):
            raise DataError(f"{self.name}: an alias means one of the classes 0 to {n - 1}.")

    @property
    def n_scored(self) -> int:
        """How many classes are scored: all but the ignored one."""
        return len(self.classes) - (self.ignore_index is not None)

    @property
    def scored(self) -> tuple[str, ...]:
        """The classes without the ignored one."""
        return self.classes[: self.n_scored]

    def to_indices(self, mask: NDArray[np.generic], nearest: bool = False) -> NDArray[np.uint8]:
        """Class indices (H, W) uint8 of colours (H, W, 3) uint8, or of values (H, W) of any integer type.

        With ``nearest``, a colour that is no class is read as the nearest one that is (Euclidean in RGB; the class that
        comes first where two are as near). A value that is no class is always an error: numbers of classes are not near
        each other. DataError names what is no class.
        """
        indices, foreign = self._looked_up(mask)
        if not foreign.any():
            return indices
        if nearest and mask.ndim == 3:
            colours, where = np.unique(mask[foreign], axis=0, return_inverse=True)
            indices[foreign] = self._nearest(colours)[where.reshape(-1)]
            return indices
        raise DataError(self._describe(self._counted(mask, foreign)))

    def to_colours(self, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The RGB mask (H, W, 3) uint8 of class indices (H, W) in [0, len(classes))."""
        self._check_range(indices)
        mask: NDArray[np.uint8] = np.array(self.colours, dtype=np.uint8)[indices]
        return mask

    def to_values(self, indices: NDArray[np.integer]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The single-channel mask (H, W) of class indices (H, W): uint8, or uint16 where a value is above 255."""
        self._check_range(indices)
        table = np.array(self.values, dtype=np.uint16 if max(self.values) > 255 else np.uint8)
        values: NDArray[np.uint8] | NDArray[np.uint16] = table[indices]
        return values

    def is_far(self, mask: NDArray[np.generic]) -> bool:
        """Whether more than 5 % of a mask's pixels are far (more than 47 of 255 in a channel) from every colour that a
        threshold reads them as. Compression noise is not; a mask of another palette is, and is read all the same.
        """
        if self.threshold is None or mask.ndim != 3:
            return False
        pixels = mask.astype(np.uint8, copy=False)
        far = ((pixels > NEAR) & (pixels < 255 - NEAR)).any(axis=2)
        return bool(far.mean() > FAR_SHARE)

    def foreign(self, mask: NDArray[np.generic]) -> dict[Colour | int, int]:
        """The colours, or values, that ``to_indices`` refuses, with their pixel counts, the commonest first."""
        _, foreign = self._looked_up(mask)
        return self._counted(mask, foreign) if foreign.any() else {}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, for the files of a run or a model."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Palette":
        """What ``to_dict`` gave. DataError when it cannot be that."""
        try:
            return cls(**{key: _frozen(value) for key, value in given.items()})
        except TypeError as error:
            raise DataError(f"This is no palette: {error}.") from error

    def _looked_up(self, mask: NDArray[np.generic]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Class indices, and where there is none: both (H, W)."""
        if mask.ndim == 3 and mask.shape[2] == 3 and mask.dtype == np.uint8:
            indices = self._of_colours(mask.astype(np.uint8, copy=False))
        elif mask.ndim == 2 and (np.issubdtype(mask.dtype, np.integer) or mask.dtype == np.bool_):
            indices = self._of_values(mask)
        else:
            raise DataError(
                f"A {self.name} mask is colours, (H, W, 3) uint8, or values, (H, W) of integers, "
                f"not {mask.shape} {mask.dtype}."
            )
        return indices, indices == FOREIGN

    def _of_colours(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.threshold is not None:
            high = (mask >= self.threshold).view(np.uint8)
            found: NDArray[np.uint8] = _corner_table(self)[high[..., 0] << 2 | high[..., 1] << 1 | high[..., 2]]
            return found
        found = _colour_table(self)[codes_of(mask)]
        return found

    def _of_values(self, mask: NDArray[np.generic]) -> NDArray[np.uint8]:
        table = _value_table(self)
        if mask.dtype in (np.uint8, np.uint16, np.bool_):
            return table[mask.astype(np.uint16)]
        numbers = mask.astype(np.int64)
        known = (numbers >= 0) & (numbers <= LARGEST_VALUE)
        return np.where(known, table[np.where(known, numbers, 0)], np.uint8(FOREIGN))

    def _nearest(self, colours: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Class indices (n,) of the palette's colours nearest to ``colours`` (n, 3)."""
        given = colours.astype(np.int32)
        best = np.full(len(given), np.iinfo(np.int32).max, dtype=np.int32)
        chosen = np.zeros(len(given), dtype=np.uint8)
        for colour, index in self._known_colours():
            distance = ((given - np.array(colour, dtype=np.int32)) ** 2).sum(axis=1, dtype=np.int32)
            chosen[distance < best] = index
            best = np.minimum(best, distance)
        return chosen

    def _known_colours(self) -> list[tuple[Colour, int]]:
        own = [(colour, i) for i, colour in enumerate(self.colours)]
        return own + [(also, i) for also, i in self.aliases if not isinstance(also, int)]

    def _known_values(self) -> list[tuple[int, int]]:
        own = [(value, i) for i, value in enumerate(self.values)]
        return own + [(also, i) for also, i in self.aliases if isinstance(also, int)]

    def _counted(self, mask: NDArray[np.generic], foreign: NDArray[np.bool_]) -> dict[Colour | int, int]:
        pixels = mask[foreign]
        found, counts = np.unique(codes_of(pixels.astype(np.uint8)) if mask.ndim == 3 else pixels, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        keys = (int(found[i]) for i in order)
        return {(colour_of(key) if mask.ndim == 3 else key): int(counts[i]) for key, i in zip(keys, order, strict=True)}

    def _describe(self, foreign: Mapping[Colour | int, int]) -> str:
        what = "value(s)" if isinstance(next(iter(foreign)), int) else "colour(s)"
        shown = ", ".join(f"{each} ({count} px)" for each, count in list(foreign.items())[:SHOWN_COLOURS])
        return (
            f"A mask has {len(foreign)} {what} that the palette {self.name} does not know: {shown}. "
            "Check that the mask was saved without loss and belongs to this palette."
        )

    def _check_range(self, indices: NDArray[np.integer]) -> None:
        if indices.size and (indices.min() < 0 or indices.max() >= len(self.classes)):
            raise DataError(
                f"Indices of {self.name} are 0 to {len(self.classes) - 1}, not {indices.min()} to {indices.max()}."
            )


def _is_colour(given: Sequence[int]) -> bool:
    """What comes from a file may be anything."""
    return len(given) == 3 and all(0 <= part <= 255 for part in given)


def codes_of(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """One number in [0, 2**24) for each RGB colour (..., 3)."""
    red, green, blue = (colours[..., channel].astype(np.uint32) for channel in range(3))
    return red << np.uint32(16) | green << np.uint32(8) | blue


def colour_of(code: int) -> Colour:
    """The colour of a number that ``codes_of`` gave."""
    return code >> 16, code >> 8 & 255, code & 255


def distinct_colours(n: int) -> tuple[Colour, ...]:
    """``n`` colours that differ, the same each time: hues by the golden ratio, in three brightnesses in turn."""
    hues = ((0.05 + i * 0.618034) % 1 for i in range(n))
    rgb = (colorsys.hsv_to_rgb(hue, 0.85 - 0.1 * (i % 2), (0.95, 0.75, 0.55)[i % 3]) for i, hue in enumerate(hues))
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rgb)


@lru_cache(maxsize=4)
def _colour_table(palette: Palette) -> NDArray[np.uint8]:
    """Class index of each of the 2**24 colours, or FOREIGN: 16 MB, a hundred times as fast as a search a pixel."""
    return _table(1 << 24, [(_code(colour), i) for colour, i in palette._known_colours()])


@lru_cache(maxsize=16)
def _corner_table(palette: Palette) -> NDArray[np.uint8]:
    """Class index of each of the 8 colours that are left by a threshold, or FOREIGN."""
    known = [
        (sum(1 << 2 - channel for channel in range(3) if colour[channel] == 255), i)
        for colour, i in palette._known_colours()
        if set(colour) <= {0, 255}
    ]
    return _table(8, known)


@lru_cache(maxsize=16)
def _value_table(palette: Palette) -> NDArray[np.uint8]:
    """Class index of each value from 0 to 65535, or FOREIGN."""
    return _table(LARGEST_VALUE + 1, palette._known_values())


def _table(size: int, known: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
    table = np.full(size, FOREIGN, dtype=np.uint8)
    for code, index in reversed(known):  # what comes first wins
        table[code] = index
    table.setflags(write=False)  # it is shared by every caller
    return table


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


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
