from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.inference.grid import ALIGNMENT, make_axis, make_grid, reflected, tile_origins, window_profile

LENGTHS = st.integers(1, 700)
SIZES = st.integers(32, 300)
OVERLAPS = st.floats(0, 0.75)


@given(LENGTHS, SIZES, OVERLAPS)
@settings(max_examples=200, deadline=None)
def test_tiles_cover_every_pixel_and_overlap_as_asked(length: int, size: int, overlap: float) -> None:
    axis = make_axis(length, size, overlap)
    origins = axis.origins
    assert origins[0] == 0
    assert axis.end >= min(length, size)
    assert axis.end - max(length, size) < ALIGNMENT  # hardly anything is computed beyond the image
    for a, b in pairwise(origins):
        assert 0 < b - a <= max(1, int(size * (1 - overlap)))


@given(LENGTHS, SIZES, OVERLAPS)
@settings(max_examples=200, deadline=None)
def test_weights_are_positive_and_sum_to_one(length: int, size: int, overlap: float) -> None:
    axis = make_axis(length, size, overlap)
    total = torch.zeros(axis.end)
    for origin, weights in zip(axis.origins, axis.weights, strict=True):
        assert bool((weights > 0).all())
        total[origin : origin + size] += weights
    torch.testing.assert_close(total, torch.ones(axis.end), atol=1e-6, rtol=0)


@given(st.integers(1, 2000), st.integers(40, 300), OVERLAPS, st.integers(1, 600), st.sampled_from([1, 16, 256]))
@settings(max_examples=200, deadline=None)
def test_panels_cut_the_columns_and_keep_all_their_tiles(
    width: int, size: int, overlap: float, panel: int, multiple: int
) -> None:
    grid = make_grid(50, width, size, overlap)
    panels = list(grid.panels(panel, multiple))
    edges = [0, *(part.right for part in panels)]
    assert edges[-1] == width
    for part, left in zip(panels, edges, strict=False):
        assert part.left == left
        assert left % multiple == 0
        assert part.right - left <= max(panel, multiple)
        needed = [o for o in grid.cols.origins if o < part.right and o + grid.cols.size > left]
        assert list(part.cols.origins) == needed


def test_origins_are_multiples_of_the_stride_so_that_pooling_falls_on_the_same_pixels() -> None:
    rows, cols = tile_origins(1000, 256, 0.25), tile_origins(5000, 256, 0.25)
    assert all(origin % ALIGNMENT == 0 for origin in rows + cols)


def test_a_side_shorter_than_a_tile_is_one_tile() -> None:
    grid = make_grid(30, 600, 256, 0.25)
    assert (grid.rows.size, grid.cols.size, grid.rows.origins) == (30, 256, (0,))
    fixed = make_grid(30, 600, 256, 0.25, fixed=True)
    assert (fixed.rows.size, fixed.cols.size) == (256, 256)


def test_the_window_is_positive_symmetric_and_highest_in_the_middle() -> None:
    weights = torch.outer(window_profile(64), window_profile(64))
    assert weights.shape == (64, 64)
    assert weights.dtype == torch.float64
    assert float(weights.min()) > 0
    torch.testing.assert_close(weights, weights.flip(0, 1))
    assert float(weights.max()) == float(weights[31, 31])


def test_reflection_does_not_repeat_the_edge_and_goes_on_for_ever() -> None:
    row = torch.tensor([[1, 2, 3]])
    assert reflected(row, 1, 9).tolist() == [[1, 2, 3, 2, 1, 2, 3, 2, 1]]
    assert reflected(torch.tensor([[7]]), 2, 3).tolist() == [[7, 7, 7], [7, 7, 7]]
    ours = reflected(torch.arange(12.0).view(1, 3, 4), 5, 6)
    theirs = torch.nn.functional.pad(torch.arange(12.0).view(1, 3, 4), (0, 2, 0, 2), mode="reflect")
    assert torch.equal(ours, theirs)
