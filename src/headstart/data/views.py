"""Augmentation: what a network is shown of an image.

A view is a function of (image, seed): the same seed gives the same view in every process. Images are uint8 CHW tensors
in [0, 255]; views are float32 CHW tensors, normalised by the channel mean and standard deviation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from headstart.configs.views import ViewsConfig

BICUBIC = InterpolationMode.BICUBIC
IMAGENET_MEAN_STD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RGB = tuple[float, float, float]


class View:
    """One augmentation of an image, drawn by a seed."""

    def __init__(self, transform: Callable[[Tensor], Tensor], mean: RGB, std: RGB) -> None:
        self.transform = transform
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)

    def pixels(self, image: Tensor, seed: int) -> Tensor:
        """The view before normalising: uint8 (3, size, size) in [0, 255]."""
        with drawn_by(seed):
            view: Tensor = self.transform(image)
        return view

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """The view as the network gets it: float32 (3, size, size)."""
        return (self.pixels(image, seed).float().div_(255) - self.mean) / self.std


@contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """Within this, what torchvision draws is a function of ``seed``; afterwards the generator is as it was before."""
    generator = torch.default_generator  # what torchvision draws from; torch.manual_seed is 100 times as slow
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


def colour_jitter(strength: float) -> v2.ColorJitter:
    """BYOL's jitter at ``strength`` 1 (Grill et al., 2020, Appendix B), as far as each part of it can go beyond."""
    most = ((0.4, 1.0), (0.4, 1.0), (0.2, 1.0), (0.1, 0.5))
    return v2.ColorJitter(*(min(limit, share * strength) for share, limit in most))


def build_views(config: ViewsConfig, image_size: int, mean: RGB, std: RGB, count: int) -> list[View]:
    """``count`` views of the configured style; the second of a pair has its own blur and solarise probabilities."""
    return [View(v2.Compose(STYLES[config.style](config, image_size, i % 2)), mean, std) for i in range(count)]


def normalisation(config: ViewsConfig, mean: RGB, std: RGB) -> tuple[RGB, RGB]:
    """Channel mean and standard deviation of images in [0, 1]: the backbone's, or ImageNet's where the config says."""
    return IMAGENET_MEAN_STD if config.mean_std == "imagenet" else (mean, std)


def plain_view(config: ViewsConfig, image_size: int, mean: RGB, std: RGB) -> View:
    """The view without chance, for evaluation and cached features: resize, centre crop, normalise."""
    return build_views(config.model_copy(update={"style": "none"}), image_size, mean, std, 1)[0]


def _plain(config: ViewsConfig, size: int, which: int) -> list[Any]:
    return [v2.Resize(size, BICUBIC, antialias=True), v2.CenterCrop(size)]


def _trivial(config: ViewsConfig, size: int, which: int) -> list[Any]:
    return [*_plain(config, size, which), v2.TrivialAugmentWide()]


def _light(config: ViewsConfig, size: int, which: int) -> list[Any]:
    return [
        v2.RandomResizedCrop(size, scale=config.crop_scale, interpolation=BICUBIC, antialias=True),
        v2.RandomHorizontalFlip(config.flip),
        v2.RandomVerticalFlip(config.vertical_flip),
    ]


def _byol(config: ViewsConfig, size: int, which: int) -> list[Any]:
    kernel = max(3, size // 10 | 1)
    return [
        *_light(config, size, which),
        v2.RandomApply([colour_jitter(config.colour)], config.colour_probability),
        v2.RandomGrayscale(config.grey),
        v2.RandomApply([v2.GaussianBlur(kernel, (0.1, 2.0))], config.blur[which]),
        v2.RandomSolarize(128, config.solarise[which]),
    ]


STYLES: dict[str, Callable[[ViewsConfig, int, int], list[Any]]] = {
    "byol": _byol,
    "trivial": _trivial,
    "light": _light,
    "none": _plain,
}
