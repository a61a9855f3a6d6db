"""Crops of images with their masks: what a segmentation network is shown, and what it should answer.

A crop is a function of (image, mask, seed), as a view is (views.py): a square window at a random place, resized,
flipped and turned, its colours altered. Where pixels move, the mask moves with them; colours touch the image only.

The window's side is round(size / zoom) pixels of the image, with the zoom drawn log-uniformly from ``scale``. In an
image of at least ``size`` pixels in both directions it is never larger than the image's shorter side, so that it lies
within the image. In a smaller image it may reach beyond: there the image is mirrored and the mask is ``ignore``.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from headstart.configs.segment import CropsConfig
from headstart.data.decode import Pixels
from headstart.data.draws import JITTER_NUMBERS, drawn_by, jitter_ranges, jitter_steps
from headstart.data.masks import read_mask
from headstart.data.pair_sheets import in_colours
from headstart.data.pairs import PairSet
from headstart.data.palettes import Palette
from headstart.data.rasters import read_image
from headstart.data.reading import Item
from headstart.data.seeds import derive
from headstart.data.sheets import pair_sheet
from headstart.data.views import RGB, Drawn, Finish
from headstart.errors import DataError

DRAWS = 5
"""Windows drawn for a crop, at most: the first one with a pixel that counts is taken, or else the last."""
SHOWN_CROPS = 12


class CropView:
    """One crop of an image and its mask, drawn by a seed: (size, size) pixels of each."""

    def __init__(self, config: CropsConfig, size: int, mean: RGB, std: RGB) -> None:
        self.config, self.size = config, size
        self.finish = Finish(mean, std)
        self.ranges = jitter_ranges(config.colour)

    def __call__(self, image: Tensor, mask: Tensor, seed: int, ignore: int) -> tuple[Tensor, Tensor]:
        """The crop as the network gets it: float32 (3, S, S), normalised, and its mask int64 (S, S).

        ``image`` is uint8 (3, H, W), ``mask`` uint8 (H, W); pixels beyond the image get the label ``ignore``.
        """
        drawn, labels = self.draw(image, mask, seed, ignore)
        return self.finish([drawn])[0], labels.long()

    def pixels(self, image: Tensor, mask: Tensor, seed: int, ignore: int) -> tuple[Tensor, Tensor]:
        """The crop before normalising, in whole levels: uint8 (3, S, S) in [0, 255], and its mask uint8 (S, S)."""
        drawn, labels = self.draw(image, mask, seed, ignore)
        return drawn.pixels(), labels

    def draw(self, image: Tensor, mask: Tensor, seed: int, ignore: int) -> tuple[Drawn, Tensor]:
        """The crop before its colours are changed, and its mask uint8 (S, S)."""
        with drawn_by(seed):
            for _ in range(DRAWS):
                box = self._window(image.shape[1], image.shape[2])
                labels = self._labels(mask, box, ignore)
                if (labels != ignore).any():
                    break
            crop, labels = self._turned(self._colours(image, box), labels)
            jitter = _chance(self.config.colour_probability)
            steps = jitter_steps(self.ranges, torch.rand(JITTER_NUMBERS).tolist()) if jitter else []
        return Drawn(crop.contiguous(), steps), labels.contiguous()

    def _window(self, height: int, width: int) -> tuple[int, int, int]:
        """Top, left and side in pixels of the image; top and left are negative where it begins before the image."""
        low, high = (math.log(zoom) for zoom in self.config.scale)
        side = max(1, round(self.size / math.exp(low + (high - low) * _uniform())))
        if min(height, width) >= self.size:
            side = min(side, height, width)
        return _start(height - side), _start(width - side), side

    def _colours(self, image: Tensor, box: tuple[int, int, int]) -> Tensor:
        top, left, side = box
        window = image[:, _mirrored(top, side, image.shape[1])][:, :, _mirrored(left, side, image.shape[2])]
        crop: Tensor = tv.resize(window, [self.size, self.size], InterpolationMode.BILINEAR, antialias=True)
        return crop

    def _labels(self, mask: Tensor, box: tuple[int, int, int], ignore: int) -> Tensor:
        top, left, side = box
        (height, width), window = mask.shape, mask.new_full((1, side, side), ignore)
        inside = mask[max(0, top) : top + side, max(0, left) : left + side]
        window[0, max(0, -top) : height - top, max(0, -left) : width - left] = inside
        # NEAREST takes the pixel at a cell's corner and lies half a pixel beside what bilinear resizing does
        labels: Tensor = tv.resize(window, [self.size, self.size], InterpolationMode.NEAREST_EXACT)
        return labels[0]

    def _turned(self, crop: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        if _chance(config.flip):
            crop, labels = crop.flip(-1), labels.flip(-1)
        if _chance(config.vertical_flip):
            crop, labels = crop.flip(-2), labels.flip(-2)
        if _chance(config.rotate):
            quarters = 1 + int(torch.randint(3, ()))
            crop, labels = crop.rot90(quarters, (-2, -1)), labels.rot90(quarters, (-2, -1))
        return crop, labels


def _uniform() -> float:
    return float(torch.rand(()))


def _chance(probability: float) -> bool:
    return _uniform() < probability


def _start(room: int) -> int:
    """Where a window begins that has ``room`` pixels to move in; below zero it is the window that holds the image."""
    return int(torch.randint(min(0, room), max(0, room) + 1, ()))


def _mirrored(start: int, length: int, n: int) -> Tensor | slice:
    """Pixels ``start`` to ``start + length`` of a line of ``n``, mirrored at both ends as often as it takes."""
    if start >= 0 and start + length <= n:
        return slice(start, start + length)
    at = torch.arange(start, start + length) % (2 * n)
    return torch.minimum(at, 2 * n - 1 - at)


class PairsDataset(Dataset[tuple[Tensor, Tensor, int]]):
    """Crops of the pairs of a set, ``per_image`` of each in an epoch; crop i is of pair i // per_image.

    An item is (crop float32 (3, S, S), mask int64 (S, S), i), a function of (seed, epoch, i). Labels are the palette's
    class indices, and ``ignore`` beyond the edges of an image.
    """

    def __init__(
        self,
        pairs: PairSet,
        palette: Palette,
        view: CropView,
        seed: int,
        ignore: int,
        per_image: int = 1,
        nearest: bool = False,
    ) -> None:
        self.pairs, self.palette, self.view, self.seed = pairs, palette, view, seed
        self.ignore, self.per_image, self.nearest = ignore, per_image, nearest

    def __len__(self) -> int:
        return len(self.pairs) * self.per_image

    def __getitem__(self, item: Item) -> tuple[Tensor, Tensor, int]:
        crops, masks, indices = self.batch([self.read(item)])
        return crops[0], masks[0], int(indices[0])

    def read(self, item: Item) -> tuple[Drawn, Tensor, int]:
        """The crop before its colours are changed, its mask uint8 (S, S), i."""
        return *self.view.draw(*self._drawn(*item)), item[1]

    def batch(self, found: Sequence[tuple[Drawn, Tensor, int]]) -> list[Tensor]:
        """[crops (B, 3, S, S) float32, masks (B, S, S) int64, indices (B,) int64] of what was read."""
        drawn, masks, indices = zip(*found, strict=True)
        return [self.view.finish(drawn), torch.stack(masks).long(), torch.tensor(indices)]

    def file_of(self, index: int) -> str:
        """The image of crop ``index`` and its mask."""
        return self.pairs.words(index // self.per_image)

    def pixels(self, item: Item) -> tuple[Tensor, Tensor]:
        """The same crop before normalising: uint8 (3, S, S) in [0, 255] and its mask uint8 (S, S)."""
        return self.view.pixels(*self._drawn(*item))

    def _drawn(self, epoch: int, index: int) -> tuple[Tensor, Tensor, int, int]:
        at = index // self.per_image
        image = read_image(self.pairs.images.path(at))
        mask = read_mask(self.pairs.masks.path(at), self.palette, self.nearest)
        if image.shape[:2] != mask.shape:
            raise DataError(
                f"{self.pairs.images.path(at)} is {image.shape[1]} x {image.shape[0]} pixels, its mask "
                f"{mask.shape[1]} x {mask.shape[0]}. Run headstart data check: it lists such pairs."
            )
        seed = derive(self.seed, "crop", epoch, index)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask), seed, self.ignore


def crop_sheet(dataset: PairsDataset, palette: Palette, path: Path) -> None:
    """Save a PNG sheet of crops of the first epoch, drawn by the dataset's seed: the image, its mask in the palette's
    colours, and the one over the other, so that a mask that is wrong or lies beside its image is seen before training.
    """
    picked = np.random.default_rng(derive(dataset.seed, "sheet")).permutation(len(dataset))[:SHOWN_CROPS]
    pair_sheet([_overlaid(*dataset.pixels((0, int(i))), palette) for i in picked], path)


def _overlaid(crop: Tensor, labels: Tensor, palette: Palette) -> tuple[Pixels, Pixels, Pixels]:
    """Image, mask and half of each: (S, S, 3) uint8 RGB."""
    image, mask = crop.permute(1, 2, 0).contiguous().numpy(), in_colours(labels.numpy(), palette)
    return image, mask, image // 2 + mask // 2
