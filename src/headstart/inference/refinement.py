"""What a prediction asks of regions that sharpen its masks; ``sam.refine`` has some."""

from typing import Protocol

import numpy as np

from headstart.inference.tiles import Strip

Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the image, half-open."""


class Regions(Protocol):
    """The regions of one image, which learn the probabilities in them strip by strip and then choose the classes."""

    def sums(self, strip: Strip, left: int) -> np.ndarray:
        """What the strip, whose columns begin at ``left``, adds to the regions: float64, always of the same shape."""
        ...

    def add(self, sums: np.ndarray) -> None:
        """Take in the ``sums`` of a strip, in any shape; each strip of the image once."""
        ...

    def repainted(self, window: Window, classes: np.ndarray) -> np.ndarray:
        """The class indices uint8 (h, w) of ``window`` with the classes of the regions, once all strips are in."""
        ...
