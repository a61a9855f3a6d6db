"""Colours to classes and back, as the seed reads its masks."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.palettes import BLUEMARBLE, DEEPGLOBE, PALETTES, Palette, distinct_colours
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


@pytest.mark.parametrize(
    "mask", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros(4, int)]
)
def test_a_mask_is_rgb_uint8_or_integer_values(mask: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"\(H, W, 3\) uint8"):
        DEEPGLOBE.to_indices(mask)


@pytest.mark.parametrize("index", [-1, 6])
def test_indices_out_of_range_are_refused(index: int) -> None:
    with pytest.raises(DataError, match="0 to 5"):
        BLUEMARBLE.to_colours(np.full((2, 2), index))


colours = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def palettes(draw: st.DrawFn) -> Palette:
    n = draw(st.integers(1, 20))
    return Palette(
        name="any",
        classes=tuple(f"class {i}" for i in range(n)),
        colours=tuple(draw(st.lists(colours, min_size=n, max_size=n, unique=True))),
        ignore_index=draw(st.sampled_from([None, n - 1])),
        values=tuple(draw(st.lists(st.integers(0, 65535), min_size=n, max_size=n, unique=True))),
    )


@settings(max_examples=40, deadline=None)
@given(palettes(), st.integers(0, 2**32 - 1))
def test_indices_colours_and_values_are_one(palette: Palette, seed: int) -> None:
    indices = np.random.default_rng(seed).integers(0, len(palette.classes), (5, 7)).astype(np.uint8)
    assert np.array_equal(palette.to_indices(palette.to_colours(indices)), indices)
    assert np.array_equal(palette.to_indices(palette.to_values(indices)), indices)
    assert np.array_equal(palette.to_indices(palette.to_values(indices).astype(np.int64)), indices)
    assert palette.foreign(palette.to_colours(indices)) == {}
    assert Palette.from_dict(json.loads(json.dumps(palette.to_dict()))) == palette


@settings(max_examples=25, deadline=None)
@given(palettes(), st.integers(0, 2**32 - 1))
def test_foreign_and_nearest_agree_with_a_search_pixel_by_pixel(palette: Palette, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    mask[0] = palette.to_colours(np.zeros((1, 5), dtype=int))[0]
    strange: dict[tuple[int, ...], int] = {}
    nearest = np.zeros((6, 5), dtype=np.uint8)
    for y, x in np.ndindex(6, 5):
        pixel = tuple(mask[y, x].tolist())
        if pixel not in palette.colours:
            strange[pixel] = strange.get(pixel, 0) + 1
        distances = [sum((a - b) ** 2 for a, b in zip(pixel, colour, strict=True)) for colour in palette.colours]
        nearest[y, x] = distances.index(min(distances))
    assert palette.foreign(mask) == strange
    assert np.array_equal(palette.to_indices(mask, nearest=True), nearest)


def test_deepglobe_knows_every_colour_and_scores_six() -> None:
    every = np.stack(np.meshgrid(*[np.arange(0, 256, 51, dtype=np.uint8)] * 3, indexing="ij"), axis=-1).reshape(
        1, -1, 3
    )
    assert DEEPGLOBE.foreign(every) == {}
    assert (DEEPGLOBE.n_scored, DEEPGLOBE.scored) == (6, DEEPGLOBE.classes[:6])
    assert (BLUEMARBLE.n_scored, BLUEMARBLE.scored) == (6, BLUEMARBLE.classes)


def test_values_that_are_no_class_are_listed_and_never_mapped_to_a_near_one() -> None:
    palette = Palette("gaps", ("a", "b"), ((0, 0, 0), (9, 9, 9)), values=(3, 700))
    mask = np.array([[3, 700, 4], [4, 4, -1]])
    assert palette.foreign(mask) == {4: 3, -1: 1}
    with pytest.raises(DataError, match=r"2 value\(s\).*4 \(3 px\), -1 \(1 px\)"):
        palette.to_indices(mask, nearest=True)
    assert palette.to_values(np.array([[0, 1]])).dtype == np.uint16
    assert palette.to_indices(np.array([[3, 700]], dtype=np.uint16)).tolist() == [[0, 1]]


def test_aliases_are_colours_or_values() -> None:
    palette = Palette("also", ("a", "b"), ((0, 0, 0), (9, 9, 9)), aliases=(((1, 2, 3), 1), (77, 0)))
    assert palette.to_indices(np.array([[[1, 2, 3], [9, 9, 9]]], dtype=np.uint8)).tolist() == [[1, 1]]
    assert palette.to_indices(np.array([[77, 1]], dtype=np.uint8)).tolist() == [[0, 1]]
    assert Palette.from_dict(palette.to_dict()) == palette


def test_booleans_are_the_values_0_and_1() -> None:
    assert BLUEMARBLE.to_indices(np.array([[True, False]])).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ()}, "1 to 255 classes"),
        ({"colours": ((0, 0, 0),)}, "one colour and one value"),
        ({"values": (1,)}, "one colour and one value"),
        ({"values": (1, 70000)}, "0 to 65535"),
        ({"ignore_index": 0}, "must be the last"),
        ({"colours": ((0, 0, 0), (0, 256, 0))}, "three numbers from 0 to 255"),
        ({"colours": ((0, 0, 0), (0, 0))}, "three numbers from 0 to 255"),
        ({"aliases": ((7, 2),)}, "classes 0 to 1"),
    ],
)
def test_a_palette_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    given = {"name": "x", "classes": ("a", "b"), "colours": ((0, 0, 0), (1, 1, 1))} | changes
    with pytest.raises(DataError, match=message):
        Palette(**given)
    with pytest.raises(DataError, match="no palette"):
        Palette.from_dict({"name": "x"})


def test_made_up_colours_differ() -> None:
    assert len(set(distinct_colours(255))) == 255
    assert (0, 0, 0) not in distinct_colours(255)
