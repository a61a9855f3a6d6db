"""What frozen features know and how they are spread: kNN accuracy, feature std, effective rank, silhouette.

Everything takes plain arrays; features are read as float32. Features that are not finite have no answer: the result
is nan.
"""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import silhouette_samples

from headstart.analysis.neighbours import neighbours_among

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.intp]
Hits: TypeAlias = NDArray[np.bool_]

CHUNK_ELEMENTS = 1 << 23
"""Similarities or votes held at a time: 32 MB of float32."""
BLOCK_ROWS = 256
"""Rows normalised at a time, so that they stay in the processor's cache."""


def knn_accuracy(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    val_features: ArrayLike,
    val_labels: ArrayLike,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Share in [0, 1] of the validation images whose label their neighbours among the training images vote for.

    Arguments and vote are those of ``knn_hits``.
    """
    return share_of(knn_hits(train_features, train_labels, val_features, val_labels, k, temperature))


def leave_one_out_knn(features: ArrayLike, labels: ArrayLike, k: int = 20, temperature: float = 0.07) -> float:
    """Share in [0, 1] of the images whose label their neighbours among all the *other* images vote for.

    Arguments and vote are those of ``leave_one_out_hits``.
    """
    return share_of(leave_one_out_hits(features, labels, k, temperature))


def knn_hits(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    val_features: ArrayLike,
    val_labels: ArrayLike,
    k: int = 20,
    temperature: float = 0.07,
) -> Hits | None:
    """For each validation image, whether its neighbours among the training images vote for its label: bool (m,).

    Weighted kNN of Wu et al. (2018, "Unsupervised feature learning via non-parametric instance discrimination",
    section 3.4): the ``k`` training images of highest cosine similarity vote with weight exp(similarity / temperature).
    Of equal votes the smallest label wins.

    train_features: (n, d); train_labels: (n,) integers; val_features: (m, d); val_labels: (m,) integers; ``k`` is
    lowered to n where there are fewer. None for features that are not finite. Raises ValueError for shapes that do not
    fit together, no images, or k < 1.
    """
    train, labels = _checked(train_features, train_labels)
    queries, truth = _checked(val_features, val_labels)
    if train.shape[1] != queries.shape[1]:
        raise ValueError(f"training features have {train.shape[1]} dimensions, validation features {queries.shape[1]}")
    predicted = _vote(train, labels, queries, k, temperature, leave_one_out=False)
    return None if predicted is None else predicted == truth


def leave_one_out_hits(features: ArrayLike, labels: ArrayLike, k: int = 20, temperature: float = 0.07) -> Hits | None:
    """For each image, whether its neighbours among all the *other* images vote for its label: bool (n,).

    The vote is that of ``knn_hits``. features: (n, d), labels: (n,) integers; needs two images (ValueError).
    """
    points, truth = _checked(features, labels)
    if len(points) < 2:
        raise ValueError("leaving one image out needs at least two images")
    predicted = _vote(points, truth, points, k, temperature, leave_one_out=True)
    return None if predicted is None else predicted == truth


def share_of(hits: Hits | None) -> float:
    """Share in [0, 1] of the images that were a hit; nan without an answer."""
    return float("nan") if hits is None else float(np.mean(hits))


def gain_error(before: Hits | None, now: Hits | None) -> float:
    """Standard error of the difference between two shares of hits among the same n images; nan without an answer.

    Of a paired difference only the images that changed count: those lost (b) and those won (c). As Agresti and Min
    (2005, "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine 24) half an
    image is added to each cell of the 2 x 2 table, so that few changes are not taken for certainty:
    sqrt(b + c + 1 - (c - b)^2 / (n + 2)) / (n + 2). It is the error of the choice of images, not that of the seed.
    """
    if before is None or now is None:
        return float("nan")
    if before.shape != now.shape:
        raise ValueError(f"the hits must be of the same images, not {before.shape} and {now.shape}")
    n, lost, won = len(now) + 2, int(np.sum(before & ~now)), int(np.sum(now & ~before))
    return float(np.sqrt(lost + won + 1 - (won - lost) ** 2 / n) / n)


def mean_gain_error(before: ArrayLike, now: ArrayLike) -> float:
    """Standard error of the difference between two means over the same n images: sd of (now - before) over sqrt(n).

    before, now: (n,) of one value an image; nan where one is not finite, ValueError for other shapes or n < 2.
    """
    first, last = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    if first.shape != last.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(f"the values must be of the same two or more images, not {first.shape} and {last.shape}")
    return float(np.std(last - first, ddof=1) / np.sqrt(len(first)))


def feature_std(features: ArrayLike) -> float:
    """Spread of the directions of the features: 1.0 spread evenly over the sphere, 0.0 collapsed to one direction.

    The mean over dimensions of the standard deviation of the L2-normalised features (n, d), times sqrt(d), as Chen and
    He (2021, SimSiam, section 4.1) watch it. With few images it stays below 1 even for an even spread.
    """
    matrix = _matrix(features)
    if not np.isfinite(matrix).all():
        return float("nan")
    directions = normalised(matrix)
    return float(np.mean(np.std(directions, axis=0, dtype=np.float64)) * np.sqrt(directions.shape[1]))


def effective_rank(features: ArrayLike) -> float:
    """Number of dimensions the features really use, in [1, min(n, d)]; 0.0 for features that are all zero.

    RankMe (Garrido et al., 2023): exp of the entropy of the singular values of the (n, d) feature matrix, divided by
    their sum. As in the paper the matrix is *not* centred, so features that are the same for all images have rank 1.
    The 1e-7 that the paper adds to the shares is replaced by its limit, 0 log 0 = 0.
    """
    matrix = _matrix(features).astype(np.float64)
    if not np.isfinite(matrix).all():
        return float("nan")
    singular = np.linalg.svd(matrix, compute_uv=False)
    if singular[0] == 0:
        return 0.0
    shares = singular / singular.sum()
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def silhouette(features: ArrayLike, labels: ArrayLike) -> float:
    """Mean silhouette in [-1, 1] of the classes under cosine distance: how much nearer an image's own class is.

    Rousseeuw (1987), by scikit-learn. An image that is alone in its class counts 0, as in the paper.
    features: (n, d), labels: (n,) integers. Raises ValueError for one class.
    """
    points, truth = _checked(features, labels)
    n_classes = len(np.unique(truth))
    if n_classes < 2:
        raise ValueError("a silhouette needs images of at least two classes")
    if not np.isfinite(points).all():
        return float("nan")
    if n_classes == len(points):
        return 0.0
    return float(np.mean(silhouette_samples(points, truth, metric="cosine")))


def normalised(features: ArrayLike) -> Floats:
    """Each row of (n, d) divided by its L2 norm, float32; a row of zeros stays."""
    matrix = _matrix(features)
    directions = np.empty_like(matrix)
    for first in range(0, len(matrix), BLOCK_ROWS):
        block = matrix[first : first + BLOCK_ROWS]
        largest = np.abs(block).max(axis=1, keepdims=True)
        scaled = block / np.where(largest == 0, 1, largest)  # first by the largest, so that squares cannot overflow
        norms = np.linalg.norm(scaled, axis=1, keepdims=True)
        np.divide(scaled, np.where(norms == 0, 1, norms), out=directions[first : first + BLOCK_ROWS])
    return directions


def _vote(
    train: Floats, labels: Integers, queries: Floats, k: int, temperature: float, leave_one_out: bool
) -> Integers | None:
    """Predicted labels of the queries; None when a feature is not finite."""
    if k < 1 or temperature <= 0:
        raise ValueError(f"k must be at least 1 and the temperature above 0, not {k} and {temperature}")
    if not (np.isfinite(train).all() and np.isfinite(queries).all()):
        return None
    k = min(k, len(train) - leave_one_out)
    classes, coded = np.unique(labels, return_inverse=True)
    keys, directions = (torch.from_numpy(normalised(points)) for points in (train, queries))
    own = torch.arange(len(queries)) if leave_one_out else None
    similarity, nearest = neighbours_among(keys).nearest(directions, k, own)
    rows = max(1, CHUNK_ELEMENTS // len(classes))
    winners = [
        _weighted_majority(near.numpy(), coded[theirs.numpy()], len(classes), temperature)
        for near, theirs in zip(similarity.split(rows), nearest.split(rows), strict=True)
    ]
    return np.asarray(classes[np.concatenate(winners)], dtype=np.intp)


def _weighted_majority(similarity: Floats, votes_for: Integers, n_classes: int, temperature: float) -> Integers:
    """Winning class, in [0, n_classes), of each row of neighbours: their similarities and classes, (rows, k) each."""
    values = similarity.astype(np.float64)
    # Relative to the nearest neighbour: the winner is the same, and a low temperature cannot overflow.
    weights = np.exp((values - values.max(axis=1, keepdims=True)) / temperature)
    cells = np.arange(len(similarity))[:, None] * n_classes + votes_for
    votes = np.bincount(cells.ravel(), weights.ravel(), minlength=len(similarity) * n_classes)
    return np.asarray(votes.reshape(len(similarity), n_classes).argmax(axis=1), dtype=np.intp)


def _matrix(features: ArrayLike) -> Floats:
    """The features as (n, d) float32; ValueError when they are something else or empty."""
    matrix = np.asarray(features, dtype=np.float32)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"features must be a non-empty (images, dimensions) array, not of shape {matrix.shape}")
    return matrix


def _checked(features: ArrayLike, labels: ArrayLike) -> tuple[Floats, Integers]:
    """Features (n, d) float32 with their labels (n,); ValueError when the numbers of rows differ."""
    matrix, vector = _matrix(features), np.asarray(labels)
    if vector.shape != (len(matrix),) or not np.issubdtype(vector.dtype, np.integer):
        raise ValueError(f"labels must be {len(matrix)} integers, not {vector.dtype} of shape {vector.shape}")
    return matrix, vector.astype(np.intp)
