"""lightly's BYOL by the recipe of its CIFAR-10 benchmark, in a plain loop, for a given time.

From lightly 1.6 are the heads, the loss, the moving average and the views; from its
``docs/source/getting_started/benchmarks/cifar10_benchmark.py`` (BYOLModel) the numbers, the order within a step and the
views without blur. Different here: the backbone, and what goes with it (image size, channel mean and std); images as
headstart decodes them; and the length. Theirs is a number of epochs, ours a time, so the cosine of the learning rate
runs over the share of the time that has passed, step by step. Such a run cannot be repeated to the bit.
"""

import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from benchmarks.learning.conditions import read_json, version_of, write_json
from benchmarks.learning.config import Shape
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from headstart.data.decode import decode
from headstart.data.imageset import ImageSet
from headstart.data.loaders import worker_count
from headstart.data.sources import open_source
from headstart.models.backbones import Backbone, build_backbone
from headstart.tasks.pretrain.verb import offered_images

BATCH = 128
LR = 6e-2
LR_BATCH = 128
"""The learning rate is for this batch size and scaled linearly."""
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
TAU = 0.99
HIDDEN, OUTPUTS = 1024, 256


class Views(Dataset[list[Tensor]]):
    """Two views of each image, drawn by lightly's transform."""

    def __init__(self, images: ImageSet, transform: BYOLTransform) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[Tensor]:
        views: list[Tensor] = self.transform(Image.fromarray(decode(self.images.path(index))))
        return views


class LightlyByol(nn.Module):
    """BYOLModel of the benchmark, around another backbone."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection_head = BYOLProjectionHead(backbone.feature_size, HIDDEN, OUTPUTS)
        self.prediction_head = BYOLPredictionHead(OUTPUTS, HIDDEN, OUTPUTS)
        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_head_momentum)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Half the sum over both directions; the target has moved before."""
        update_momentum(self.backbone, self.backbone_momentum, m=TAU)
        update_momentum(self.projection_head, self.projection_head_momentum, m=TAU)
        predicted = [self.prediction_head(self.projection_head(self.backbone(view))) for view in (first, second)]
        target = [self.projection_head_momentum(self.backbone_momentum(view)).detach() for view in (first, second)]
        loss: Tensor = 0.5 * (self.criterion(predicted[0], target[1]) + self.criterion(predicted[1], target[0]))
        return loss


def pretrain_lightly(shape: Shape, minutes: float, out: Path) -> dict[str, Any]:
    """Pre-train for ``minutes`` and write ``out``/NAME.safetensors (NAME is that of the folder) and result.json.

    A finished one is not repeated; an interrupted one begins again.
    """
    result, weights = out / "result.json", out / f"{out.name}.safetensors"
    if not result.is_file():
        torch.manual_seed(shape.seed)
        backbone = build_backbone(shape.backbone, shape.image_size)
        images = offered_images(open_source(shape.data))[0]
        facts = fit(LightlyByol(backbone), batches(images, shape.image_size, backbone), minutes)
        out.mkdir(parents=True, exist_ok=True)
        state = {key: tensor.contiguous() for key, tensor in backbone.network.state_dict().items()}
        safetensors.torch.save_file(state, weights, metadata={"format": "pt"})
        write_json(result, facts | {"n_images": len(images), "lightly": version_of("lightly")})
    return read_json(result)


def batches(images: ImageSet, image_size: int, backbone: Backbone) -> DataLoader[list[Tensor]]:
    """Full batches of pairs of views, shuffled, all images once but for the rest of an epoch."""
    drawn: dict[str, Any] = {
        "input_size": image_size,
        "gaussian_blur": 0.0,
        "normalize": {"mean": list(backbone.mean), "std": list(backbone.std)},
    }
    transform = BYOLTransform(BYOLView1Transform(**drawn), BYOLView2Transform(**drawn))
    return DataLoader(
        Views(images, transform),
        batch_size=min(BATCH, len(images)),
        shuffle=True,
        drop_last=True,
        num_workers=worker_count("auto"),
    )


def fit(model: LightlyByol, loader: DataLoader[list[Tensor]], minutes: float) -> dict[str, Any]:
    """Train until the time is over; at least one step. What came of it, a ``status`` among it."""
    assert loader.batch_size is not None
    peak = LR * loader.batch_size / LR_BATCH
    learned = [p for part in (model.backbone, model.projection_head, model.prediction_head) for p in part.parameters()]
    optimizer = torch.optim.SGD(learned, lr=peak, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    model.train()
    losses: list[float] = []
    began = time.monotonic()
    for first, second in endless(loader):
        progress = (time.monotonic() - began) / (60 * minutes)
        if losses and (progress >= 1 or not math.isfinite(losses[-1])):
            break
        for group in optimizer.param_groups:
            group["lr"] = peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        loss = model.loss(first, second)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    seconds = time.monotonic() - began
    return {
        "status": "finished" if math.isfinite(losses[-1]) else "diverged",
        "steps": len(losses),
        "epochs": len(losses) // len(loader),
        "batch_size": loader.batch_size,
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "seconds": seconds,
        "images_per_second": len(losses) * loader.batch_size / seconds,
    }


def endless(loader: DataLoader[list[Tensor]]) -> Iterator[list[Tensor]]:
    """Epoch after epoch."""
    while True:
        yield from loader
