"""Masks in files: what is written is what was found, in every form."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.warp import transform as warp

from headstart.errors import RunError
from headstart.inference.polygons import Place
from headstart.sam import vectors
from headstart.sam.coco import write_coco
from headstart.sam.files import ImageMasks, covered_pixels, read_masks, write_masks
from headstart.sam.ids import id_array, id_strips, packed_rgb, unpacked_rgb, write_ids
from headstart.sam.overlay import TINT, colour_of, overlay, sampled_ids, shown_size
from headstart.sam.record import Mask, coco_rle, dense, dense_in_bbox, encoded, mask_of, moved, runs_in_image
from headstart.sam.runs import counts_of, runs_of, union

bitmaps = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(bool, shape))


def made(pixels: np.ndarray, **told) -> Mask:
    height, width = pixels.shape
    facts = {"predicted_iou": 0.91, "stability": 0.97, "point": (1.5, 2.5), "crop": (0, 0, width, height)}
    return mask_of(pixels, (height, width), **{**facts, **told})


def bytes_of(rle) -> dict:
    return {"size": rle["size"], "counts": rle["counts"].encode()}


def blobs(height: int, width: int, n: int, seed: int = 0) -> list[np.ndarray]:
    """Ragged shapes with holes and islands that lie over one another."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    shapes = []
    for _ in range(n):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.1, 0.4) * min(height, width)
        wobble = 1 + 0.4 * np.sin(5 * np.arctan2(y - cy, x - cx) + rng.uniform(0, 6))
        shape = (np.hypot(y - cy, x - cx) < r * wobble) & (rng.random((height, width)) > 0.05)
        if shape.any():
            shapes.append(shape)
    return shapes


def image_of(shapes: list[np.ndarray], name: str = "a.png") -> ImageMasks:
    return ImageMasks.of(name, shapes[0].shape, [made(shape) for shape in shapes])


@given(bitmaps)
@settings(deadline=None)
def test_a_mask_is_its_pixels_in_coco_form_too(pixels):
    if not pixels.any():
        with pytest.raises(ValueError, match="at least one pixel"):
            made(pixels)
        return
    mask = made(pixels)
    assert (dense(mask) == pixels).all()
    assert coco_rle(mask) == encoded(pixels)  # without ever making the bitmap of the image
    assert mask.area == pixels.sum() == coco.area(bytes_of(coco_rle(mask)))
    x0, y0, x1, y1 = mask.bbox
    assert [x0, y0, x1 - x0, y1 - y0] == coco.toBbox(bytes_of(coco_rle(mask))).tolist()
    assert dense_in_bbox(mask).any(0)[[0, -1]].all()
    assert dense_in_bbox(mask).any(1)[[0, -1]].all()


@given(bitmaps, st.data())
@settings(deadline=None)
def test_runs_are_drawn_joined_and_counted_like_bitmaps(pixels, data):
    other = data.draw(arrays(bool, pixels.shape))
    runs, more = runs_of(encoded(pixels)), runs_of(encoded(other))
    height, width = pixels.shape
    (x0, x1), (y0, y1) = (sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in (width, height))
    assert (runs.drawn((x0, y0, x1, y1)) == pixels[y0:y1, x0:x1]).all()
    both = union([runs, more])
    assert (both.drawn((0, 0, width, height)) == (pixels | other)).all()
    assert both.area == (pixels | other).sum()
    assert both.rle((height, width)) == encoded(pixels | other) or not (pixels | other).any()
    counts = counts_of(encoded(pixels)["counts"])
    assert counts.sum() == pixels.size


def test_a_mask_of_a_huge_raster_needs_no_bitmap_of_it():
    size = (65_000, 65_000)
    mask = mask_of(
        np.ones((40, 30), bool), size, (64_000, 61_000), predicted_iou=1, stability=1, point=(0, 0), crop=(0, 0, 1, 1)
    )
    rle = bytes_of(coco_rle(mask))
    assert coco.area(rle) == 1200
    assert coco.toBbox(rle).tolist() == [64_000, 61_000, 30, 40]
    image = ImageMasks.of("r", size, [mask])
    assert image.covered == 1200


def test_a_moved_mask_takes_point_and_crop_along():
    mask = moved(made(np.ones((2, 3), bool)), (100, 200), (1000, 1000))
    assert (mask.bbox, mask.point, mask.crop) == ((100, 200, 103, 202), (101.5, 202.5), (100, 200, 103, 202))
    assert mask.image_size == (1000, 1000)


