import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import features
from rasterio.transform import Affine
from tests.inference.synthetic import PALETTE, UTM, patches, values_of, write_raster

from headstart.inference import polygons as room
from headstart.inference.polygons import find_regions, geodesic_areas, simplified, write_polygons


def read(path: Path) -> tuple[dict[str, Any], Any, dict[str, list[Any]]]:
    """Meta data, shapely geometries, and attributes of a file of polygons."""
    meta, _, geometry, fields = pyogrio.raw.read(path)
    return meta, shapely.from_wkb(geometry), dict(zip(meta["fields"], map(list, fields), strict=True))


def class_raster(path: Path, height: int = 90, width: int = 120, **profile: Any) -> np.ndarray:
    values = values_of(patches(height, width))[None]
    write_raster(path, values, **profile)
    return values[0]


def test_polygons_rasterised_again_are_the_class_raster(tmp_path: Path) -> None:
    values = class_raster(tmp_path / "classes.tif")
    count = write_polygons(tmp_path / "classes.tif", PALETTE, tmp_path / "classes.gpkg")
    meta, shapes, fields = read(tmp_path / "classes.gpkg")
    assert meta["crs"] == UTM["crs"]
    assert count == len(shapes) > 5
    again = features.rasterize(
        zip(shapes, fields["value"], strict=True), values.shape, transform=UTM["transform"], dtype="uint8"
    )
    np.testing.assert_array_equal(again, values)
    assert fields["class"] == [dict(zip(PALETTE.values, PALETTE.classes, strict=True))[v] for v in fields["value"]]
    assert sum(fields["area_px"]) == values.size
    np.testing.assert_allclose(fields["area"], shapely.area(shapes))  # square metres: a pixel has 10 m
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.gpkg", "classes.tif"]


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 40), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_simplified_polygons_still_tile_the_raster(seed: int, height: int, width: int, classes: int) -> None:
    values = np.random.default_rng(seed).integers(0, classes, (height, width)).astype(np.uint8)
    regions = find_regions(values)
    assert int(regions.pixels.sum()) == values.size
    assert bool(shapely.is_valid(regions.shapes).all())
    shapes = simplified(regions.shapes, 1.0)
    assert bool(shapely.is_valid(shapes).all())
    assert float(shapely.area(shapes).sum()) == pytest.approx(values.size)  # no gap ...
    assert shapely.union_all(shapes).area == pytest.approx(values.size)  # ... and no overlap
    assert shapely.get_num_coordinates(shapes).sum() <= shapely.get_num_coordinates(regions.shapes).sum()


def test_simplification_takes_the_stairs_out_of_a_slanting_border() -> None:
    values = (np.add.outer(np.arange(60), np.arange(60) // 2) > 50).astype(np.uint8)
    exact, smooth = (shapely.get_num_coordinates(simplified(find_regions(values).shapes, t)).sum() for t in (0, 1.0))
    assert smooth < exact / 4


def test_too_many_corners_are_simplified_one_by_one_and_said_to_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    regions = find_regions(values_of(patches(60, 60)))
    monkeypatch.setattr(room, "COVERAGE_CORNERS", 10)
    shapes = simplified(regions.shapes, 1.0)
    assert "one by one" in caplog.text
    np.testing.assert_allclose(shapely.area(shapes), regions.pixels, atol=30)


def test_small_regions_and_nodata_are_left_out(tmp_path: Path) -> None:
    values = np.full((1, 40, 40), 1, dtype=np.uint8)
    values[0, :10] = 0
    values[0, 20, 20] = 2
    values[0, 30:32, 30:32] = 5
    write_raster(tmp_path / "classes.tif", values, nodata=0)
    write_polygons(tmp_path / "classes.tif", PALETTE, tmp_path / "classes.gpkg", min_pixels=4)
    _, _, fields = read(tmp_path / "classes.gpkg")
    assert sorted(zip(fields["class"], fields["area_px"], strict=True)) == [("blue", 4), ("red", 1195)]


def test_geojson_is_in_longitude_and_latitude(tmp_path: Path) -> None:
    values = class_raster(tmp_path / "classes.tif")
    count = write_polygons(tmp_path / "classes.tif", PALETTE, tmp_path / "classes.geojson")
    content = json.loads((tmp_path / "classes.geojson").read_text())
    assert "crs" not in content  # RFC 7946 knows one system only
    assert len(content["features"]) == count
    first = content["features"][0]["geometry"]["coordinates"][0][0]
    with rasterio.open(tmp_path / "classes.tif") as raster:
        west, south, east, north = rasterio.warp.transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
    assert west - 1e-6 <= first[0] <= east + 1e-6
    assert south - 1e-6 <= first[1] <= north + 1e-6
    assert sum(each["properties"]["area_px"] for each in content["features"]) == values.size


def test_areas_in_longitude_and_latitude_are_square_metres(tmp_path: Path) -> None:
    place = {"crs": "EPSG:4326", "transform": Affine(0.01, 0, 15, 0, -0.01, 48)}
    class_raster(tmp_path / "classes.tif", **place)
    write_polygons(tmp_path / "classes.tif", PALETTE, tmp_path / "classes.gpkg", simplify=2)
    _, _, fields = read(tmp_path / "classes.gpkg")
    whole = geodesic_areas(np.array([shapely.box(15, 47.1, 16.2, 48)]), np.pi / 180)
    assert sum(fields["area"]) == pytest.approx(float(whole[0]))
    per_pixel = np.array(fields["area"]) / np.array(fields["area_px"])
    assert 820_000 < per_pixel.min() <= per_pixel.max() < 850_000  # 1.11 km x 1.11 km x cos(47.5 degrees)


def test_the_earth_has_510_million_square_kilometres() -> None:
    earth = shapely.box(-180, -90, 180, 90)
    hole = shapely.Polygon(earth.exterior, [shapely.box(-10, -10, 10, 10).exterior])
    areas = geodesic_areas(np.array([earth, hole, shapely.box(-10, -10, 10, 10)]), np.pi / 180)
    assert areas[0] == pytest.approx(5.10065621724e14, rel=1e-9)
    assert areas[0] - areas[1] == pytest.approx(areas[2], rel=1e-9)


@pytest.mark.parametrize("ending", ["gpkg", "geojson"])
def test_an_image_that_lies_nowhere_gives_polygons_in_pixels(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = values_of(patches(30, 50))
    with caplog.at_level("INFO", logger="headstart"):
        write_polygons(values, PALETTE, tmp_path / f"image.{ending}")
    assert "in pixels" in caplog.text
    meta, shapes, fields = read(tmp_path / f"image.{ending}")
    assert list(shapely.total_bounds(shapes)) == [0, 0, 50, 30]
    assert fields["area"] == fields["area_px"]
    again = features.rasterize(zip(shapes, fields["value"], strict=True), values.shape, dtype="uint8")
    np.testing.assert_array_equal(again, values)
    assert meta["crs"] in (None, "EPSG:4326")  # the latter is what readers take for granted in a GeoJSON file


def test_a_raster_of_nodata_only_gives_an_empty_file(tmp_path: Path) -> None:
    write_raster(tmp_path / "classes.tif", np.zeros((1, 9, 9), dtype=np.uint8), nodata=0)
    assert write_polygons(tmp_path / "classes.tif", PALETTE, tmp_path / "classes.gpkg", simplify=1) == 0
    assert read(tmp_path / "classes.gpkg")[2]["class"] == []
