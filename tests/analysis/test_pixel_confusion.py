"""Counting pixels: the same numbers as slow ways give, for every number of classes and kind of mask, and fast."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.analysis.pixel_confusion import STRETCH, pixel_confusion


def pair_by_pair(truth: np.ndarray, predicted: np.ndarray, n: int) -> np.ndarray:
    """The definition."""
    return np.array([[np.sum((truth == i) & (predicted == j)) for j in range(n)] for i in range(n)])


def one_by_one(truth: np.ndarray, predicted: np.ndarray, n: int) -> np.ndarray:
    """The definition again, for many classes."""
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (truth.ravel(), predicted.ravel()), 1)
    return counts


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 8, 11, 12, 16, 17, 40, 255, 256])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, STRETCH), (67, 129), (0, 4)])
def test_counts_noise(n: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(n)
    truth, predicted = rng.integers(0, n, (2, *shape), dtype=np.uint8)
    counts = pixel_confusion(truth, predicted, n)
    assert counts.shape == (n, n)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, one_by_one(truth, predicted, n))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_counts_blocks_of_any_size(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 20))
    height, width, block = (data.draw(st.integers(1, 40)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    coarse = rng.integers(0, n, (2, height // block + 1, width // block + 1), dtype=np.uint8)
    truth, predicted = coarse.repeat(block, axis=1).repeat(block, axis=2)[:, :height, :width]
    assert np.array_equal(pixel_confusion(truth, predicted, n), pair_by_pair(truth, predicted, n))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_counts_other_integers_and_layouts(dtype: type[np.integer]) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 7, (2, 30, 20)).astype(dtype)
    expected = pair_by_pair(truth, predicted, 7)
    assert np.array_equal(pixel_confusion(truth, predicted, 7), expected)
    assert np.array_equal(pixel_confusion(truth.T, predicted.T, 7), expected)
    assert np.array_equal(pixel_confusion(np.asfortranarray(truth), predicted, 7), expected)
    assert np.array_equal(pixel_confusion(truth.repeat(2, 0)[::2], predicted, 7), expected)


def test_leaves_the_masks_alone() -> None:
    truth = np.full((40, 40), 3, dtype=np.uint8)
    predicted = np.full((40, 40), 5, dtype=np.uint8)
    pixel_confusion(truth, predicted, 7)
    assert (truth == 3).all()
    assert (predicted == 5).all()


@pytest.mark.parametrize(
    ("truth", "predicted", "n", "words"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2, "differ in shape"),
        (np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8), 7, "0 to 6, not 7 to 7"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8), 7, "0 to 6, not 255 to 255"),
        (np.zeros((2, 2), np.int64), np.full((2, 2), -1), 7, "not -1 to -1"),
        (np.zeros((2, 2), np.int64), np.full((2, 2), 256), 7, "not 256 to 256"),
        (np.zeros((2, 2)), np.zeros((2, 2), np.uint8), 7, "integers, not float64"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), 0, "1 to 256"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), 257, "1 to 256"),
    ],
)
def test_refuses_what_is_no_pair_of_masks(truth: np.ndarray, predicted: np.ndarray, n: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pixel_confusion(truth, predicted, n)


def test_is_twenty_times_as_fast_as_class_by_class_comparison() -> None:
    """The matrix of 512 x 512 pixels and 7 classes; benchmarks/pixel_confusion.py measures more, and more calmly."""
    rows, columns = np.mgrid[:512, :512]
    truth = ((rows // 90 + columns // 70) % 7).astype(np.uint8)
    predicted = ((rows // 90 + (columns + 9) // 70) % 7).astype(np.uint8)
    wide = truth.astype(np.int64), predicted.astype(np.int64)

    def least(count: Callable[[], np.ndarray], times: int) -> float:
        taken = []
        for _ in range(times):
            began = time.process_time()
            count()
            taken.append(time.process_time() - began)
        return min(taken)

    assert np.array_equal(pixel_confusion(truth, predicted, 7), pair_by_pair(*wide, 7))
    assert least(lambda: pair_by_pair(*wide, 7), 5) > 20 * least(lambda: pixel_confusion(truth, predicted, 7), 50)