def test_json_to_pycocotools_and_back_is_the_same_mask(tmp_path):
    shapes = blobs(90, 120, 9)
    image = image_of(shapes, "north/a.png")
    write_masks(tmp_path / "a.json", image)
    raw = json.loads((tmp_path / "a.json").read_text())
    assert (raw["file_name"], raw["height"], raw["width"], raw["bbox_mode"]) == ("north/a.png", 90, 120, "XYXY")
    by_area = sorted(shapes, key=lambda shape: -shape.sum())
    for shape, entry in zip(by_area, raw["annotations"], strict=True):
        assert (coco.decode(bytes_of(entry["segmentation"])).astype(bool) == shape).all()
        x0, y0, x1, y1 = entry["bbox"]
        rows, cols = np.nonzero(shape)
        assert (x0, y0, x1, y1) == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
        assert entry["area"] == shape.sum()
        assert (entry["predicted_iou"], entry["stability_score"]) == (0.91, 0.97)
        assert entry["point_coords"] == [[1.5, 2.5]]
    assert [entry["id"] for entry in raw["annotations"]] == list(range(1, len(shapes) + 1))
    assert raw["coverage"] == np.any(shapes, axis=0).mean()
    assert read_masks(tmp_path / "a.json") == image


def test_coverage_counts_a_pixel_once_however_many_masks(monkeypatch):
    monkeypatch.setattr("headstart.sam.files.GATHERED", 2)
    shapes = blobs(40, 50, 7, seed=3)
    assert covered_pixels([made(shape) for shape in shapes]) == np.any(shapes, axis=0).sum()
    assert covered_pixels([]) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.pop("annotations"),
        lambda raw: raw["annotations"][0].update(area=7),
        lambda raw: raw["annotations"][0]["segmentation"].update(size=[3, 3]),
        lambda raw: raw["annotations"][0].update(point_coords=[]),
        lambda raw: raw.update(width="wide"),
    ],
)
def test_a_file_changed_by_hand_is_refused(tmp_path, damage):
    write_masks(tmp_path / "a.json", image_of(blobs(30, 30, 2)))
    raw = json.loads((tmp_path / "a.json").read_text())
    damage(raw)
    (tmp_path / "a.json").write_text(json.dumps(raw))
    with pytest.raises(RunError, match="overwrite"):
        read_masks(tmp_path / "a.json")


