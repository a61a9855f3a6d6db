"""Which learning rate is taken: the best score on held-out images, and where scores are level the one nearest to 1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.studies.rates import ENOUGH_IMAGES, best_multiple, mean_scores, parts_to_hold_out

GRID = [0.3, 1.0, 3.0]


@pytest.mark.parametrize(
    ("sizes", "most", "parts"),
    [
        ([232, 232, 232, 232, 232], 3, [0]),  # one part is enough
        ([50, 50, 50, 50, 50], 3, [0, 1]),
        ([23, 23, 23, 23, 24], 3, [0, 1, 2]),
        ([23, 23, 23, 23, 24], 1, [0]),
        ([99, 1, 1, 1, 1], 3, [0, 1]),
        ([1, 0, 1, 1, 0], 3, [0, 2, 3]),
        ([0, 0, 0, 0, 0], 3, []),
    ],
)
def test_as_many_parts_as_make_a_hundred_images(sizes: list[int], most: int, parts: list[int]) -> None:
    assert ENOUGH_IMAGES == 100
    assert parts_to_hold_out(sizes, most) == parts


def test_the_mean_is_the_share_of_all_images_held_out() -> None:
    by_part = {0: [1 / 4, 3 / 4, None], 2: [2 / 3, 1 / 3, 1.0]}
    scores = mean_scores(by_part, sizes=[4, 9, 3])
    assert scores[:2] == pytest.approx([3 / 7, 4 / 7])
    assert scores[2] is None  # it diverged on one part: that the other went well does not count


@pytest.mark.parametrize(
    ("scores", "one_image", "best"),
    [
        ([0.5, 0.6, 0.7], 0.0, 3.0),
        ([0.7, 0.6, 0.5], 0.0, 0.3),
        ([0.5, 0.6, 0.61], 0.01, 1.0),  # exactly one image
        ([0.5, 0.6, 0.611], 0.01, 3.0),
        ([0.61, 0.5, 0.61], 0.0, 3.0),  # level: log 3 is nearer to 0 than log 0.3
        ([0.6, 0.6, 0.6], 0.0, 1.0),
        ([0.60, 0.595, 0.609], 0.01, 3.0),  # 1 is further than one image from the best
        ([0.4, None, None], 0.0, 0.3),
        ([None, None, None], 0.0, 1.0),
    ],
)
def test_the_best_is_taken_and_of_level_ones_the_nearest_to_1(scores, one_image: float, best: float) -> None:
    assert best_multiple(GRID, scores, one_image) == best


def test_equally_near_multiples_give_the_smaller() -> None:
    assert best_multiple([1 / 3, 3.0], [0.5, 0.5], 0.0) == 1 / 3
    assert best_multiple([0.1, 10.0], [None, None], 0.0) == 0.1


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.permutations(range(3)), st.floats(0, 0.2))
def test_the_order_of_the_grid_changes_nothing(scores: list[float], order: list[int], one_image: float) -> None:
    shuffled_grid, shuffled_scores = [GRID[i] for i in order], [scores[i] for i in order]
    assert best_multiple(shuffled_grid, shuffled_scores, one_image) == best_multiple(GRID, scores, one_image)
