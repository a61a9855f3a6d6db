"""t-SNE pictures of a run's features, first against last epoch, drawn so that they can be compared."""

import re
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from openTSNE import TSNE
from openTSNE.initialization import jitter, rescale
from pydantic import ValidationError
from sklearn.decomposition import PCA

from headstart.analysis.probes import leave_one_out_knn, normalised, silhouette
from headstart.data.seeds import derive
from headstart.errors import RunError
from headstart.results import ClassifyResult, Layout, TsneResult

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.intp]

PERPLEXITY = 30.0
COMPONENTS = 50
NEIGHBOURS = 20
ITERATIONS = (250, 500)
FEWEST = 5


@dataclass(frozen=True)
class EpochFeatures:
    """Features (n, d) of the training images at the end of one epoch, their labels (n,) and their indices (n,)."""

    epoch: int
    features: NDArray[np.float32]
    labels: Integers
    index: Integers


def tsne_run(run_dir: Path, n_max: int = 2000, seed: int = 0) -> TsneResult:
    """Lay out the features of a finished classification run and save ``run_dir``/tsne.json.

    Takes the first and the last epoch that were saved (one picture where there is only one) and in both the same
    images: at most ``n_max``, each class in proportion, chosen by image index. Raises RunError where the run is not
    finished or holds no usable features.
    """
    began = time.monotonic()
    run = _finished_run(run_dir)
    files = _feature_files(run_dir)
    epochs = [_read(files[epoch], epoch) for epoch in sorted({min(files), max(files)})]
    epochs = _same_images(epochs)
    n_total = len(epochs[0].labels)
    chosen = stratified_sample(epochs[0].labels, n_max, seed)
    labels = epochs[0].labels[chosen]
    if len(labels) < FEWEST or len(np.unique(labels)) < 2:
        raise RunError(
            f"{run_dir}: a t-SNE picture needs at least {FEWEST} images of two classes, and there are {len(labels)} of "
            f"{len(np.unique(labels))}. Train with a larger --label-fraction, or raise the number of images."
        )
    layouts = lay_out([(each.epoch, each.features[chosen]) for each in epochs], labels, seed)
    result = TsneResult(
        setting=run.setting,
        n_images=len(labels),
        n_total=n_total,
        perplexity=usable_perplexity(len(labels)),
        labels=labels.tolist(),
        classes=run.classes,
        layouts=layouts,
        seconds=time.monotonic() - began,
    )
    result.save(run_dir / "tsne.json")
    return result


def lay_out(
    features_by_epoch: Sequence[tuple[int, ArrayLike]],
    labels: ArrayLike,
    seed: int,
    perplexity: float = PERPLEXITY,
    iterations: tuple[int, int] = ITERATIONS,
) -> list[Layout]:
    """One t-SNE layout for each (epoch, features (n, d)), each started from the one before.

    Features are L2-normalised, so that distance means cosine distance, and reduced to 50 principal components. The
    first layout starts from the first two of these. A later one starts from the layout before it, shrunk so that the
    first axis has the standard deviation 1e-4, as openTSNE's own starts have: at that size all points still attract
    each other, so the new features decide who belongs together, and the old picture only where the groups
    come to lie (Kobak and Linderman, 2021). Started at full size, the points could not leave their old groups.

    labels: (n,) integers, for the numbers beside each picture: kNN accuracy and silhouette of the full-dimensional
    features. ``iterations``: with and without early exaggeration. Exact neighbours, and sums in an order that
    does not depend on the number of threads, so the same seed gives the same picture. Raises ValueError for fewer than
    5 images, one class, or features that are not finite.
    """
    layouts: list[Layout] = []
    before: Floats | None = None
    for epoch, features in features_by_epoch:
        matrix = np.asarray(features, dtype=np.float32)
        if len(matrix) < FEWEST or not np.isfinite(matrix).all():
            raise ValueError(f"epoch {epoch}: t-SNE needs at least {FEWEST} images, and finite features")
        components = principal_components(normalised(matrix), seed)
        start = starting_points(components if before is None else before, seed)
        before = embed(components, start, usable_perplexity(len(matrix), perplexity), iterations, seed)
        layouts.append(
            Layout(
                epoch=epoch,
                points=[(round(float(x), 4), round(float(y), 4)) for x, y in before],
                knn=leave_one_out_knn(matrix, labels, k=NEIGHBOURS),
                silhouette=silhouette(matrix, labels),
            )
        )
    return layouts


def usable_perplexity(n: int, perplexity: float = PERPLEXITY) -> float:
    """The perplexity, lowered to (n - 1) / 3 for few points: openTSNE looks at 3 times as many neighbours."""
    return min(perplexity, (n - 1) / 3)


