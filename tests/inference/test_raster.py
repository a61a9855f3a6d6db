import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.enums import ColorInterp
from tests.inference.synthetic import LABELS, PALETTE, Brightest, brightest, patches, values_of, write_raster
from torch import nn

from headstart.data.decode import DecodeError
from headstart.data.palettes import Palette
from headstart.inference import raster as room
from headstart.inference.raster import RasterJob, parts_folder, predict_raster
from headstart.inference.raster_output import Labels, free_value
from headstart.inference.tiles import predict_image

TILED = {"tiled": True, "blockxsize": 32, "blockysize": 64, "compress": "lzw"}


def job(source: Path, probabilities: bool = False) -> RasterJob:
    second = source.with_name("probabilities.tif") if probabilities else None
    return RasterJob(source, source.with_name("classes.tif"), second, key="model a")


def test_the_class_raster_keeps_what_the_input_says_of_itself(tmp_path: Path) -> None:
    pixels = patches(150, 220)
    source = write_raster(tmp_path / "in.tif", pixels, **TILED)
    assert predict_raster(brightest(), LABELS, job(source)) == 150 * 220
    with rasterio.open(source) as given, rasterio.open(tmp_path / "classes.tif") as made:
        assert (made.crs, made.transform, made.bounds) == (given.crs, given.transform, given.bounds)
        assert made.block_shapes == [(64, 32)]
        assert made.compression.name == "lzw"
        assert made.nodata is None
        assert made.dtypes == ("uint8",)
        assert made.colorinterp == (ColorInterp.palette,)
        assert {v: made.colormap(1)[v] for v in PALETTE.values} == {
            v: (*c, 255) for v, c in zip(PALETTE.values, PALETTE.colours, strict=True)
        }
        assert made.tags()["CLASS_5"] == "blue"
        np.testing.assert_array_equal(made.read(1), values_of(pixels))
    assert {path.name for path in tmp_path.iterdir()} == {"in.tif", "classes.tif"}


def test_lossy_compression_becomes_deflate_and_strips_stay_strips(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "in.tif", patches(96, 100), compress="jpeg", blockysize=16, tiled=False)
    predict_raster(brightest(), LABELS, job(source))
    with rasterio.open(tmp_path / "classes.tif") as made:
        assert made.compression.name == "deflate"
        assert made.block_shapes == [(16, 100)]


def test_probabilities_are_percentages_with_a_band_for_each_class(tmp_path: Path) -> None:
    pixels = patches(80, 150)
    source = write_raster(tmp_path / "in.tif", pixels, **TILED)
    predictor = brightest()
    predict_raster(predictor, LABELS, job(source, probabilities=True))
    expected = predict_image(
        Brightest(), torch.from_numpy(pixels), predictor.mean, predictor.std, predictor.tiling, 64, False
    )
    with rasterio.open(tmp_path / "probabilities.tif") as made:
        assert made.descriptions == ("red", "green", "blue")
        assert made.block_shapes[0] == (64, 32)
        np.testing.assert_allclose(made.read(), 100 * expected.numpy(), atol=0.5 + 1e-3)


@pytest.mark.parametrize("given", [0, 5])
def test_nodata_pixels_are_nodata_and_the_value_is_kept_where_it_is_no_class(tmp_path: Path, given: int) -> None:
    pixels = patches(130, 140)
    pixels[:, 20:90, :100] = given
    pixels[0, 100, 100] = given  # one band only: a valid pixel
    pixels[1:, 100, 100] = 77
    source = write_raster(tmp_path / "in.tif", pixels, nodata=given, **TILED)
    predict_raster(brightest(), LABELS, job(source, probabilities=True))
    nodata = (pixels == given).all(0)
    with rasterio.open(tmp_path / "classes.tif") as made, rasterio.open(tmp_path / "probabilities.tif") as shares:
        assert made.nodata == (0 if given == 0 else 255)
        np.testing.assert_array_equal(made.read(1) == made.nodata, nodata)
        np.testing.assert_array_equal(made.read(1)[~nodata], values_of(pixels)[~nodata])
        assert made.colormap(1)[int(made.nodata)][:3] == (0, 0, 0)
        np.testing.assert_array_equal(shares.read(2) == shares.nodata, nodata)


