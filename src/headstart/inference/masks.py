"""Masks, class rasters, probabilities and polygons of the inputs of a segmentation run's model."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from headstart.configs.inference import PredictConfig, TilingConfig
from headstart.data.decode import DecodeError, decode
from headstart.data.palettes import Palette
from headstart.data.threads import read_in_threads
from headstart.inference.geo import geo
from headstart.inference.inputs import Input, Item, plan_outputs
from headstart.inference.ledger import Ledger
from headstart.inference.outcome import Outcome
from headstart.inference.parts import key_of, short
from headstart.inference.pictures import predict_pictures, save_percentages, save_picture
from headstart.inference.polygons import write_polygons
from headstart.inference.raster import RasterJob, predict_raster, remove_parts
from headstart.inference.raster_output import Labels
from headstart.inference.refinement import Regions
from headstart.inference.tiles import Predictor, Strip
from headstart.models.segmenter_files import read_segmenter
from headstart.training.progress import Progress
from headstart.training.rundir import write_config
from headstart.training.runtime import inference_context

logger = logging.getLogger(__name__)

DEFAULT_TILE = 512
DECODED_AHEAD = 2


@dataclass(frozen=True)
class Settings:
    """Short names of everything that a mask, or the polygons of one, depend on beside the input.

    The number of tiles in a batch is not among it: it changes the rounding at most.
    """

    masks: str
    polygons: str

    @classmethod
    def of(cls, config: PredictConfig, model: str, refiner: "Refiner | None") -> "Settings":
        """``model`` is the sum of model.json, which has the weights' sha256 in it."""
        tiles = config.tiles.model_dump(exclude={"batch"})
        refined = {} if refiner is None else {"refined": refiner.settings}
        masks = short(key_of(model=model, tiles=tiles, precision=config.precision, **refined))
        return cls(masks, short(key_of(masks=masks, simplify=config.simplify, min_pixels=config.min_pixels)))


class Refiner(Protocol):
    """Finds the regions of images. ``settings`` is a short name of all that they, and their classes, depend on."""

    @property
    def settings(self) -> str: ...

    def find(self, sources: Sequence[Input]) -> None:
        """Find the regions of all ``sources`` that are not found yet, and keep them on the disk."""
        ...

    def regions(self, source: Input, n_classes: int) -> Regions:
        """The regions of one of the ``sources``. DecodeError where it could not be decoded."""
        ...


@dataclass(frozen=True)
class Model:
    """The network of a segmentation run, ready to predict; ``sum`` tells it from any other."""

    predictor: Predictor
    labels: Labels
    sum: str

    @classmethod
    def of(cls, run: Path, tiling: TilingConfig) -> "Model":
        """From the run's export. RunError, WeightsError or ConfigError where it cannot be had."""
        segmenter, facts = read_segmenter(run / "export")
        size = segmenter.fixed_size or facts["image_size"] or DEFAULT_TILE
        fixed = segmenter.fixed_size is not None
        return cls(
            Predictor(segmenter, segmenter.mean, segmenter.std, tiling, int(size), fixed),
            Labels(Palette.from_dict(facts["palette"]), segmenter.n_outputs),
            hashlib.sha256((run / "export" / "model.json").read_bytes()).hexdigest(),
        )


@dataclass(frozen=True)
class Todo:
    """What is still to be made of an item."""

    item: Item
    masks: bool
    polygons: bool


def predict_masks(config: PredictConfig, inputs: Sequence[Input], refiner: Refiner | None = None) -> Outcome:
    """Predict what is not finished. See ``predict.predict`` for the outputs and the errors."""
    model = Model.of(config.run, config.tiles)
    for module in ("rasterio",) * config.probabilities + ("rasterio", "shapely", "pyogrio") * (
        config.polygons != "none"
    ):
        geo(module)
    settings = Settings.of(config, model.sum, refiner)
    items = plan_outputs(inputs, config.probabilities, config.polygons)
    ledger = Ledger(config.out, config.overwrite)
    todo = [each for item in items if (each := _still_to_do(item, ledger, settings))]
    unfinished = {each.item for each in todo}
    for item in items:
        if item.raster and item not in unfinished:
            remove_parts(config.out / item.main)  # it was killed between the last file and the tidying up
    if len(todo) < len(items):
        logger.info("%d of %d inputs are finished already.", len(items) - len(todo), len(items))
    if refiner is not None:
        refiner.find([each.item.source for each in todo if each.masks])
    config.out.mkdir(parents=True, exist_ok=True)
    write_config(config.out, config, "predict", model=settings.masks)
    with inference_context(model.predictor.network, config.precision):
        making = _Making(config, model.predictor, model.labels, ledger, settings, Outcome(), refiner)
        making.pictures([each for each in todo if not each.item.raster])
        making.rasters([each for each in todo if each.item.raster])
    outcome = making.outcome
    outcome.files = [item.main for item in items if item.source not in outcome.reasons]
    return outcome


