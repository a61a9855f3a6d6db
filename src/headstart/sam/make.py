"""From an input to its files: masks first, and from these whatever else is not finished."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from headstart.configs.masks import TILE_PX, MasksConfig
from headstart.data.decode import DecodeError, decode
from headstart.inference.geo import geo
from headstart.inference.ledger import Ledger
from headstart.inference.pictures import save_picture
from headstart.inference.polygons import Place
from headstart.inference.raster import GDAL_CACHE_BYTES, RasterSource, one_line, open_rgb, remove_parts
from headstart.inference.tiles import Pixels, Reader
from headstart.sam.classify import MaskClassifier
from headstart.sam.files import ImageMasks, read_masks, write_masks
from headstart.sam.ids import MOST_PNG_IDS, write_ids
from headstart.sam.merge import merged
from headstart.sam.outputs import MaskItem, OutputSettings
from headstart.sam.overlay import overlay, sampled_ids, shown_size
from headstart.sam.runs import COUNTABLE
from headstart.sam.tiles import Generator, parts_of, tile_boxes, tile_masks
from headstart.sam.vectors import write_mask_polygons

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Todo:
    """What is still to be made of an item; ``masks`` is the JSON file, which needs the model, and ``classes`` are what
    a segmentation model adds to it.
    """

    item: MaskItem
    masks: bool
    classes: bool
    ids: bool
    overlay: bool
    polygons: bool

    @classmethod
    def of(cls, item: MaskItem, ledger: Ledger, settings: OutputSettings) -> "Todo":
        """RunError where something else is in the place of an output."""

        def unfinished(name: PurePosixPath | None, made_with: str) -> bool:
            return name is not None and not ledger.finished(item.source, name, made_with)

        found = settings.masks if ledger.made_with(item.masks) == settings.masks else settings.file
        masks = unfinished(item.masks, found)
        return cls(
            item,
            masks,
            masks or found != settings.file,
            unfinished(item.ids, settings.ids),
            unfinished(item.overlay, settings.overlay),
            unfinished(item.polygons, settings.polygons),
        )

    @classmethod
    def of_masks(cls, item: MaskItem) -> "Todo":
        """The JSON file of an item and nothing else."""
        return cls(item, masks=True, classes=False, ids=False, overlay=False, polygons=False)

    @property
    def anything(self) -> bool:
        """Whether there is anything to do."""
        return self.masks or self.classes or self.ids or self.overlay or self.polygons


class Source:
    """The pixels of an input: a window, or all of them made smaller. ``raster`` is None where it is no raster."""

    def __init__(self, path: Path, size: tuple[int, int], read: Reader, raster: Any = None) -> None:
        self.path, self.size, self.read, self.raster = path, size, read, raster

    def preview(self, size: tuple[int, int]) -> np.ndarray:
        """All of it at ``size`` (height, width): uint8 (h, w, 3)."""
        if self.raster is None:
            pixels, _ = self.read(0, self.size[0], 0, self.size[1])
            if size != self.size:
                pixels = torch.nn.functional.interpolate(pixels[None].float(), size, mode="area")[0].round().byte()
            return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
        average = geo("rasterio.enums").Resampling.average
        try:
            bands = self.raster.read([1, 2, 3], out_shape=(3, *size), resampling=average)
        except OSError as error:
            raise DecodeError(self.path, f"cannot be read: {one_line(error)}") from error
        return np.ascontiguousarray(np.moveaxis(bands, 0, 2))


@contextmanager
def opened(item: MaskItem) -> Iterator[Source]:
    """The input, open. DecodeError where it cannot be decoded, or is larger than COCO's files can tell."""
    path = item.source.path
    if not item.raster:
        image = torch.from_numpy(decode(path)).permute(2, 0, 1)

        def read(top: int, bottom: int, left: int, right: int) -> Pixels:
            return image[:, top:bottom, left:right], None

        yield Source(path, (image.shape[1], image.shape[2]), read)
        return
    with geo("rasterio").Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES), open_rgb(path) as raster:
        size = (int(raster.height), int(raster.width))
        if size[0] * size[1] > COUNTABLE:
            reason = f"{size[1]} x {size[0]} pixels are more than the {COUNTABLE} that COCO's run lengths can count"
            raise DecodeError(path, f"{reason}; cut it into parts")
        yield Source(path, size, RasterSource(raster).read, raster)


def openable(item: MaskItem) -> bool:
    """Whether the input can be decoded: nothing is worth loading a model for where none can."""
    try:
        with opened(item):
            return True
    except DecodeError:
        return False


@dataclass(frozen=True)
class Maker:
    """Makes what is to do, one input after the other. ``generator`` is None where no masks are to be found."""

    config: MasksConfig
    generator: Generator | None
    ledger: Ledger
    settings: OutputSettings
    classifier: MaskClassifier | None = None

    def make(self, todo: Todo) -> ImageMasks:
        """Write all that ``todo`` asks for. DecodeError where the input cannot be decoded."""
        item = todo.item
        with opened(item) as source:
            image = self._masks(item, source) if todo.masks else read_masks(self._path(item.masks))
            if todo.classes and self.classifier is not None:
                image = self.classifier.classified(image, source.read)
                write_masks(self._begun(item, item.masks, self.settings.file), image)
            if todo.ids:
                if item.ids.suffix == ".png" and len(image.masks) > MOST_PNG_IDS:
                    raise DecodeError(source.path, f"has more than {MOST_PNG_IDS} masks: take --id-format tif")
                write_ids(self._begun(item, item.ids, self.settings.ids), image, source.raster)
            if todo.overlay:
                shown = shown_size(image.size, self.config.overlay_px)
                target = self._begun(item, item.overlay, self.settings.overlay)
                save_picture(overlay(source.preview(shown), sampled_ids(image, shown)), target)
            if todo.polygons and item.polygons is not None:
                place = Place() if source.raster is None else Place.of(source.raster)
                write_mask_polygons(image, place, self._begun(item, item.polygons, self.settings.polygons))
        return image

    def _masks(self, item: MaskItem, source: Source) -> ImageMasks:
        assert self.generator is not None
        name, side = item.source.name.as_posix(), self.config.tiles.size or (TILE_PX if item.raster else None)
        target = self._path(item.masks)
        if side is None or max(source.size) <= side:
            boxes = [(0, 0, source.size[1], source.size[0])]
        else:
            boxes = tile_boxes(source.size, side, self.config.tiles.overlap)
            logger.info("%s: %d tiles of %d pixels.", source.path, len(boxes), side)
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = parts_of(target, source.path, self.settings.masks, side or 0)
        tiles = tile_masks(self.generator, source.read, source.size, boxes, parts)
        image = ImageMasks.of(name, source.size, merged(tiles, self.config.tiles.merge_iou), len(boxes))
        write_masks(self._begun(item, item.masks, self.settings.masks), image)
        parts.remove()
        return image

    def tidy(self, item: MaskItem) -> None:
        """Remove what is left of the parts of an item that is finished, or damaged and so has nothing to go on with."""
        remove_parts(self._path(item.masks))

    def _begun(self, item: MaskItem, name: PurePosixPath, settings: str) -> Path:
        """The path of an output that is about to be written, with the ledger saying so."""
        self.ledger.begin(item.source, [name], settings)
        return self._path(name)

    def _path(self, name: PurePosixPath) -> Path:
        return self.config.out / name
