"""What features are worth where there are no labels: alignment, uniformity, and finding an image by another view of it.

Everything takes plain arrays and works on L2-normalised features. Features that are not finite have no answer.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.analysis import probes
from headstart.analysis.probes import Floats, normalised


def alignment(first: ArrayLike, second: ArrayLike) -> float:
    """Mean squared distance between the features of two views of an image, in [0, 4]: 0 where views change nothing.

    Wang and Isola (2020, "Understanding contrastive representation learning through alignment and uniformity on the
    hypersphere", eq. 1) with their exponent 2. Row i of ``first`` and of ``second``, both (n, d), is image i. A
    collapsed network is perfectly aligned, so read it beside ``uniformity``.
    """
    one, other = _pairs(first, second)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("nan")
    gap = normalised(one).astype(np.float64) - normalised(other)
    return float(np.mean(np.sum(gap**2, axis=1)))


def uniformity(features: ArrayLike, t: float = 2.0) -> float:
    """Log of the mean Gaussian potential between different images, in [-4 t, 0]: the lower, the more evenly spread.

    Wang and Isola (2020, eq. 2) with their t = 2, over all pairs of different rows of ``features`` (n, d), as in their
    code: 0 collapsed to one direction, about -2 t spread evenly over a sphere of many dimensions. Needs two images
    (ValueError).
    """
    matrix = np.asarray(features, dtype=np.float32)
    if matrix.ndim != 2 or len(matrix) < 2:
        raise ValueError(f"uniformity needs the features of at least two images, not shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        return float("nan")
    directions, n = normalised(matrix).astype(np.float64), len(matrix)
    total, rows = 0.0, max(1, probes.CHUNK_ELEMENTS // n)
    for first in range(0, n, rows):
        chunk = directions[first : first + rows]
        squared = np.sum(chunk**2, axis=1)[:, None] + np.sum(directions**2, axis=1) - 2 * chunk @ directions.T
        potential = np.exp(-t * np.maximum(squared, 0))
        own = np.arange(len(chunk))
        potential[own, first + own] = 0
        total += float(potential.sum())
    return float(np.log(total / (n * (n - 1))))


def retrieval_of(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """For each image, the share in [0, 1] of the other images whose second view is farther from its first than its own.

    A nearest-neighbour search (by cosine) in which each image is a class of its own (as in Wu et al., 2018, section 3),
    scored by the rank of the right one: the area under the ROC curve of each query, ties counting half. 1 where the own
    view is the nearest of all, 0.5 on average by chance, whatever the number of images. Row i of ``first`` and of
    ``second``, both (n, d), is image i. nan for features that are not finite; needs two images (ValueError).
    """
    queries, keys = _pairs(first, second)
    n = len(queries)
    if n < 2:
        raise ValueError("finding an image among others needs at least two images")
    if not (np.isfinite(queries).all() and np.isfinite(keys).all()):
        return np.full(n, np.nan)
    directions, known = normalised(queries), normalised(keys)
    farther = np.empty(n)
    rows = max(1, probes.CHUNK_ELEMENTS // n)
    for begin in range(0, n, rows):
        similarity = directions[begin : begin + rows] @ known.T
        chosen = np.arange(len(similarity))
        own = similarity[chosen, begin + chosen][:, None]
        ties = np.sum(similarity == own, axis=1) - 1
        farther[begin : begin + rows] = (np.sum(similarity < own, axis=1) + ties / 2) / (n - 1)
    return farther


def _pairs(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Two (n, d) float32 matrices; ValueError where they are something else, empty, or of other shapes."""
    one, other = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    if one.ndim != 2 or one.size == 0 or one.shape != other.shape:
        raise ValueError(
            f"two views need features of one shape (images, dimensions), not {one.shape} and {other.shape}"
        )
    return one, other
