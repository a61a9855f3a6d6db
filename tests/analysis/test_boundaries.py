"""Boundary F1 beside an independent computation with SciPy's Euclidean distance transform."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from headstart.analysis.boundaries import boundary_matches, default_distance, dilated


def outline(mask: np.ndarray, label: int, valid: np.ndarray) -> np.ndarray:
    """Pixels of a class with a valid four-neighbour of another class, by looking at each pixel."""
    height, width = mask.shape
    found = np.zeros(mask.shape, dtype=bool)
    for y, x in np.argwhere((mask == label) & valid):
        for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= ny < height and 0 <= nx < width and valid[ny, nx] and mask[ny, nx] != label:
                found[y, x] = True
    return found


def near(boundary: np.ndarray, distance: int) -> np.ndarray:
    """Pixels no further than ``distance`` from a boundary pixel."""
    if not boundary.any():
        return boundary
    return np.asarray(ndimage.distance_transform_edt(~boundary) <= distance)


def slow_f1(truth: np.ndarray, predicted: np.ndarray, label: int, distance: int, valid: np.ndarray) -> float | None:
    """F1 from precision and recall, as the paper words it."""
    ours, theirs = outline(predicted, label, valid), outline(truth, label, valid)
    if not ours.any() and not theirs.any():
        return None
    if not ours.any() or not theirs.any():
        return 0.0
    precision = (ours & near(theirs, distance)).sum() / ours.sum()
    recall = (theirs & near(ours, distance)).sum() / theirs.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_agrees_with_distance_transforms(data: st.DataObject) -> None:
    n_scored = data.draw(st.integers(1, 5))
    height, width = data.draw(st.integers(1, 25)), data.draw(st.integers(1, 25))
    distance = data.draw(st.integers(1, 7))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    coarse = rng.integers(0, n_scored + 1, (2, 5, 5), dtype=np.uint8)
    truth, predicted = coarse.repeat(5, axis=1).repeat(5, axis=2)[:, :height, :width]
    predicted = np.where(rng.random(predicted.shape) < 0.03, 0, predicted).astype(np.uint8)
    valid = rng.random(truth.shape) < 0.9 if data.draw(st.booleans()) else None
    everywhere = np.ones(truth.shape, dtype=bool)
    f1 = boundary_matches(truth, predicted, n_scored, distance, valid).f1()
    slow = [
        slow_f1(truth, predicted, label, distance, everywhere if valid is None else valid) for label in range(n_scored)
    ]
    assert [each is None for each in f1] == [each is None for each in slow]
    assert [each for each in f1 if each is not None] == pytest.approx([each for each in slow if each is not None])


@pytest.mark.parametrize("n_scored", [8, 9, 33, 64, 65, 130, 255])
def test_many_classes_at_once_are_the_classes_one_by_one(n_scored: int) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, n_scored, (2, 12, 12), dtype=np.uint8)
    truth, predicted = coarse.repeat(3, axis=1).repeat(3, axis=2)
    together = boundary_matches(truth, predicted, n_scored, 2)
    for label in rng.choice(n_scored, 6, replace=False):
        alone = boundary_matches((truth != label).astype(np.uint8), (predicted != label).astype(np.uint8), 1, 2)
        assert together.truth[label] == alone.truth[0]
        assert together.f1()[label] == alone.f1()[0]


@pytest.mark.parametrize("radius", range(12))
def test_dilation_is_the_euclidean_disc(radius: int) -> None:
    dot = np.zeros((31, 27), dtype=np.uint8)
    dot[14, 11] = 4
    y, x = np.mgrid[:31, :27]
    disc = (y - 14) ** 2 + (x - 11) ** 2 <= radius**2
    assert np.array_equal(dilated(dot, radius), 4 * disc)


def test_a_shifted_edge_is_met_up_to_the_distance_and_not_beyond() -> None:
    columns = np.mgrid[:20, :40][1]
    truth = (columns >= 20).astype(np.uint8)
    assert boundary_matches(truth, (columns >= 23).astype(np.uint8), 2, 3).f1() == [1.0, 1.0]
    assert boundary_matches(truth, (columns >= 24).astype(np.uint8), 2, 3).f1() == [0.0, 0.0]
    one_class = np.zeros_like(truth)
    assert boundary_matches(truth, one_class, 3, 3).f1() == [0.0, 0.0, None]
    assert boundary_matches(one_class, one_class, 2, 3).f1() == [None, None]


def test_default_distance_is_a_share_of_the_diagonal() -> None:
    assert default_distance(512, 512) == 5  # 0.0075 * 724.08 = 5.43
    assert default_distance(2448, 2448) == 26
    assert default_distance(8, 8) == 1


def test_a_distance_beyond_the_image_reaches_everything() -> None:
    truth = np.eye(6, dtype=np.uint8)
    assert boundary_matches(truth, 1 - truth, 2, 50).f1() == [1.0, 1.0]
