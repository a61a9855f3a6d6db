"""Augmentation: what a network is shown of an image.

A view is a function of (image, seed): the same seed gives the same view in every process, alone or in a batch. Images
are uint8 CHW tensors in [0, 255]; views are float32 CHW tensors, normalised by the channel mean and standard deviation.

A view is made in two parts. The pixels are moved (crop, resize, flip) image by image, so that no more than one image is
ever in memory at its full size; the colours of all views of a batch are changed together (colours.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import InterpolationMode, v2

from headstart.configs.views import ViewsConfig
from headstart.data.colours import Step, blocks, coloured
from headstart.data.draws import CROP_NUMBERS, JITTER_NUMBERS, crop_box, drawn_by, jitter_ranges, jitter_steps, uniforms

BICUBIC = InterpolationMode.BICUBIC
IMAGENET_MEAN_STD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SOLARISED_FROM = 128.0
BLUR_SIGMAS = (0.1, 2.0)
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Drawn:
    """A view whose colours are still those of the image: uint8 (3, S, S), and what is to be done to them."""

    crop: Tensor
    steps: Sequence[Step] = ()

    def pixels(self) -> Tensor:
        """The view in whole levels: uint8 (3, S, S) in [0, 255]."""
        (image,) = coloured([self.crop], [self.steps])
        return image if image.dtype == torch.uint8 else image.round().clamp_(0, 255).to(torch.uint8)


class Finish:
    """The second part of views: their colours, and (level / 255 - mean) / std of each channel."""

    def __init__(self, mean: RGB, std: RGB) -> None:
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)

    def __call__(self, drawn: Sequence[Drawn]) -> Tensor:
        """Views of one size as the network gets them: float32 (n, 3, S, S)."""
        if not any(each.steps for each in drawn):
            levels = torch.stack([each.crop for each in drawn])
            return levels.float().div_(255).sub_(self.mean).div_(self.std)
        images = coloured([each.crop for each in drawn], [each.steps for each in drawn])
        out = torch.empty(len(images), *images[0].shape)
        for block in blocks(range(len(images)), images[0]):
            levels = out[block[0] : block[-1] + 1]
            torch.stack([images[row].float() for row in block], out=levels)
            levels.div_(255).sub_(self.mean).div_(self.std)
        return out


class View:
    """One augmentation of an image, drawn by a seed: first ``draw`` for an image, then ``finish`` for a batch."""

    def __init__(self, draw: Callable[[Tensor, int], Drawn], mean: RGB, std: RGB) -> None:
        self.draw = draw
        self.finish = Finish(mean, std)

    def pixels(self, image: Tensor, seed: int) -> Tensor:
        """The view before normalising, in whole levels: uint8 (3, S, S) in [0, 255]."""
        return self.draw(image, seed).pixels()

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """The view as the network gets it: float32 (3, S, S)."""
        return self.finish([self.draw(image, seed)])[0]


def build_views(config: ViewsConfig, image_size: int, mean: RGB, std: RGB, count: int) -> list[View]:
    """``count`` views of the configured style; the second of a pair has its own blur and solarise probabilities."""
    return [View(STYLES[config.style](config, image_size, i % 2), mean, std) for i in range(count)]


def normalisation(config: ViewsConfig, mean: RGB, std: RGB) -> tuple[RGB, RGB]:
    """Channel mean and standard deviation of images in [0, 1]: the backbone's, or ImageNet's where the config says."""
    return IMAGENET_MEAN_STD if config.mean_std == "imagenet" else (mean, std)


def plain_view(config: ViewsConfig, image_size: int, mean: RGB, std: RGB) -> View:
    """The view without chance, for evaluation and cached features: resize, centre crop, normalise."""
    return build_views(config.model_copy(update={"style": "none"}), image_size, mean, std, 1)[0]


class Plain:
    """Resize the shorter side, take the middle; an image of that size already, as packs hold them, is only sliced."""

    def __init__(self, config: ViewsConfig, size: int, which: int) -> None:
        self.size = size
        self.resize = v2.Resize(size, BICUBIC, antialias=True)

    def __call__(self, image: Tensor, seed: int) -> Drawn:
        _, height, width = image.shape
        if min(height, width) != self.size:
            image = self.resize(image)
            _, height, width = image.shape
        top, left = round((height - self.size) / 2), round((width - self.size) / 2)
        return Drawn(image[:, top : top + self.size, left : left + self.size])


class Trivial:
    """The same, and torchvision's TrivialAugmentWide."""

    def __init__(self, config: ViewsConfig, size: int, which: int) -> None:
        self.plain, self.augment = Plain(config, size, which), v2.TrivialAugmentWide()

    def __call__(self, image: Tensor, seed: int) -> Drawn:
        with drawn_by(seed):
            return Drawn(self.augment(self.plain(image, seed).crop))


class Light:
    """A random crop, resized, perhaps flipped and turned."""

    numbers = CROP_NUMBERS + 3

    def __init__(self, config: ViewsConfig, size: int, which: int) -> None:
        self.scale, self.size = config.crop_scale, size
        self.flip, self.vertical_flip, self.turn = config.chances

    def __call__(self, image: Tensor, seed: int) -> Drawn:
        return Drawn(self.crop(image, uniforms(seed, self.numbers)))

    def crop(self, image: Tensor, u: Sequence[float]) -> Tensor:
        """The view's pixels, uint8 (3, S, S), by 25 numbers ``u``."""
        top, left, height, width = crop_box(image.shape[1], image.shape[2], self.scale, u[:CROP_NUMBERS])
        flip, vertical_flip, turn = u[CROP_NUMBERS:]
        window = image[:, top : top + height, left : left + width].unsqueeze(0)
        crop = functional.interpolate(window, (self.size, self.size), mode="bicubic", antialias=True)[0]
        if turn < self.turn:
            crop = crop.transpose(-1, -2).contiguous()
        flips = ((-1, flip < self.flip), (-2, vertical_flip < self.vertical_flip))
        dims = [dim for dim, flipped in flips if flipped]
        return crop.flip(dims) if dims else crop


class Byol:
    """The same; then colours: jitter, grey, blur, solarise, each with its probability (Grill et al., 2020)."""

    numbers = Light.numbers + JITTER_NUMBERS + 5

    def __init__(self, config: ViewsConfig, size: int, which: int) -> None:
        self.light, self.config = Light(config, size, which), config
        self.blur, self.solarise = config.blur[which], config.solarise[which]
        self.ranges = jitter_ranges(config.colour)

    def __call__(self, image: Tensor, seed: int) -> Drawn:
        *u, turn = uniforms(seed, self.numbers)
        flips = CROP_NUMBERS + 2
        return Drawn(self.light.crop(image, [*u[:flips], turn]), self.steps(u[flips:]))

    def steps(self, u: Sequence[float]) -> list[Step]:
        """What is done to the colours, in order, by 13 numbers ``u``."""
        jitter, grey, blur, solarise, sigma = u[JITTER_NUMBERS:]
        steps = jitter_steps(self.ranges, u[:JITTER_NUMBERS]) if jitter < self.config.colour_probability else []
        if grey < self.config.grey:
            steps.append(("saturation", 0.0))
        if blur < self.blur:
            low, high = BLUR_SIGMAS
            steps.append(("blur", low + (high - low) * sigma))
        if solarise < self.solarise:
            steps.append(("solarise", SOLARISED_FROM))
        return steps


STYLES: dict[str, Callable[[ViewsConfig, int, int], Callable[[Tensor, int], Drawn]]] = {
    "byol": Byol,
    "trivial": Trivial,
    "light": Light,
    "none": Plain,
}
