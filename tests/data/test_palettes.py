"""Colours to classes and back, as the seed reads its masks."""

import numpy as np
import pytest

from headstart.data.palettes import BLUEMARBLE, DEEPGLOBE, PALETTES, Palette
from headstart.errors import DataError


@pytest.mark.parametrize("palette", PALETTES.values(), ids=str)
def test_colours_and_indices_are_inverse(palette: Palette) -> None:
    indices = np.arange(len(palette.classes)).reshape(1, -1).repeat(3, axis=0)
    mask = palette.to_colours(indices)
    assert (mask.shape, mask.dtype) == ((3, len(palette.classes), 3), np.uint8)
    assert np.array_equal(palette.to_indices(mask), indices)
    assert palette.to_indices(mask).dtype == np.uint8
    assert len({*palette.colours}) == len(palette.classes) == len(palette.colours)


def test_deepglobe_as_the_seed_lists_it() -> None:
    table = {
        (0, 255, 255): "urban",
        (255, 255, 0): "agriculture",
        (255, 0, 255): "rangeland",
        (0, 255, 0): "forest",
        (0, 0, 255): "water",
        (255, 255, 255): "barren",
        (0, 0, 0): "unknown",
        (255, 0, 0): "unknown",
    }
    mask = np.array([list(table)], dtype=np.uint8)
    assert [DEEPGLOBE.classes[i] for i in DEEPGLOBE.to_indices(mask)[0]] == list(table.values())
    assert DEEPGLOBE.ignore_index == 6


def test_deepglobe_thresholds_each_channel_at_128() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    noisy[0, 0], noisy[0, 1] = (127, 128, 200), (128, 127, 0)
    clean = (noisy >= 128).astype(np.uint8) * np.uint8(255)
    indices = DEEPGLOBE.to_indices(noisy)
    assert np.array_equal(indices, DEEPGLOBE.to_indices(clean))
    assert indices[0, :2].tolist() == [0, 6]
    assert set(indices.ravel()) == set(range(7))


def test_bluemarble_is_exact_and_names_strange_colours() -> None:
    mask = BLUEMARBLE.to_colours(np.zeros((4, 4), dtype=int))
    mask[0, :3] = (1, 2, 3)
    with pytest.raises(DataError, match=r"1 colour.*\(1, 2, 3\) \(3 px\)"):
        BLUEMARBLE.to_indices(mask)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_a_mask_is_rgb_uint8(mask: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"\(H, W, 3\) uint8"):
        DEEPGLOBE.to_indices(mask)


@pytest.mark.parametrize("index", [-1, 6])
def test_indices_out_of_range_are_refused(index: int) -> None:
    with pytest.raises(DataError, match="0 to 5"):
        BLUEMARBLE.to_colours(np.full((2, 2), index))
