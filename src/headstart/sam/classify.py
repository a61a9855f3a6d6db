"""``headstart masks --classify RUN``: the class that a segmentation model favours in each mask."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from headstart.configs.inference import TilingConfig
from headstart.errors import ConfigError
from headstart.inference.masks import Model
from headstart.inference.predict import kind_of_run
from headstart.inference.raster import BUFFER_BYTES
from headstart.inference.raster_output import BLOCK
from headstart.inference.tiles import Reader, predict_strips
from headstart.sam.files import Categories, ImageMasks
from headstart.sam.refine import MaskRegions
from headstart.training.runtime import inference_context


@dataclass(frozen=True)
class MaskClassifier:
    """The model of a run, which gives masks their classes."""

    model: Model
    precision: str

    @classmethod
    def of(cls, run: Path, precision: str) -> "MaskClassifier":
        """From a finished segmentation run. RunError or ConfigError for anything else."""
        if (kind := kind_of_run(run)) != "segment":
            raise ConfigError(
                f"--classify {run}: this is a {kind} run; masks get their classes from a segmentation run"
            )
        return cls(Model.of(run, TilingConfig()), precision)

    @cached_property
    def categories(self) -> Categories:
        """All classes of the palette, each with its number in the palette plus 1."""
        palette = self.model.labels.palette
        return tuple(
            {"id": number, "name": name, "supercategory": palette.name}
            for number, name in enumerate(palette.classes, 1)
        )

    def classified(self, image: ImageMasks, read: Reader) -> ImageMasks:
        """The masks with the class of the largest mean probability, and that mean; ``read`` gives the image's pixels.

        Memory is bounded as in a prediction of a raster. DecodeError where the image is damaged.
        """
        predictor, n_classes = self.model.predictor, self.model.labels.n_outputs
        regions = MaskRegions(image.size, image.masks, n_classes, margin=0)
        grid = predictor.grid(*image.size)
        with inference_context(predictor.network, self.precision):
            for panel in grid.panels(BUFFER_BYTES // (4 * n_classes * grid.rows.size), BLOCK):
                for strip in predict_strips(predictor, read, panel):
                    regions.add(regions.sums(strip, panel.left))
        means = regions.means()
        best = means.argmax(axis=1)
        told = zip(regions.masks, best, means[np.arange(len(best)), best], strict=True)
        masks = tuple(replace(mask, category_id=int(i) + 1, class_probability=float(mean)) for mask, i, mean in told)
        return replace(image, masks=masks, categories=self.categories)
