"""Tiles of large images: masks joined across their borders, ids unique, memory bounded, interruptions survived."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from scipy import ndimage
from tests.inference.synthetic import UTM, write_raster
from tests.sam.colours import ByColour, WithWhole, scene, use, write_png

from headstart.configs.masks import MasksConfig, MaskTilesConfig
from headstart.inference.parts import Parts
from headstart.sam.files import ImageMasks, read_masks
from headstart.sam.ids import id_array
from headstart.sam.merge import Tile, merged, overlapping
from headstart.sam.record import Mask, dense, mask_of
from headstart.sam.tiles import tile_boxes, tile_masks
from headstart.sam.verb import masks


def reader(pixels: np.ndarray, valid: np.ndarray | None = None):
    """A ``Reader`` of an array (H, W, 3)."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)

    def read(top, bottom, left, right):
        seen = None if valid is None else torch.from_numpy(valid[top:bottom, left:right])
        return image[:, top:bottom, left:right], seen

    return read


def in_tiles(generator, pixels, side, overlap, folder, merge_iou=0.5, valid=None) -> list[Mask]:
    size = pixels.shape[:2]
    boxes = tile_boxes(size, side, overlap)
    return merged(tile_masks(generator, reader(pixels, valid), size, boxes, Parts(folder, "key")), merge_iou)


def as_sets(found: list[Mask]) -> set[bytes]:
    return {np.packbits(dense(mask)).tobytes() for mask in found}


@pytest.mark.parametrize(
    ("size", "side", "overlap"), [((300, 400), 128, 0.25), ((257, 130), 64, 0.5), ((90, 700), 96, 0.1)]
)
def test_tiles_cover_every_pixel_and_have_their_overlap(size, side, overlap):
    boxes = tile_boxes(size, side, overlap)
    covered = np.zeros(size, int)
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= size[1]
        assert 0 <= y0 < y1 <= size[0]
        assert max(x1 - x0, y1 - y0) <= side
        covered[y0:y1, x0:x1] += 1
    assert covered.min() >= 1
    for starts, ends in ((sorted({b[0] for b in boxes}), sorted({b[2] for b in boxes})),):
        for start, end in zip(starts[1:], ends[:-1], strict=True):
            assert end - start >= int(side * overlap)


def test_overlapping_boxes_are_found():
    boxes = tile_boxes((300, 400), 128, 0.5)
    brute = {
        (i, j)
        for i, a in enumerate(boxes)
        for j, b in enumerate(boxes)
        if i < j and a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    }
    found = list(overlapping(boxes))
    assert len(found) == len(set(found))
    assert set(found) == brute


@pytest.mark.parametrize("generator", [ByColour, WithWhole])
@pytest.mark.parametrize(("side", "overlap"), [(128, 0.25), (96, 0.5), (64, 0.1)])
def test_tiles_find_the_same_masks_as_the_whole_image(tmp_path, generator, side, overlap):
    pixels = scene(300, 420, seed=4, n=25)
    whole = generator().generate(pixels)
    found = in_tiles(generator(), pixels, side, overlap, tmp_path / "p")
    if generator is ByColour:
        assert as_sets(found) == as_sets(whole)
    else:  # the mask of everything is cut where there is nothing in an overlap; the discs are all there
        assert as_sets(ByColour().generate(pixels)) <= as_sets(found)


def test_a_thing_that_spans_many_tiles_is_one_mask(tmp_path):
    pixels = np.zeros((400, 520, 3), np.uint8)
    pixels[150:250] = (200, 10, 10)
    pixels[:, 240:280] = (200, 10, 10)
    pixels[180:200, 300:310] = (10, 200, 10)
    cross, dot = sorted(in_tiles(ByColour(), pixels, 128, 0.25, tmp_path / "p"), key=lambda mask: -mask.area)
    assert (dense(cross) == (pixels[..., 0] == 200)).all()
    assert (dense(dot) == (pixels[..., 1] == 200)).all()
    assert cross.image_size == (400, 520)
    x0, y0, x1, y1 = cross.crop
    assert (x1 - x0, y1 - y0) == (128, 128)
    assert x0 <= cross.point[0] < x1
    assert y0 <= cross.point[1] < y1