def test_transparent_pixels_are_nodata(tmp_path: Path) -> None:
    alpha = np.full((1, 70, 90), 255, dtype=np.uint8)
    alpha[0, :30] = 0
    pixels = np.concatenate([patches(70, 90), alpha])
    source = write_raster(tmp_path / "in.tif", pixels, photometric="rgb", alpha="yes")
    predict_raster(brightest(), LABELS, job(source))
    with rasterio.open(tmp_path / "classes.tif") as made:
        assert made.nodata == 255
        np.testing.assert_array_equal(made.read(1) == 255, alpha[0] == 0)


def test_a_raster_without_a_valid_pixel_is_all_nodata(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "in.tif", np.zeros((3, 70, 90), dtype=np.uint8), nodata=0)
    predictor = brightest()
    predict_raster(predictor, LABELS, job(source, probabilities=True))
    with rasterio.open(tmp_path / "classes.tif") as made:
        assert set(np.unique(made.read())) == {0}
    assert isinstance(predictor.network, Brightest)
    assert predictor.network.tiles == 0


def test_only_the_first_three_of_more_bands_count(tmp_path: Path) -> None:
    pixels = np.concatenate([patches(60, 60), np.full((2, 60, 60), 255, dtype=np.uint8)])
    source = write_raster(tmp_path / "in.tif", pixels, photometric="minisblack", alpha="no")
    predict_raster(brightest(), LABELS, job(source))
    with rasterio.open(tmp_path / "classes.tif") as made:
        np.testing.assert_array_equal(made.read(1), values_of(pixels[:3]))


@pytest.mark.parametrize("pixels", [patches(9, 9)[:1], patches(9, 9).astype(np.uint16)])
def test_other_rasters_are_refused_with_the_remedy(tmp_path: Path, pixels: np.ndarray) -> None:
    source = write_raster(tmp_path / "in.tif", pixels)
    with pytest.raises(DecodeError, match="gdal_translate"):
        predict_raster(brightest(), LABELS, job(source))
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


def test_a_raster_cut_short_is_a_decode_error_and_no_output(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "in.tif", patches(300, 300), **TILED)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(DecodeError):
        predict_raster(brightest(), LABELS, job(source))
    assert not (tmp_path / "classes.tif").exists()


def test_a_raster_wider_than_the_buffer_gives_the_same_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = patches(130, 900)
    source = write_raster(tmp_path / "in.tif", pixels, **TILED)
    torch.manual_seed(0)
    blur = nn.Conv2d(3, 3, 9, padding=4).eval()
    predictor = brightest()
    predictor.network.forward = blur.forward  # type: ignore[method-assign]
    predict_raster(predictor, LABELS, job(source, probabilities=True))
    with rasterio.open(tmp_path / "classes.tif") as one, rasterio.open(tmp_path / "probabilities.tif") as shares:
        whole, whole_shares = one.read(), shares.read().astype(int)
    monkeypatch.setattr(room, "BUFFER_BYTES", 4 * 3 * 64 * 200)
    predict_raster(predictor, LABELS, job(source, probabilities=True))
    with rasterio.open(tmp_path / "classes.tif") as parts, rasterio.open(tmp_path / "probabilities.tif") as shares:
        assert np.mean(parts.read() == whole) > 0.999  # other batches, other rounding: ties may fall otherwise
        assert np.abs(shares.read().astype(int) - whole_shares).max() <= 1


def test_values_above_255_make_a_raster_of_16_bits(tmp_path: Path) -> None:
    palette = Palette("wide", ("a", "b", "c"), ((9, 9, 9), (8, 8, 8), (7, 7, 7)), values=(0, 255, 1000))
    pixels = patches(40, 40)
    source = write_raster(tmp_path / "in.tif", pixels, nodata=0)
    predict_raster(brightest(), Labels(palette, 3), job(source))
    with rasterio.open(tmp_path / "classes.tif") as made:
        assert made.dtypes == ("uint16",)
        assert made.nodata == 65535
        np.testing.assert_array_equal(made.read(1), palette.to_values(pixels.argmax(0)))


