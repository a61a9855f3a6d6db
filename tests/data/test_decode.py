"""Every kind of image comes out as upright RGB uint8; every kind of damage is a DecodeError with a short reason."""

import csv
import logging
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart.data.decode import DecodeError, check_images, decode, read_quarantine
from headstart.data.imageset import ImageSet
from headstart.errors import DataError

RGB = (np.arange(6 * 9 * 3) * 251 % 256).astype(np.uint8).reshape(6, 9, 3)
"""No symmetry: every orientation of it is another array."""

STORED_FROM_UPRIGHT = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda upright: np.rot90(upright, -1),
}
"""EXIF 2.3: where row 0 and column 0 of the stored pixels lie in the upright picture, as array operations."""


def save(path: Path, image: Image.Image | np.ndarray, **options: Any) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def repeat(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp"])
def test_lossless_rgb_is_unchanged(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = decode(save(tmp_path / f"x.{suffix}", RGB, **options))
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.flags["WRITEABLE"]
    assert np.array_equal(pixels, RGB)


def test_jpeg_is_near(tmp_path: Path) -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None], (32, 24, 3))
    assert np.abs(decode(save(tmp_path / "x.jpg", smooth, quality=95)).astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    stored = np.ascontiguousarray(STORED_FROM_UPRIGHT[orientation](RGB))
    assert np.array_equal(decode(save(tmp_path / f"x.{suffix}", stored, exif=exif, **options)), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_jpeg_and_of_16_bit_grey(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corners = np.zeros((32, 48, 3), dtype=np.uint8)
    corners[:16, :16], corners[:16, 32:], corners[16:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = np.ascontiguousarray(STORED_FROM_UPRIGHT[orientation](corners))
    path = save(tmp_path / "x.jpg", stored, exif=exif, quality=95, subsampling=0)
    assert np.abs(decode(path).astype(int) - corners).max() <= 8
    grey = corners[..., :1].astype(np.uint16) * 257
    stored_grey = np.ascontiguousarray(STORED_FROM_UPRIGHT[orientation](grey)[..., 0])
    assert np.array_equal(decode(save(tmp_path / "x.png", stored_grey, exif=exif)), repeat(corners[..., 0]))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_exif_counts_as_upright(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", RGB, exif=b"Exif\0\0MM\0*\xff\xff\xff\xffgarbage")
    assert np.array_equal(decode(path), RGB)


def test_grey_and_one_bit(tmp_path: Path) -> None:
    assert np.array_equal(decode(save(tmp_path / "l.png", RGB[..., 0])), repeat(RGB[..., 0]))
    bits = RGB[..., 0] > 127
    for suffix in ("png", "tif", "bmp"):
        path = save(tmp_path / f"bits.{suffix}", Image.fromarray(bits))
        assert Image.open(path).mode == "1"
        assert np.array_equal(decode(path), repeat(bits.astype(np.uint8) * 255))


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert decode(save(tmp_path / "p.png", image)).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    path = save(tmp_path / "t.png", image, transparency=bytes([255, 0, 128]))
    opaque, clear, half = decode(path)[0].astype(int)
    assert opaque.tolist() == [10, 20, 30]
    assert clear.tolist() == [255, 255, 255]
    assert np.abs(half - (np.array([70, 80, 90]) * 128 + 255 * 127) / 255).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_alpha_is_composited_on_white(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    alpha = RGB[..., 1]
    rgba = np.dstack([RGB, alpha])
    expected = (RGB * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)).round()
    assert np.abs(decode(save(tmp_path / f"x.{suffix}", rgba, **options)).astype(int) - expected).max() <= 1
    if suffix != "webp":
        la = np.dstack([RGB[..., 0], alpha])
        grey = decode(save(tmp_path / f"la.{suffix}", Image.fromarray(la, "LA")))
        assert np.abs(grey.astype(int) - expected[..., :1]).max() <= 1


def test_a_transparent_colour_becomes_white(tmp_path: Path) -> None:
    image = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    assert decode(save(tmp_path / "rgb.png", image, transparency=(4, 5, 6))).tolist() == [[[1, 2, 3], [255, 255, 255]]]
    assert decode(save(tmp_path / "l.png", image[..., 0], transparency=4))[0, :, 0].tolist() == [1, 255]
    deep = np.array([[257, 1000]], dtype=np.uint16)
    assert decode(save(tmp_path / "deep.png", deep, transparency=1000))[0, :, 0].tolist() == [1, 255]


def test_cmyk(tmp_path: Path) -> None:
    cmyk = np.zeros((16, 16, 4), dtype=np.uint8)
    cmyk[:, 8:] = (0, 255, 255, 0)
    for suffix in ("jpg", "tif"):
        pixels = decode(save(tmp_path / f"x.{suffix}", Image.fromarray(cmyk, "CMYK"))).astype(int)
        assert np.abs(pixels[:, 1:6] - 255).max() <= 6
        assert np.abs(pixels[:, 10:15] - (255, 0, 0)).max() <= 6


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_divided_by_257(tmp_path: Path, suffix: str) -> None:
    deep = np.array([[0, 257, 1000, 30000, 65535]], dtype=np.uint16)
    pixels = decode(save(tmp_path / f"x.{suffix}", deep))
    assert pixels[0, :, 0].tolist() == [0, 1, 4, 117, 255]
    assert np.array_equal(pixels, repeat(pixels[..., 0]))


def tiff(bits: int, photometric: int, data: bytes, width: int) -> bytes:
    """A little-endian, uncompressed, one-row grey TIFF."""
    tags = [(256, 4, width), (257, 4, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8 + 2 + 12 * 9 + 4), (277, 3, 1), (278, 4, 1), (279, 4, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


def test_12_bit_grey_is_scaled_by_its_own_depth(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(12, 1, bytes([0xFF, 0xF0, 0x10]), 2))
    assert decode(path)[0, :, 0].tolist() == [255, 1]


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_white_is_zero_in_some_tiffs(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(bits, 0, {1: b"\x40", 8: b"\x00\xff", 16: b"\x00\x00\xff\xff"}[bits], 2))
    assert decode(path)[0, :, 0].tolist() == [255, 0]


def test_integers_and_floats_have_fixed_ranges(tmp_path: Path) -> None:
    integers = np.array([[0, 257, 65535]], dtype=np.int32)
    assert decode(save(tmp_path / "i.tif", integers))[0, :, 0].tolist() == [0, 1, 255]
    floats = np.array([[0, 0.5, 1]], dtype=np.float32)
    assert decode(save(tmp_path / "f.tif", floats))[0, :, 0].tolist() == [0, 128, 255]
    outside = {"big": integers + 1, "negative": integers - 1, "bright": floats * 2, "nan": floats * np.nan}
    for name, values in outside.items():
        with pytest.raises(DecodeError, match="not within 0 to"):
            decode(save(tmp_path / f"{name}.tif", values))


@pytest.mark.parametrize("suffix", ["webp", "png", "tif", "gif"])
def test_the_first_frame_of_several(tmp_path: Path, suffix: str) -> None:
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("#ff0000", "#0000ff"))
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"x.{suffix}"
    red.save(path, save_all=True, append_images=[blue], **options)
    assert (decode(path) == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_truncated_files_are_errors(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"x.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DecodeError) as caught:
        decode(path)
    assert 0 < len(caught.value.reason) <= 200
    assert str(path) not in caught.value.reason
    assert "\n" not in caught.value.reason


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_random_damage_is_an_image_or_a_decode_error(tmp_path: Path) -> None:
    """Flipped bytes anywhere: whatever Pillow raises, nothing else comes out."""
    rng = np.random.default_rng(1)
    outcomes = set()
    for suffix in ("jpg", "png", "webp", "tif", "bmp"):
        whole = save(tmp_path / f"x.{suffix}", RGB).read_bytes()
        for trial in range(60):
            damaged = bytearray(whole)
            for at in rng.integers(0, min(len(whole), 120), 3):
                damaged[at] = rng.integers(0, 256)
            path = tmp_path / f"{trial}.{suffix}"
            path.write_bytes(damaged)
            try:
                assert decode(path).shape[2] == 3
                outcomes.add("decoded")
            except DecodeError:
                outcomes.add("refused")
    assert outcomes == {"decoded", "refused"}


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    save(tmp_path / "drawing.eps", RGB)
    (tmp_path / "drawing.eps").rename(tmp_path / "drawing.png")
    for name, reason in {
        "text.jpg": "not an image in a known format",
        "folder.png": "is a folder",
        "drawing.png": "not an image in a known format",
        "absent.png": "file not found",
    }.items():
        with pytest.raises(DecodeError) as caught:
            decode(tmp_path / name)
        assert caught.value.reason == reason
        assert pickle.loads(pickle.dumps(caught.value)).reason == reason


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    assert np.array_equal(decode(save(tmp_path / "png.jpg", RGB, format="PNG")), RGB)


def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
    with pytest.raises(DecodeError, match="decompression bomb"):
        decode(bomb)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(DecodeError, match="60000 x 60000"):
        decode(bomb)


@pytest.fixture
def mixed(tmp_path: Path) -> ImageSet:
    """Four images with labels; the second is truncated, the last is missing."""
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / name, RGB)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    return ImageSet(tmp_path, ("a.png", "b.png", "c.png", "d.png"), (0, 1, 1, 0))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_undecodable_images_are_quarantined(mixed: ImageSet, workers: int, caplog: pytest.LogCaptureFixture) -> None:
    file = mixed.root / "out" / "quarantine.csv"
    seen: list[tuple[int, int]] = []
    with caplog.at_level(logging.WARNING):
        good = check_images(mixed, file, False, workers, progress=lambda done, total: seen.append((done, total)))
    assert good == ImageSet(mixed.root, ("a.png", "c.png"), (0, 1))
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [str(mixed.root / "b.png"), str(mixed.root / "d.png")]
    assert rows[1]["reason"] == "file not found"
    assert "2 of 4 images" in caplog.text
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_rerun_adds_nothing_twice_and_keeps_other_sets(mixed: ImageSet) -> None:
    file = mixed.root / "quarantine.csv"
    check_images(mixed.subset([0, 1]), file, False, 2)
    check_images(mixed.subset([2, 3]), file, False, 2)
    before = file.read_bytes()
    check_images(mixed.subset([2, 3]), file, False, 2)
    assert file.read_bytes() == before
    save(mixed.root / "d.png", RGB)
    check_images(mixed.subset([2, 3]), file, False, 2)
    assert [Path(path).name for path, _ in read_quarantine(file)] == ["b.png"]
    save(mixed.root / "b.png", RGB)
    check_images(mixed, file, False, 2)
    assert not file.exists()


def test_strict_is_an_error_and_still_lists_all(mixed: ImageSet) -> None:
    file = mixed.root / "quarantine.csv"
    with pytest.raises(DataError, match=r"2 of 4 images.*b\.png.*without --strict"):
        check_images(mixed, file, True, 2)
    assert len(read_quarantine(file)) == 2
    assert check_images(mixed.subset([0, 2]), file, True, 2) == mixed.subset([0, 2])


def test_no_image_left_is_an_error(mixed: ImageSet) -> None:
    with pytest.raises(DataError, match="none is left"):
        check_images(mixed.subset([1, 3]), mixed.root / "quarantine.csv", False, 2)
