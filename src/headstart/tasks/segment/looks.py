"""A look at a segmentation model: what it predicts for the validation images, and how good that is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from headstart.analysis.segmentation import Scorer, image_iou
from headstart.configs.inference import TilingConfig
from headstart.data.masks import read_mask
from headstart.data.pairs import PairSet
from headstart.data.palettes import Palette
from headstart.data.rasters import read_image
from headstart.inference.tiles import most_probable, predict_many
from headstart.models.segmenters import Segmenter

Visitor = Callable[[int, np.ndarray, np.ndarray], None]
"""Called with the index of a pair, its true and its predicted class indices, uint8 (H, W) each."""


WHOLE = TilingConfig()
"""Tiles as large as the training crops, an image no larger than that at once."""


@dataclass(frozen=True)
class Examiner:
    """Predicts the images of a set of pairs with a segmenter of a given palette."""

    pairs: PairSet
    palette: Palette
    image_size: int
    nearest: bool = False
    tiling: TilingConfig = WHOLE

    def examine(self, module: nn.Module, *visitors: Visitor) -> None:
        """Predict every image in evaluation mode and hand truth and prediction to the visitors. Memory: one image."""
        was_training = module.training
        module.eval()
        for i, probabilities in enumerate(self.probabilities(module)):
            truth, predicted = self.truth(i), most_probable(probabilities).numpy()
            for visit in visitors:
                visit(i, truth, predicted)
        module.train(was_training)

    def truth(self, index: int) -> np.ndarray:
        """Class indices uint8 (H, W) of the mask of a pair."""
        return read_mask(self.pairs.masks.path(index), self.palette, self.nearest)

    def probabilities(self, module: nn.Module) -> Iterator[Tensor]:
        """Class probabilities float32 (C, H, W) of each image, in order, by a module in evaluation mode."""
        assert isinstance(module, Segmenter)
        images = (read_image(self.pairs.images.path(i)) for i in range(len(self.pairs)))
        tensors = (torch.from_numpy(image).permute(2, 0, 1) for image in images)
        size, fixed = module.fixed_size or self.image_size, module.fixed_size is not None
        yield from predict_many(module, tensors, module.mean, module.std, self.tiling, size, fixed)


@dataclass
class Tally:
    """What is counted while a set is predicted: the scores, and the IoU of each image in order."""

    scorer: Scorer
    n_scored: int
    ious: list[float | None] = field(default_factory=list)

    def visit(self, _: int, truth: np.ndarray, predicted: np.ndarray) -> None:
        """A visitor."""
        self.scorer.add(truth, predicted)
        self.ious.append(image_iou(truth, predicted, self.n_scored))


def new_tally(palette: Palette, boundaries: bool) -> Tally:
    """A tally for the classes of a palette; boundaries take most of its time."""
    return Tally(Scorer(palette.classes, palette.n_scored, boundaries=boundaries), palette.n_scored)
