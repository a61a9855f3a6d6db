"""Masks of every kind: which are values, which are colours, and what is stored comes out."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.decode import DecodeError
from headstart.data.masks import is_values, read_labels, read_mask
from headstart.data.palettes import BLUEMARBLE, DEEPGLOBE
from headstart.errors import DataError

VALUES = (np.arange(6 * 9) % 5).astype(np.uint8).reshape(6, 9)


def saved(path: Path, pixels: np.ndarray | Image.Image, **options: object) -> Path:
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)
    return path


def png(bits: int, rows: list[bytes], width: int) -> bytes:
    """A grey PNG of ``bits`` a sample (PNG specification, 11.2)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_single_channel_masks_are_values(tmp_path: Path, dtype: type) -> None:
    path = saved(tmp_path / "m.tif", VALUES.astype(dtype))
    labels = read_labels(path)
    assert is_values(labels)
    assert np.issubdtype(labels.dtype, np.integer)
    assert np.array_equal(labels, VALUES)
    assert np.array_equal(read_mask(path, BLUEMARBLE), VALUES)


def test_values_above_255_in_16_bits(tmp_path: Path) -> None:
    values = np.array([[111, 523], [4095, 65535]], dtype=np.uint16)
    for suffix in ("png", "tif"):
        assert np.array_equal(read_labels(saved(tmp_path / f"m.{suffix}", values)), values)


def test_of_a_palette_png_the_numbers_count(tmp_path: Path) -> None:
    image = Image.fromarray(VALUES)
    image.putpalette([channel for colour in DEEPGLOBE.colours for channel in colour])
    assert image.mode == "P"
    for options in ({}, {"bits": 4}, {"transparency": 0}):
        assert np.array_equal(read_labels(saved(tmp_path / "m.png", image, **options)), VALUES), options


@pytest.mark.parametrize(
    ("bits", "row", "values"),
    [
        (1, b"\x40", [0, 1, 0, 0]),
        (2, b"\x1b", [0, 1, 2, 3]),
        (4, b"\x01\x2f", [0, 1, 2, 15]),
        (8, b"\0\1\2\xff", [0, 1, 2, 255]),
    ],
)
def test_grey_pngs_of_few_bits_are_read_as_stored(tmp_path: Path, bits: int, row: bytes, values: list[int]) -> None:
    (tmp_path / "m.png").write_bytes(png(bits, [row, row], 4))
    assert read_labels(tmp_path / "m.png").tolist() == [values, values]


def test_one_bit_masks_are_0_and_1(tmp_path: Path) -> None:
    image = Image.fromarray(VALUES > 2)
    assert image.mode == "1"
    for suffix in ("png", "tif", "bmp"):
        assert np.array_equal(read_labels(saved(tmp_path / f"m.{suffix}", image)), VALUES > 2), suffix


def test_transparency_is_not_looked_at(tmp_path: Path) -> None:
    colours = DEEPGLOBE.to_colours(VALUES)
    alpha = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9, 1)
    path = saved(tmp_path / "rgba.png", np.concatenate([colours, alpha], axis=2))
    assert np.array_equal(read_labels(path), colours)
    assert np.array_equal(read_mask(path, DEEPGLOBE), VALUES)
    grey = saved(tmp_path / "la.png", Image.merge("LA", [Image.fromarray(VALUES), Image.fromarray(alpha[..., 0])]))
    assert np.array_equal(read_labels(grey), VALUES)


def test_jpeg_masks_need_the_nearest_colour_or_a_threshold(tmp_path: Path) -> None:
    indices = np.kron(VALUES, np.ones((8, 8), np.uint8))
    deepglobe = saved(tmp_path / "d.jpg", DEEPGLOBE.to_colours(indices), quality=95, subsampling=0)
    assert np.array_equal(read_mask(deepglobe, DEEPGLOBE), indices)
    exact = saved(tmp_path / "b.jpg", BLUEMARBLE.to_colours(indices), quality=95, subsampling=0)
    with pytest.raises(DataError, match=r"b\.jpg: A mask has \d+ colour"):
        read_mask(exact, BLUEMARBLE)
    assert (read_mask(exact, BLUEMARBLE, nearest=True) == indices).mean() > 0.99


def test_an_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.rot90(VALUES, 1)
    assert np.array_equal(read_labels(saved(tmp_path / "m.png", Image.fromarray(stored.copy()), exif=exif)), VALUES)


def test_floating_point_masks_hold_whole_numbers(tmp_path: Path) -> None:
    for odd in (0.5, np.nan, np.inf):
        with pytest.raises(DecodeError, match="whole"):
            read_labels(saved(tmp_path / "m.tif", np.array([[0.0, odd]], dtype=np.float32)))


def test_masks_that_cannot_be_read(tmp_path: Path) -> None:
    whole = saved(tmp_path / "m.png", np.random.default_rng(0).integers(0, 5, (64, 64), dtype=np.uint8)).read_bytes()
    for name, content in (("cut.png", whole[: len(whole) // 2]), ("text.tif", b"II no"), ("none.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DecodeError) as caught:
            read_mask(tmp_path / name, BLUEMARBLE)
        assert caught.value.reason
        assert "\n" not in caught.value.reason
    with pytest.raises(DecodeError, match="not found"):
        read_mask(tmp_path / "nowhere.png", BLUEMARBLE)
