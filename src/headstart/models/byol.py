"""BYOL: online and target networks, and the loss between them (Grill et al., 2020, arXiv:2006.07733)."""

import copy
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from headstart.configs.byol import ByolConfig
from headstart.models.backbones import Backbone


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Projector and predictor of BYOL: linear, batch norm, ReLU, linear (section 3.3)."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )


def byol_loss(predictions: Tensor, projections: Tensor) -> Tensor:
    """2 - 2 cosine(prediction, projection) of each pair (eq. 2): float32 (B,), in [0, 4]."""
    return 2 - 2 * functional.cosine_similarity(predictions.float(), projections.float(), dim=-1)


def without_gradient(network: nn.Module, images: Tensor) -> Tensor:
    """What ``network`` says of images, computed in inference mode; a tensor that a loss can be computed from."""
    with torch.inference_mode():
        said: Tensor = network(images)
    return said.clone()


class Byol(nn.Module):
    """An online network (backbone, projector, predictor) that learns to predict its own moving average.

    The target is a deep copy: it shares no storage with the online network and takes no gradient. Its batch norm
    normalises by the batch and keeps running statistics of its own.
    """

    BACKBONE = "online.0."
    """How the names of the online backbone's parameters begin."""

    def __init__(self, backbone: Backbone, config: ByolConfig, keep: float = 0.0) -> None:
        """``keep`` weighs how far the features of a view may go from those of ``backbone`` as it comes in, which is
        kept beside for that: see ``forward``.
        """
        super().__init__()
        self.keep = keep
        self.anchor = copy.deepcopy(backbone).requires_grad_(False).eval() if keep else None
        projector = mlp(backbone.feature_size, config.hidden_size, config.projection_size)
        self.online = nn.Sequential(backbone, projector)
        self.predictor = mlp(config.projection_size, config.hidden_size, config.projection_size)
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    @property
    def backbone(self) -> Backbone:
        """The online backbone: what pre-training is for."""
        backbone = self.online[0]
        assert isinstance(backbone, Backbone)
        return backbone

    def train(self, mode: bool = True) -> Self:
        """The anchor stays as it came: it normalises by its own statistics in training, too."""
        super().train(mode)
        if self.anchor is not None:
            self.anchor.eval()
        return self

    def forward(self, views_bvchw: Tensor) -> Tensor:
        """Symmetric loss (sum over both directions, eq. 2 and below) of B pairs of views, averaged: in [0, 8].

        ``views_bvchw`` is float (B, 2, 3, H, W). Both views go through each network in one batch. With ``keep``, that
        many times 2 - 2 cosine(features, features of the anchor), summed over both views, is added: distillation
        (Hinton et al., 2015; on features as in FitNets, Romero et al., 2015) from the weights that training began with.
        """
        images = views_bvchw.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.backbone(images)
        first, second = self.predictor(self.online[1](features)).chunk(2)
        target_first, target_second = without_gradient(self.target, images).chunk(2)
        loss = (byol_loss(first, target_second) + byol_loss(second, target_first)).mean()
        if self.anchor is not None:
            loss = loss + 2 * self.keep * byol_loss(features, without_gradient(self.anchor, images)).mean()
        return loss

    @torch.no_grad()
    def update_target(self, tau: float) -> None:
        """Move the target: target <- tau * target + (1 - tau) * online (eq. 1), parameters only."""
        targets: list[Tensor] = list(self.target.parameters())
        onlines: list[Tensor] = list(self.online.parameters())
        torch._foreach_lerp_(targets, onlines, 1 - tau)
