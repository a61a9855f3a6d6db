"""The peers' BYOL training steps on random tensors; to be imported in the peers' environment."""

import torch
from benchmarks.harness import Way
from benchmarks.learning.lightly_byol import LightlyByol
from byol_pytorch import BYOL  # type: ignore[import-untyped]
from torch import nn
from torchvision.models import resnet50

from headstart.models.backbones import build_backbone

LIGHTLY_LR = 0.06


def byol_pytorch(size: int, batch: int, augment: bool = True, steps: int = 1) -> Way:
    """byol-pytorch as its README uses it: torchvision's ResNet-50 (random weights), its ``avgpool``, Adam at 3e-4.

    Without ``augment`` its augmentation, which is part of its forward pass, is taken out.
    """
    learner = BYOL(
        resnet50(weights=None),
        image_size=size,
        hidden_layer="avgpool",
        augment_fn=None if augment else nn.Identity(),
    )
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-4)
    images = torch.randn(batch, 3, size, size)

    def way() -> float:
        for _ in range(steps):
            loss = learner(images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            learner.update_moving_average()
        return batch * steps

    return way


def lightly(backbone: str, size: int, batch: int, steps: int = 1) -> Way:
    """lightly's BYOL example (``examples/pytorch/byol.py``) around our backbone: its heads and loss, plain SGD."""
    model = LightlyByol(build_backbone(backbone, size))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LIGHTLY_LR)
    first, second = torch.randn(2, batch, 3, size, size)
    model.train()

    def way() -> float:
        for _ in range(steps):
            loss = model.loss(first, second)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return batch * steps

    return way
