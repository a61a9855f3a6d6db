"""Which palette a source's masks are read by, and what is said where there is none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.masks import read_mask
from headstart.data.pairs import PairSource, open_pairs
from headstart.data.palette_files import resolve_palette
from headstart.data.palettes import BLUEMARBLE, DEEPGLOBE, Palette
from headstart.errors import DataError

Writer = Callable[..., Path]
OWN = "name: own\nclasses: [{name: a, colour: [0, 0, 0], index: 0}, {name: b, colour: [9, 9, 9], index: 1}]\n"


def with_masks(root: Path, *masks: np.ndarray, named: bool = False, suffix: str = "png") -> PairSource:
    """A source of one pair for each mask, flat."""
    for i, mask in enumerate(masks):
        image, file = (f"{i}_sat.png", f"{i}_mask") if named else (f"images/{i}.png", f"masks/{i}")
        for path, pixels in ((image, np.zeros((*mask.shape[:2], 3), np.uint8)), (f"{file}.{suffix}", mask)):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / path)
    return open_pairs(str(root))


COLOURS = DEEPGLOBE.to_colours(np.arange(6).reshape(2, 3))


def test_what_is_asked_for_wins_then_the_file_beside_then_the_layout(tmp_path: Path) -> None:
    source = with_masks(tmp_path, COLOURS, named=True)
    assert resolve_palette(None, source) is DEEPGLOBE
    (tmp_path / "palette.yaml").write_text(OWN)
    assert resolve_palette(None, source).name == "own"
    assert resolve_palette("bluemarble", source) is BLUEMARBLE
    assert resolve_palette(str(tmp_path / "palette.yaml"), source).name == "own"
    with pytest.raises(DataError, match="no palette 'nonsense'"):
        resolve_palette("nonsense", source)


def test_single_channel_masks_of_named_pairs_are_values(tmp_path: Path) -> None:
    palette = resolve_palette(None, with_masks(tmp_path, np.array([[0, 1, 6]], dtype=np.uint8), named=True))
    assert palette.classes == ("class 0", "class 1", "class 6")


def test_values_need_not_be_contiguous_and_255_is_ignored(tmp_path: Path) -> None:
    first, second = np.array([[0, 3, 3]], dtype=np.uint8), np.array([[41, 255, 3]], dtype=np.uint8)
    palette = resolve_palette(None, with_masks(tmp_path, first, second))
    assert palette.classes == ("class 0", "class 3", "class 41", "ignored")
    assert (palette.values, palette.ignore_index, palette.n_scored) == ((0, 3, 41, 255), 3, 3)
    assert read_mask(tmp_path / "masks" / "1.png", palette).tolist() == [[2, 3, 1]]
    assert len(set(palette.colours)) == 4


def test_values_of_16_bits_and_of_both_sides(tmp_path: Path) -> None:
    for side, value in (("train", 111), ("val", 523)):
        with_masks(tmp_path / side, np.array([[value, 0]], dtype=np.uint16))
    assert resolve_palette(None, open_pairs(str(tmp_path))).values == (0, 111, 523)


def test_the_value_that_geotiffs_declare_as_nodata_is_ignored(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    with_masks(tmp_path, np.zeros((4, 4), np.uint8), suffix="tif")
    values = np.tile(np.array([0, 7, 8, 255], dtype=np.uint8), (4, 1))
    profile = {"driver": "GTiff", "count": 1, "height": 4, "width": 4, "dtype": "uint8", "crs": "EPSG:3035"}
    place = rasterio.transform.from_origin(0, 0, 10, 10)
    with rasterio.open(tmp_path / "masks" / "0.tif", "w", nodata=0, transform=place, **profile) as raster:
        raster.write(values, 1)
    palette = resolve_palette(None, open_pairs(str(tmp_path)))
    assert palette.scored == ("class 7", "class 8")
    assert palette.to_indices(values)[0].tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize("values", [[0, 255], [255], [1, 255]])
def test_one_class_beside_255_may_be_a_mask_of_two(tmp_path: Path, values: list[int]) -> None:
    source = with_masks(tmp_path, np.array([values], dtype=np.uint8))
    with pytest.raises(
        DataError, match=r"255 is read as ignored(.|\n)*palette.yaml:\nname: mine\nclasses:\n"
    ) as caught:
        resolve_palette(None, source)
    assert all(f"index: {value}" in str(caught.value) for value in values)
    beginning = str(caught.value).split("palette.yaml:\n")[1]
    for i in range(len(values)):
        beginning = beginning.replace("NAME", f"c{i}", 1)
    (tmp_path / "palette.yaml").write_text(beginning)
    assert resolve_palette(None, source).values == tuple(values)


def test_one_value_alone_is_one_class(tmp_path: Path) -> None:
    assert resolve_palette(None, with_masks(tmp_path, np.full((3, 3), 4, np.uint8))).classes == ("class 4",)


def test_values_that_are_no_class_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"256 different values.*JPEG"):
        resolve_palette(None, with_masks(tmp_path / "many", np.arange(256, dtype=np.uint8).reshape(16, 16)))
    with pytest.raises(DataError, match=r"the value -9999 .1 px.*0 to 65535"):
        resolve_palette(None, with_masks(tmp_path / "low", np.array([[1, -9999]], dtype=np.int32), suffix="tif"))
    with pytest.raises(DataError, match=r"is a mask of colours, others.*--palette"):
        resolve_palette(None, with_masks(tmp_path / "mixed", np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8)))


def test_colours_without_a_palette_show_how_one_begins(tmp_path: Path) -> None:
    mask = np.zeros((10, 10, 3), np.uint8)
    mask[:7] = (10, 200, 30)
    mask[9, 9] = (1, 2, 3)
    source = with_masks(tmp_path, mask)
    with pytest.raises(DataError) as caught:
        resolve_palette(None, source)
    text = str(caught.value)
    assert "The commonest of 3 in the first 1 masks: [10, 200, 30] (70.0%), [0, 0, 0] (29.0%), [1, 2, 3] (1.0%)" in text
    assert "  - {name: NAME, colour: [10, 200, 30], index: 0}" in text
    assert "saved as RGB" not in text
    beginning = text.split("beginning:\n")[1]
    for name in "abc":
        beginning = beginning.replace("NAME", name, 1)
    (tmp_path / "palette.yaml").write_text(beginning)
    assert resolve_palette(None, source) == Palette(
        "mine", ("a", "b", "c"), ((10, 200, 30), (0, 0, 0), (1, 2, 3)), values=(0, 1, 2)
    )


def test_class_numbers_saved_as_rgb_are_recognised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="may be class numbers that were saved as RGB"):
        resolve_palette(None, with_masks(tmp_path, np.ones((4, 4, 3), np.uint8)))


def test_masks_that_cannot_be_read_are_passed_over_unless_all_are(tmp_path: Path) -> None:
    source = with_masks(tmp_path, COLOURS, COLOURS, named=True)
    (tmp_path / "0_mask.png").write_bytes(b"no")
    assert resolve_palette(None, source) is DEEPGLOBE
    (tmp_path / "1_mask.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"None of the 2 masks.*0_mask\.png: not an image"):
        resolve_palette(None, source)


def test_the_demo_has_its_palette(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    assert resolve_palette(None, open_pairs("demo:bluemarble:128")) is BLUEMARBLE
