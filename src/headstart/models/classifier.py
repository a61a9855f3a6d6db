"""A classifier: a backbone with a linear layer behind it, or the linear layer alone on cached features."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headstart.errors import ConfigError, WeightsError
from headstart.files import written_beside
from headstart.models.backbones import Backbone, build_backbone, channel_statistics
from headstart.models.exports import read_export
from headstart.models.weight_files import read_state, write_state

HEAD_FILE = "head.safetensors"


class Classifier(nn.Module):
    """Backbone and linear layer; both are trained."""

    def __init__(self, backbone: Backbone, n_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = linear_head(backbone.feature_size, n_classes)

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Normalised RGB images (B, 3, H, W) -> logits (B, n_classes)."""
        logits: Tensor = self.head(self.backbone(images_bchw))
        return logits


class FeatureClassifier(nn.Module):
    """A linear layer on features that are first scaled by fixed statistics."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.head = linear_head(len(mean), n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, feature_size) -> logits (B, n_classes)."""
        logits: Tensor = self.head((features - self.mean) / self.std)
        return logits


def linear_head(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that begins at zero, so that every start begins from the same undecided answer."""
    head = nn.Linear(inputs, outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def feature_statistics(features: Tensor, scaled: bool) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (each (d,)) of training features (n, d); 0 and 1 where not to be scaled.

    A dimension that hardly varies keeps its scale: dividing by its standard deviation would blow up noise.
    """
    if not scaled:
        return torch.zeros(features.shape[1]), torch.ones(features.shape[1])
    mean, std = features.mean(0), features.std(0, correction=0)
    return mean, torch.where(std > 1e-6 * std.max().clamp_min(1e-12), std, torch.ones_like(std))


def save_head(module: Classifier | FeatureClassifier, folder: Path) -> None:
    """Write what stands behind the backbone to ``head.safetensors``: weight, bias, and scaling where there is one."""
    state = {key.removeprefix("head."): value for key, value in module.state_dict().items() if "backbone." not in key}
    with written_beside(folder / HEAD_FILE) as beside:
        write_state(beside, state)


def read_head(folder: Path) -> FeatureClassifier:
    """What ``save_head`` wrote, as features -> logits; where nothing is scaled, by 0 and 1. WeightsError if damaged."""
    file = folder / HEAD_FILE
    if not file.is_file():
        raise WeightsError(f"{folder} has no {HEAD_FILE}, as headstart classify writes it at the end")
    state = read_state(file)
    try:
        n_classes, size = state["weight"].shape
        mean, std = state.get("mean", torch.zeros(size)), state.get("std", torch.ones(size))
        head = FeatureClassifier(mean, std, n_classes)
        head.head.load_state_dict({key: state[key] for key in ("weight", "bias")})
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{file} is damaged ({error!r}); run the classification again") from None
    return head


def read_classifier(folder: Path) -> tuple[Backbone, FeatureClassifier, dict[str, Any]]:
    """The two parts of a classification run's model, from its export, in evaluation mode on the CPU; and its facts.

    Raises WeightsError where a file is missing or damaged.
    """
    state, facts = read_export(folder)
    try:
        backbone = build_backbone(str(facts["backbone"]), int(facts["image_size"]))
        backbone.mean, backbone.std = channel_statistics(facts["mean"]), channel_statistics(facts["std"])
        backbone.network.load_state_dict(state)
    except (ConfigError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{folder} holds a backbone that cannot be built here ({reason})") from None
    return backbone.eval(), read_head(folder).eval(), facts