def _still_to_do(item: Item, ledger: Ledger, settings: Settings) -> Todo | None:
    """None where all is finished; a picture is done as a whole, a raster's polygons can follow later."""
    pixels = [name for name in (item.main, item.probabilities) if name is not None]
    masks = not all(ledger.finished(item.source, name, settings.masks) for name in pixels)
    polygons = item.polygons is not None and not ledger.finished(item.source, item.polygons, settings.polygons)
    if not masks and not polygons:
        return None
    return Todo(item, masks or not item.raster, item.polygons is not None)


@dataclass(frozen=True)
class _Making:
    """Makes the outputs, one kind of input after the other."""

    config: PredictConfig
    predictor: Predictor
    labels: Labels
    ledger: Ledger
    settings: Settings
    outcome: Outcome
    refiner: Refiner | None

    def pictures(self, todo: Sequence[Todo]) -> None:
        """Predict images that are no rasters."""
        decoded: list[Item] = []
        regions: dict[int, Regions] = {}

        def add(i: int, strip: Strip) -> None:
            if i not in regions and (found := self._regions(decoded[i])) is not None:
                regions[i] = found
            if i in regions:
                regions[i].add(regions[i].sums(strip, 0))

        images = self._decoded(todo, decoded)
        predicted = predict_pictures(self.predictor, self.labels, images, self.config.probabilities, add)
        with Progress(len(todo), 0, 1, True, "image") as progress:
            for i, layers in enumerate(predicted):
                if i in regions:
                    height, width = layers.shape[1:]
                    layers[0] = regions.pop(i).repainted((0, 0, width, height), layers[0])
                self._save(decoded[i], layers)
                self.outcome.pixels += layers[0].size
                progress.update(i + 1 + len(self.outcome.reasons))

    def _decoded(self, todo: Sequence[Todo], decoded: list[Item]) -> Iterator[Tensor]:
        """The images that can be decoded, uint8 (3, H, W); their items are added to ``decoded``."""
        items = (each.item for each in todo)
        for item, pixels in read_in_threads(
            lambda item: decode(item.source.path), items, 1, ahead=DECODED_AHEAD, named=lambda item: item.source.path
        ):
            try:
                image = torch.from_numpy(pixels.result()).permute(2, 0, 1)
            except DecodeError as error:
                self._refused(item, error)
                continue
            decoded.append(item)
            yield image

    def _save(self, item: Item, layers: np.ndarray) -> None:
        self._begin(item, masks=True)
        if item.probabilities is not None:
            save_percentages(self.labels, layers[1:], self._path(item.probabilities))
        if item.polygons is not None:
            self._polygons(self.labels.palette.to_values(layers[0]), item.polygons)
        save_picture(self.labels.palette.to_colours(layers[0]), self._path(item.main))

    def rasters(self, todo: Sequence[Todo]) -> None:
        """Predict rasters, each with its own progress."""
        for each in todo:
            item = each.item
            self._begin(item, each.masks)
            try:
                if each.masks:
                    logger.info("%s", item.source.path)
                    job = self._job(item)
                    self.outcome.pixels += predict_raster(self.predictor, self.labels, job, self._regions(item))
                if item.polygons is not None:
                    self._polygons(self._path(item.main), item.polygons)
            except DecodeError as error:
                self._refused(item, error)

    def _regions(self, item: Item) -> Regions | None:
        return None if self.refiner is None else self.refiner.regions(item.source, self.labels.n_outputs)

    def _job(self, item: Item) -> RasterJob:
        second = None if item.probabilities is None else self._path(item.probabilities)
        return RasterJob(item.source.path, self._path(item.main), second, self.settings.masks)

    def _begin(self, item: Item, masks: bool) -> None:
        if masks:
            pixels = [name for name in (item.main, item.probabilities) if name is not None]
            self.ledger.begin(item.source, pixels, self.settings.masks)
        if item.polygons is not None:
            self.ledger.begin(item.source, [item.polygons], self.settings.polygons)

    def _polygons(self, source: Path | np.ndarray, name: PurePosixPath) -> None:
        n = write_polygons(source, self.labels.palette, self._path(name), self.config.simplify, self.config.min_pixels)
        logger.info("%s: %d polygons.", self._path(name), n)

    def _refused(self, item: Item, error: DecodeError) -> None:
        logger.warning("%s is left out: %s.", item.source.path, error.reason)
        self.outcome.reasons[item.source] = error.reason

    def _path(self, name: PurePosixPath) -> Path:
        return self.config.out / name