def principal_components(directions: ArrayLike, seed: int) -> Floats:
    """The first 50 principal components (n, up to 50) of features (n, d); at least two columns."""
    matrix = np.asarray(directions, dtype=np.float32)  # in float64 this took as long as half of the layout
    with np.errstate(invalid="ignore", divide="ignore"):  # features that are all the same have no variance to share out
        fitted = PCA(min(COMPONENTS, *matrix.shape), random_state=seed).fit_transform(matrix)
    missing = max(0, 2 - fitted.shape[1])
    return np.pad(np.asarray(fitted, dtype=np.float64), ((0, 0), (0, missing)))


def starting_points(points: Floats, seed: int) -> Floats:
    """Where the optimiser starts: the first two columns (n, 2), the first axis scaled to a std of 1e-4.

    One per cent of jitter parts points that coincide. Without any spread to keep, the start is noise of that size.
    """
    flat = points[:, :2]
    if np.std(flat[:, 0]) < 1e-9:
        return np.random.default_rng(derive("tsne start", seed)).normal(0, 1e-4, flat.shape)
    return np.asarray(jitter(rescale(flat), random_state=seed), dtype=np.float64)


def stratified_sample(labels: ArrayLike, n_max: int, seed: int) -> Integers:
    """Positions, ascending, of at most ``n_max`` of the ``labels`` (n,), each class in proportion to within one."""
    classes = np.asarray(labels)
    shuffled = np.random.default_rng(derive("tsne sample", seed)).permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    taken = min(n_max, len(classes))
    evenly = (np.arange(taken) * len(classes)) // max(taken, 1)
    return np.sort(by_class[evenly])


def embed(components: Floats, start: Floats, perplexity: float, iterations: tuple[int, int], seed: int) -> Floats:
    """Points (n, 2) of one t-SNE."""
    tsne = TSNE(
        perplexity=perplexity,
        initialization=start,
        early_exaggeration_iter=iterations[0],
        n_iter=iterations[1],
        neighbors="exact",
        negative_gradient_method="bh",
        n_jobs=torch.get_num_threads(),
        random_state=seed,
    )
    return np.asarray(tsne.fit(components), dtype=np.float64)


def _finished_run(run_dir: Path) -> ClassifyResult:
    """The run's result.json; RunError when it is absent or not a classification's."""
    path = run_dir / "result.json"
    if not path.is_file():
        raise RunError(f"{run_dir} has no result.json: it is no run, or not finished. Finish it with --resume.")
    try:
        return ClassifyResult.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise RunError(
            f"{path} is not the result of a classification with this version ({error.error_count()} fields differ). "
            "Give the directory that headstart classify wrote, or train it again with --overwrite."
        ) from None


def _feature_files(run_dir: Path) -> dict[int, Path]:
    """Files of training features by their epoch; RunError when there are none."""
    matches = [(re.fullmatch(r"train_epoch_(\d+)\.npz", path.name), path) for path in run_dir.glob("features/*.npz")]
    files = {int(match.group(1)): path for match, path in matches if match}
    if not files:
        raise RunError(
            f"{run_dir} has no features (features/train_epoch_*.npz). headstart classify saves them after the first "
            "and the last epoch: train the run again with --save-features --overwrite."
        )
    return files


def _read(path: Path, epoch: int) -> EpochFeatures:
    """One file of features, ordered by image index; RunError when it is damaged or its features are not finite."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            features = np.asarray(arrays["features"], dtype=np.float32)
            labels, index = arrays["labels"].astype(np.intp), arrays["index"].astype(np.intp)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}). Train the run again with --overwrite.") from error
    if features.ndim != 2 or labels.shape != index.shape or len(features) != len(labels):
        raise RunError(f"{path}: features, labels and index do not fit together. Train the run again with --overwrite.")
    if not np.isfinite(features).all():
        raise RunError(f"{path}: the features are not finite, so training diverged. Lower the learning rate.")
    return EpochFeatures(epoch, features, labels, index)


def _same_images(epochs: Sequence[EpochFeatures]) -> list[EpochFeatures]:
    """The epochs with the images that all of them have, once each, in the order of their indices."""
    common = epochs[0].index
    for each in epochs[1:]:
        common = np.intersect1d(common, each.index)
    chosen = []
    for each in epochs:
        _, rows = np.unique(each.index, return_index=True)
        rows = rows[np.isin(each.index[rows], common)]
        chosen.append(EpochFeatures(each.epoch, each.features[rows], each.labels[rows], each.index[rows]))
    return chosen