def square(box, tile, iou=0.9) -> Mask:
    x0, y0, x1, y1 = box
    told = {"predicted_iou": iou, "stability": 0.9, "point": (x0, y0), "crop": tile}
    return mask_of(np.ones((y1 - y0, x1 - x0), bool), (100, 160), (x0, y0), **told)


LEFT, RIGHT = (0, 0, 100, 100), (60, 0, 160, 100)


def test_a_part_and_the_whole_stay_two_masks():
    """In the overlap (columns 60 to 100) the part has an IoU of 0.75 with the whole: enough to be joined with it."""
    whole, part = ((40, 20, 100, 60), (60, 20, 90, 60))
    tiles = [
        Tile(LEFT, (square(whole, LEFT), square(part, LEFT))),
        Tile(RIGHT, (square((60, 20, 90, 60), RIGHT), square((60, 20, 130, 60), RIGHT))),
    ]
    found = merged(tiles, 0.5)
    assert sorted(mask.bbox for mask in found) == [(40, 20, 130, 60), (60, 20, 90, 60)]


def test_masks_that_disagree_in_the_overlap_are_not_joined():
    tiles = [Tile(LEFT, (square((40, 20, 100, 60), LEFT),)), Tile(RIGHT, (square((60, 40, 130, 90), RIGHT),))]
    assert len(merged(tiles, 0.5)) == 2
    assert len(merged(tiles, 0.2)) == 1


def test_masks_outside_the_overlap_are_not_asked_about_it():
    tiles = [Tile(LEFT, (square((0, 0, 50, 50), LEFT),)), Tile(RIGHT, (square((110, 0, 150, 50), RIGHT),))]
    assert len(merged(tiles, 0.01)) == 2


def test_a_union_has_the_estimates_of_its_largest_part():
    tiles = [Tile(LEFT, (square((90, 0, 100, 40), LEFT, 0.99),)), Tile(RIGHT, (square((90, 0, 150, 40), RIGHT, 0.89),))]
    (mask,) = merged(tiles, 0.5)
    assert (mask.predicted_iou, mask.crop, mask.area) == (0.89, RIGHT, 60 * 40)


def test_masks_leave_out_nodata_and_empty_tiles_are_not_looked_at(tmp_path):
    pixels = np.full((200, 300, 3), 90, np.uint8)
    valid = np.zeros((200, 300), bool)
    valid[20:180, 10:90] = True
    generator = ByColour()
    (mask,) = in_tiles(generator, pixels, 128, 0.25, tmp_path / "p", valid=valid)
    assert (dense(mask) == valid).all()
    assert len(generator.seen) < len(tile_boxes((200, 300), 128, 0.25))


def test_finished_tiles_are_not_looked_at_again(tmp_path):
    pixels = scene(300, 420, seed=4, n=25)
    boxes = tile_boxes(pixels.shape[:2], 128, 0.25)

    class Stops(ByColour):
        def generate(self, image):
            if len(self.seen) == 3:
                raise KeyboardInterrupt
            return super().generate(image)

    with pytest.raises(KeyboardInterrupt):
        in_tiles(Stops(), pixels, 128, 0.25, tmp_path / "p")
    generator = ByColour()
    found = in_tiles(generator, pixels, 128, 0.25, tmp_path / "p")
    assert len(generator.seen) == len(boxes) - 3
    assert as_sets(found) == as_sets(ByColour().generate(pixels))


