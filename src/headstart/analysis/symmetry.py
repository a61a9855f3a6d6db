"""Whether images look the same flipped or turned: measured on their pixels, without labels.

If a classifier can tell flipped images from those as they are, a flip changes what an image shows, and a network that
is taught to ignore flips loses that (Lin et al., 2020, "Visual Chirality"). A digit flipped is another digit; an aerial
image flipped is an aerial image.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

FOLDS = 5
Images = NDArray[np.uint8]
CHANGES: Mapping[str, Callable[[Images], Images]] = {
    "left_right": lambda images: images[:, :, ::-1],
    "up_down": lambda images: images[:, ::-1],
    "quarter_turn": lambda images: np.rot90(images, axes=(1, 2)),
}
"""Name -> what is done to square images (n, S, S, C)."""


def told_apart(images: Images, change: Callable[[Images], Images], seed: int = 0) -> float:
    """How often changed images are told from those as they are, in [0, 1]; 0.5 by chance.

    ``images`` are uint8 (n, S, S, C), small (S about 16), at least ``FOLDS`` of them (ValueError). A support vector
    machine with a Gaussian kernel learns on four fifths of the images, each as it is and changed, and is asked about
    both forms of the last fifth; each fifth is the last once.
    """
    n = len(images)
    if n < FOLDS:
        raise ValueError(f"telling images apart in {FOLDS} parts needs as many images, not {n}")
    rows = np.concatenate([images, change(images)]).reshape(2 * n, -1) / 255
    alike = rbf_kernel(rows, gamma=1 / (rows.shape[1] * max(float(rows.var()), 1e-12)))
    truth, part = np.repeat([0, 1], n), np.tile(np.random.default_rng(seed).permutation(n) % FOLDS, 2)
    hits = 0
    for fold in range(FOLDS):
        known, asked = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        machine = SVC(C=1.0, kernel="precomputed").fit(alike[np.ix_(known, known)], truth[known])
        hits += int(np.sum(machine.predict(alike[np.ix_(asked, known)]) == truth[asked]))
    return hits / (2 * n)
