"""GeoTIFFs: the first three bands are the image, a single band is class values, and wide samples are refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.decode import MAX_PIXELS, DecodeError, decode
from headstart.data.masks import read_labels
from headstart.data.rasters import read_bands, read_image
from headstart.errors import MissingExtraError

rasterio = pytest.importorskip("rasterio")

BANDS = np.random.default_rng(0).integers(0, 256, (5, 12, 20), dtype=np.uint8)


def geotiff(path: Path, bands: np.ndarray, **options: object) -> Path:
    """Write (bands, H, W) with a place on Earth."""
    place = {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(5e5, 5e6, 10, 10)}
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", dtype=bands.dtype, **profile, **place | options) as raster:
        raster.write(bands)
    return path


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_the_first_three_bands_are_the_image(tmp_path: Path, count: int, interleave: str) -> None:
    pixels = read_image(geotiff(tmp_path / "x.tif", BANDS[:count], interleave=interleave))
    assert np.array_equal(pixels, np.moveaxis(BANDS[:3], 0, 2))
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.flags["WRITEABLE"]


def test_near_infrared_is_not_transparency(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "x.tif", BANDS[:4])
    with Image.open(path) as image:
        assert image.mode == "RGBA"
    assert np.array_equal(read_image(path), np.moveaxis(BANDS[:3], 0, 2))
    plain = tmp_path / "plain.tif"
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(plain)
    assert (decode(plain) == 255).all()


@pytest.mark.parametrize("options", [{"tiled": True, "blockxsize": 16, "blockysize": 16}, {"compress": "zstd"}])
def test_layouts_of_a_geotiff(tmp_path: Path, options: dict[str, object]) -> None:
    path = geotiff(tmp_path / "x.tiff", BANDS[:3], photometric="minisblack", **options)
    assert np.array_equal(read_image(path), np.moveaxis(BANDS[:3], 0, 2))


@pytest.mark.parametrize(("count", "dtype"), [(3, "uint16"), (4, "uint16"), (3, "float64"), (5, "int16")])
def test_wide_samples_name_the_remedy(tmp_path: Path, count: int, dtype: str) -> None:
    path = geotiff(tmp_path / "x.tif", BANDS[:count].astype(dtype))
    with pytest.raises(DecodeError, match=rf"x\.tif: its bands are {dtype}, not 8 bit.*gdal_translate -ot Byte"):
        read_image(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
def test_a_single_band_is_values(tmp_path: Path, dtype: str) -> None:
    values = (BANDS[0] % 7).astype(dtype)
    assert np.array_equal(read_labels(geotiff(tmp_path / "m.tif", values[None], compress="lzw")), values)


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
@pytest.mark.parametrize("count", [3, 4])
def test_masks_of_several_bands_are_colours(tmp_path: Path, count: int, photometric: str) -> None:
    path = geotiff(tmp_path / "m.tif", BANDS[:count], photometric=photometric)
    assert np.array_equal(read_labels(path), np.moveaxis(BANDS[:3], 0, 2))


def test_without_rasterio_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = geotiff(tmp_path / "x.tif", BANDS)
    three = geotiff(tmp_path / "rgb.tif", BANDS[:3])
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert decode(three).shape == (12, 20, 3)
    with pytest.raises(DecodeError, match=r"headstart\[geo\]"):
        decode(path)
    with pytest.raises(MissingExtraError):
        read_bands(path, MAX_PIXELS)


def test_what_only_looks_like_a_tiff(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"II*\0 and nothing else")
    (tmp_path / "y.tif").write_bytes(b"text")
    (tmp_path / "z.tif").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"/>')
    for name in ("x.tif", "y.tif", "z.tif"):
        for read in (decode, read_labels):
            with pytest.raises(DecodeError):
                read(tmp_path / name)


def test_too_many_pixels(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "x.tif", BANDS)
    with pytest.raises(Exception, match="20 x 12 pixels are more than 100; cut it into tiles"):
        read_bands(path, 100)