def test_the_folders_file_loads_in_pycocotools(tmp_path, capsys):
    images = [image_of(blobs(40, 60, 5, seed), f"{seed}.png") for seed in range(3)]
    images.insert(1, ImageMasks.of("none.png", (10, 20), []))
    files = [tmp_path / f"{i}.json" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        write_masks(file, image)
    n = write_coco(tmp_path / "coco.json", files, "1.0")
    data = COCO(str(tmp_path / "coco.json"))
    assert n == len(data.anns) == sum(len(image.masks) for image in images)
    assert [data.imgs[i + 1]["file_name"] for i in range(4)] == [image.name for image in images]
    assert data.getAnnIds(imgIds=[2]) == []
    for i, image in enumerate(images, 1):
        entries = data.loadAnns(data.getAnnIds(imgIds=[i]))
        for mask, entry in zip(image.masks, entries, strict=True):
            assert (data.annToMask(entry).astype(bool) == dense(mask)).all()
            x0, y0, x1, y1 = mask.bbox
            assert entry["bbox"] == [x0, y0, x1 - x0, y1 - y0]
            assert (entry["iscrowd"], entry["category_id"], entry["area"]) == (0, 1, mask.area)
    assert data.loadCats([1])[0]["name"] == "object"


def expected_ids(image: ImageMasks) -> np.ndarray:
    """The rule: the smallest mask at a pixel."""
    ids = np.zeros(image.size, np.uint32)
    smallest = np.full(image.size, np.inf)
    for number, mask in enumerate(image.masks, 1):
        pixels = dense(mask) & (mask.area <= smallest)
        ids[pixels], smallest[pixels] = number, mask.area
    return ids


def test_the_smallest_mask_owns_a_pixel():
    image = image_of(blobs(70, 80, 12, seed=5))
    assert (id_array(image) == expected_ids(image)).all()
    strips = [strip for _, strip in id_strips(image, 13)]
    assert (np.concatenate(strips) == expected_ids(image)).all()
    assert max(len(strip) for strip in strips) == 13


def test_an_id_raster_as_png_is_packed_in_rgb_as_coco_panoptic(tmp_path):
    image = image_of(blobs(50, 60, 6))
    write_ids(tmp_path / "ids.png", image)
    with Image.open(tmp_path / "ids.png") as stored:
        assert stored.mode == "RGB"
        pixels = np.asarray(stored)
    assert (unpacked_rgb(pixels) == id_array(image)).all()
    many = np.array([[0, 1, 255, 256, 65_535, 65_536, 256**3 - 1]], np.uint32)
    assert (unpacked_rgb(packed_rgb(many)) == many).all()
    assert packed_rgb(many)[0, 3].tolist() == [0, 1, 0]


def test_an_id_raster_as_tiff_is_uint32(tmp_path):
    image = image_of(blobs(600, 60, 6))
    write_ids(tmp_path / "ids.tif", image)
    with rasterio.open(tmp_path / "ids.tif") as raster:
        assert raster.dtypes == ("uint32",)
        assert raster.nodata == 0
        assert (raster.read(1) == id_array(image)).all()
    assert not list(tmp_path.glob("*.part*"))


UTM = Place(Affine(10, 0, 500_000, 0, -10, 5_000_000), CRS.from_epsg(32633))
DEGREES = Place(Affine(0.01, 0, 14, 0, -0.01, 46), CRS.from_epsg(4326))


def drawn_again(path: Path, place: Place, size: tuple[int, int]) -> list[np.ndarray]:
    """The polygons of a file, back in pixels and filled."""
    info, _, shapes, _ = pyogrio.raw.read(path)
    shapes = shapely.from_wkb(shapes)
    if place.crs is not None and CRS.from_user_input(info["crs"]) != place.crs:

        def back(places: np.ndarray) -> np.ndarray:
            return np.stack(warp(info["crs"], place.crs, *places.T), axis=1)

        shapes = shapely.transform(shapes, back)
    known = Affine.identity() if place.transform is None else place.transform
    return [rasterize([shape], out_shape=size, transform=known).astype(bool) for shape in shapes]


@pytest.mark.parametrize("band", [vectors.BAND_PIXELS, 700])
@pytest.mark.parametrize("place", [UTM, DEGREES, Place()], ids=["utm", "degrees", "pixels"])
@pytest.mark.parametrize("ending", ["geojson", "gpkg"])
def test_polygons_drawn_again_are_the_masks(tmp_path, ending, place, band, monkeypatch):
    monkeypatch.setattr(vectors, "BAND_PIXELS", band)
    image = image_of(blobs(80, 100, 6, seed=2))
    path = tmp_path / f"a.{ending}"
    assert vectors.write_mask_polygons(image, place, path) == len(image.masks)
    for mask, pixels in zip(image.masks, drawn_again(path, place, image.size), strict=True):
        iou = (pixels & dense(mask)).sum() / (pixels | dense(mask)).sum()
        assert iou >= 0.99
    columns = pyogrio.raw.read(path)
    table = dict(zip(columns[0]["fields"], columns[3], strict=True))
    assert table["id"].tolist() == list(range(1, len(image.masks) + 1))
    assert table["area_px"].tolist() == [mask.area for mask in image.masks]
    if place is UTM:
        assert table["area"].tolist() == [100.0 * mask.area for mask in image.masks]


def test_outlines_have_no_corner_along_the_seams_of_bands(monkeypatch):
    mask = made(np.ones((50, 40), bool))
    monkeypatch.setattr(vectors, "BAND_PIXELS", 400)
    (square,) = vectors.outlines(mask)
    assert shapely.equals(square, shapely.box(0, 0, 40, 50))
    assert shapely.get_num_coordinates(square) == 5


def test_no_mask_is_an_empty_layer(tmp_path):
    assert vectors.write_mask_polygons(ImageMasks.of("a", (9, 9), []), UTM, tmp_path / "a.gpkg") == 0
    assert pyogrio.read_info(tmp_path / "a.gpkg")["features"] == 0


def test_the_overlay_tints_and_outlines_each_mask_and_leaves_the_rest():
    pixels = np.full((600, 700, 3), 120, np.uint8)
    ids = np.zeros((600, 700), np.uint32)
    ids[100:200, 100:300] = 1
    ids[150:180, 120:160] = 2
    drawn = overlay(pixels, ids)
    assert drawn.shape == pixels.shape
    assert (drawn[400:] == 120).all()
    inside = np.array([120, 120, 120]) * (1 - TINT) + np.array(colour_of(1)) * TINT
    assert np.abs(drawn[110, 250] - inside).max() <= 1
    assert np.abs(drawn[100, 250] - 0.85 * np.array(colour_of(1))).max() <= 1
    assert (drawn[98, 250] == 255).all()
    assert not (drawn[165, 140] == drawn[110, 250]).all()


def test_small_images_are_enlarged_and_large_ones_sampled():
    assert overlay(np.zeros((100, 60, 3), np.uint8), np.zeros((100, 60), np.uint32)).shape == (500, 300, 3)
    assert shown_size((4000, 1000), 2000) == (2000, 500)
    assert shown_size((40, 10), 2000) == (40, 10)
    image = image_of(blobs(90, 120, 9))
    assert (sampled_ids(image, image.size) == id_array(image)).all()
    assert (sampled_ids(image, (30, 40)) == id_array(image)[1::3, 1::3]).all()


def test_neighbouring_colours_differ():
    colours = np.array([colour_of(number) for number in range(1, 60)], int)
    assert np.abs(np.diff(colours, axis=0)).sum(1).min() > 90


def test_ids_run_from_the_largest_to_the_smallest():
    shapes = blobs(40, 50, 8)
    forth, back = (ImageMasks.of("a", (40, 50), [made(shape) for shape in order]) for order in (shapes, shapes[::-1]))
    assert forth == back
    areas = [mask.area for mask in forth.masks]
    assert areas == sorted(areas, reverse=True)
    assert forth.areas == (areas[-1], int(np.median(areas)), areas[0])
    assert replace(forth.masks[0]) == forth.masks[0]
    assert runs_in_image(forth.masks[0]).bbox == forth.masks[0].bbox
