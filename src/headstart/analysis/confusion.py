"""Counts of truth against prediction, and the accuracies that follow from them."""

import numpy as np
from sklearn.metrics import confusion_matrix


def confusion(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """int64 (n_classes, n_classes): rows are the truth, columns the prediction."""
    counts: np.ndarray = confusion_matrix(truth, predicted, labels=np.arange(n_classes))
    return counts


def accuracy(counts: np.ndarray) -> float:
    """Share of all images that are right, in [0, 1]."""
    return float(np.trace(counts) / counts.sum())


def balanced_accuracy(counts: np.ndarray) -> float:
    """Mean over the classes present in the truth of the share that is right, in [0, 1]."""
    present = counts.sum(1) > 0
    return float((np.diag(counts)[present] / counts.sum(1)[present]).mean())
