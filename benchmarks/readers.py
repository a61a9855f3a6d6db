"""Readers of a folder of images, once through it a turn; each gives batches (B, 3, S, S)."""

from dataclasses import replace
from pathlib import Path

import torch
from benchmarks.harness import Way
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from headstart.allocator import keep_freed_memory
from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.loaders import plain_batches, read_chw
from headstart.data.sources import open_source
from headstart.data.views import plain_view

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def packed(data: str, packs: Path, size: int) -> ImageSet:
    """The images of a folder, their pixels in a pack of ``size`` pixels on the shorter side, which is made first."""
    from headstart.data.pack import build

    images = replace(open_source(data).train, side=size)
    return replace(images, decoded=build(images, packs))


def ours(data: str, packs: str, size: int, batch: int, floats: bool) -> Way:
    """From a pack: as uint8, the middle of what is read; as float32, the plain view that features use."""
    keep_freed_memory()  # as a training does
    images = packed(data, Path(packs), size)
    view = plain_view(ViewsConfig(style="none"), size, MEAN, STD)

    def as_uint8() -> float:
        for begin in range(0, len(images), batch):
            torch.stack([middle(read_chw(images, i), size) for i in range(begin, min(begin + batch, len(images)))])
        return len(images)

    def as_float32() -> float:
        return sum(len(views) for views, _, _ in plain_batches(images, view, batch))

    return as_float32 if floats else as_uint8


def middle(image: Tensor, size: int) -> Tensor:
    """The middle square (3, size, size) of an image (3, H, W), as CenterCrop cuts it."""
    top, left = (round((side - size) / 2) for side in image.shape[1:])
    return image[:, top : top + size, left : left + size]


def image_folder(data: str, size: int, batch: int, floats: bool, workers: int) -> Way:
    """torchvision: decode, Resize, CenterCrop, and a tensor."""
    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)] if floats else []
    transform = v2.Compose([v2.Resize(size), v2.CenterCrop(size), v2.ToImage(), *last])
    loader: DataLoader[list[Tensor]] = DataLoader(ImageFolder(data, transform), batch_size=batch, num_workers=workers)

    def way() -> float:
        return sum(len(images) for images, _ in loader)

    return way