def test_a_geotiff_keeps_its_place_and_has_an_id_for_each_mask(tmp_path, monkeypatch):
    pixels = scene(500, 700, seed=7, n=30)
    layout = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    source = write_raster(tmp_path / "r.tif", np.moveaxis(pixels, 2, 0), **layout)
    use(monkeypatch, ByColour())
    tiles = MaskTilesConfig(size=160)
    result = masks(MasksConfig(inputs=(str(source),), out=tmp_path / "out", tiles=tiles))
    (told,) = result.images
    assert told.tiles == len(tile_boxes((500, 700), 160, 0.25))
    with rasterio.open(tmp_path / "out" / told.ids) as ids, rasterio.open(source) as given:
        assert (ids.crs, ids.transform, ids.shape) == (given.crs, given.transform, given.shape)
        assert ids.dtypes == ("uint32",)
        assert ids.block_shapes == [(128, 128)]
        found = ids.read(1)
    image = read_masks(tmp_path / "out" / told.masks)
    assert (found == id_array(image)).all()
    labels, n = ndimage.label(pixels.any(2))
    assert len(np.unique(found)) - 1 == n == told.n_masks
    for label in range(1, n + 1):
        assert len(np.unique(found[labels == label])) == 1  # one id for a disc, though tiles cut it
    assert not list((tmp_path / "out").glob("*.parts"))


def test_whole_images_are_what_plain_pictures_get(tmp_path, monkeypatch):
    source = write_png(tmp_path / "in" / "a.png", scene(1100, 1300, n=4))
    generator = ByColour()
    use(monkeypatch, generator)
    result = masks(MasksConfig(inputs=(str(source),), out=tmp_path / "out"))
    assert generator.seen == [(1100, 1300)]
    assert result.images[0].tiles == 1
    tiles = MaskTilesConfig(size=512)
    masks(MasksConfig(inputs=(str(source),), out=tmp_path / "tiled", tiles=tiles))
    assert max(max(size) for size in generator.seen[1:]) == 512
    one, other = (json.loads((tmp_path / name / "a_masks.json").read_text()) for name in ("out", "tiled"))
    assert [e["segmentation"] for e in one["annotations"]] == [e["segmentation"] for e in other["annotations"]]


MEASURE = """
import sys
from pathlib import Path
import numpy as np
import headstart.sam.verb as verb
from headstart.configs.masks import MasksConfig
from headstart.sam.record import mask_of

class Bars:
    def generate(self, image):
        height, width = image.shape[:2]
        rows = image[..., 0] > 0
        told = {"predicted_iou": .9, "stability": .9, "point": (0, 0), "crop": (0, 0, width, height)}
        return [mask_of(rows, (height, width), **told)] if rows.any() else []

verb.load_engine = lambda config: verb.Engine(Bars(), None, "fp32")
verb.masks(MasksConfig(inputs=(sys.argv[1],), out=Path(sys.argv[2]), overlay_px=256))
print(int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_raster(tmp_path):
    """The longer raster has ten times the pixels and a mask across all of it: its bitmap alone would take 90 MB."""
    width, peaks = 3_000, []
    for height in (3_000, 30_000):
        path = tmp_path / f"{height}.tif"
        layout = {"driver": "GTiff", "count": 3, "dtype": "uint8", "tiled": True, "compress": "deflate"}
        with rasterio.open(path, "w", width=width, height=height, crs=UTM["crs"], **layout) as raster:
            strip = np.zeros((3, 1000, width), np.uint8)
            strip[:, :, ::100] = 200
            for top in range(0, height, 1000):
                raster.write(strip, window=rasterio.windows.Window(0, top, width, 1000))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
        command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / f"out-{height}")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        peaks.append(int(done.stdout.split()[-1]))
        image = read_masks(tmp_path / f"out-{height}" / f"{height}_masks.json")
        assert image.masks[0].bbox == (0, 0, width - 99, height)
    assert peaks[1] - peaks[0] < 60, peaks


def test_an_image_without_masks_has_its_files_all_the_same():
    image = ImageMasks.of("a", (5, 6), [])
    assert (image.coverage, image.areas) == (0, None)
    assert (id_array(image) == 0).all()
