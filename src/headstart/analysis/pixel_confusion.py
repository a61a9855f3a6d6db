"""Counts of true against predicted classes over all pixels of a mask, at one table increment a pixel."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BYTE = 256
STRETCH = 4096
"""Pixels that one row of table offsets is laid out for: few enough to stay in the fastest cache."""


def pixel_confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], n: int) -> NDArray[np.int64]:
    """int64 (n, n): how many pixels of class i (row, the truth) were given class j (column, the prediction).

    Both masks are integers in [0, n) of one shape, uint8 being the fastest; ``n`` is 1 to 256. Raises ValueError
    otherwise.

    Up to 16 classes the pair of a pixel fits a byte, and Pillow's histogram counts bytes in one pass of C without
    widening them first, as NumPy's bincount does. Masks hold long runs of one value, and a processor cannot raise one
    counter again before the last raise has ended; so where there is room in the 256 counters, neighbouring pixels count
    in tables of their own, which are added up at the end.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"the masks differ in shape: truth {truth.shape}, predicted {predicted.shape}")
    if not 1 <= n <= BYTE:
        raise ValueError(f"the number of classes is 1 to {BYTE}, not {n}")
    if truth.size == 0:
        return np.zeros((n, n), dtype=np.int64)
    rows, columns = _bytes_below(truth, n), _bytes_below(predicted, n)
    if n * n > BYTE:
        codes = rows * np.uint16(n) + columns
        return np.bincount(codes, minlength=n * n).reshape(n, n).astype(np.int64, copy=False)
    return _byte_confusion(rows, columns, n)


def _bytes_below(mask: NDArray[np.integer], n: int) -> NDArray[np.uint8]:
    """The mask as uint8 (H * W,), every value below ``n``."""
    if mask.dtype.kind not in "iu":
        raise ValueError(f"a mask holds class indices, integers, not {mask.dtype}")
    if mask.max() >= n or (mask.dtype.kind == "i" and mask.min() < 0):
        raise ValueError(f"class indices are 0 to {n - 1}, not {mask.min()} to {mask.max()}")
    return mask.astype(np.uint8, copy=False).ravel()


def _byte_confusion(rows: NDArray[np.uint8], columns: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
    """``pixel_confusion`` of flat bytes, where n * n counters fit a byte."""
    codes = rows * np.uint8(n)
    codes += columns
    tables = BYTE // (n * n)
    if tables > 1:
        _spread(codes, tables, n * n)
    counters = Image.frombuffer("L", (codes.size, 1), codes, "raw", "L", 0, 1).histogram()
    used = tables * n * n
    counts: NDArray[np.int64] = np.fromiter(counters, np.int64, used).reshape(tables, n, n).sum(axis=0)
    return counts


def _spread(codes: NDArray[np.uint8], tables: int, size: int) -> None:
    """Move the pixels' codes into table 0, 1, ... ``tables`` - 1 in turn, in place."""
    offsets = _offsets(tables, size)
    whole = codes.size - codes.size % offsets.size
    stretches, rest = codes[:whole].reshape(-1, offsets.size), codes[whole:]
    np.add(stretches, offsets, out=stretches)
    np.add(rest, offsets[: rest.size], out=rest)


@cache
def _offsets(tables: int, size: int) -> NDArray[np.uint8]:
    """Where the table begins that each of ``STRETCH`` pixels counts in; there are at most 11 such arrays."""
    offsets = (np.arange(STRETCH) % tables * size).astype(np.uint8)
    offsets.setflags(write=False)
    return offsets