def test_a_free_value_is_no_class() -> None:
    assert free_value(PALETTE, 7.0) == 7
    assert free_value(PALETTE, 9.0) == 255
    assert free_value(PALETTE, None) == 255
    assert free_value(PALETTE, -9999.0) == 255
    full = Palette("full", tuple(map(str, range(255))), ((0, 0, 0),) * 255, values=tuple(range(1, 256)))
    assert free_value(full, 3.0) == 0


INTERRUPTED = """
import sys, time
from pathlib import Path
from headstart.inference.raster import predict_raster
from tests.inference.synthetic import LABELS, brightest
from tests.inference.test_raster import job
predictor = brightest(batch=3)
if sys.argv[2] == "slowly":
    forward = predictor.network.forward
    predictor.network.forward = lambda images: (time.sleep(0.05), forward(images))[1]
predict_raster(predictor, LABELS, job(Path(sys.argv[1]), probabilities=True))
print(predictor.network.tiles)
"""


def run_apart(source: Path, pace: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(source), pace],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_prediction_goes_on_and_comes_to_the_same_bytes(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "in.tif", patches(1200, 200), nodata=0, **TILED)
    process = run_apart(source, "slowly")
    parts = parts_folder(tmp_path / "classes.tif")
    deadline = time.monotonic() + 60
    while len(list(parts.glob("*.z"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(list(parts.glob("*.z")))
    assert 5 <= kept < 24
    assert not (tmp_path / "classes.tif").exists()
    predictor = brightest(batch=3)
    predict_raster(predictor, LABELS, job(source, probabilities=True))
    grid = predictor.grid(1200, 200)
    assert isinstance(predictor.network, Brightest)
    assert predictor.network.tiles == (grid.n_rows - kept + 1) * grid.n_cols  # one row of tiles again, for the overlap
    resumed = [(tmp_path / name).read_bytes() for name in ("classes.tif", "probabilities.tif")]
    assert not parts.exists()
    for name in ("classes.tif", "probabilities.tif"):
        (tmp_path / name).unlink()
    predict_raster(brightest(batch=3), LABELS, job(source, probabilities=True))
    assert [(tmp_path / name).read_bytes() for name in ("classes.tif", "probabilities.tif")] == resumed


def test_parts_of_another_model_or_input_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_raster(tmp_path / "in.tif", patches(300, 100))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def all_predicted_but_not_written(job: RasterJob) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(room.RasterOutput, "write_classes", interrupted)
            with pytest.raises(KeyboardInterrupt):
                predict_raster(brightest(), LABELS, job)

    def tiles_needed_for(job: RasterJob) -> int:
        predictor = brightest()
        predict_raster(predictor, LABELS, job)
        assert isinstance(predictor.network, Brightest)
        return predictor.network.tiles

    every = brightest().grid(300, 100).n_tiles
    same = job(source)
    all_predicted_but_not_written(same)
    assert tiles_needed_for(same) == 0
    all_predicted_but_not_written(same)
    assert tiles_needed_for(replace(same, key="model b")) == every
    all_predicted_but_not_written(same)
    write_raster(source, patches(300, 100, seed=3))
    assert tiles_needed_for(same) == every
    with rasterio.open(same.classes) as made:
        np.testing.assert_array_equal(made.read(1), values_of(patches(300, 100, seed=3)))


def test_ground_control_points_are_kept(tmp_path: Path) -> None:
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(row=r, col=c, x=10 + c, y=50 - r) for r in (0, 50) for c in (0, 50)]
    source = tmp_path / "in.tif"
    write_raster(source, patches(50, 50), gcps=points, crs="EPSG:4326", transform=None)
    predict_raster(brightest(), LABELS, job(source))
    with rasterio.open(tmp_path / "classes.tif") as made:
        assert [(p.row, p.x) for p in made.gcps[0]] == [(p.row, p.x) for p in points]
        assert made.gcps[1].to_epsg() == 4326
