"""Gradient checkpointing changes memory, and nothing that is computed."""

import copy

import pytest
import torch
from torch import Tensor, nn

from headstart.configs.byol import ByolConfig
from headstart.errors import ConfigError
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol
from headstart.models.checkpointing import checkpoint_gradients

torch.set_num_threads(1)


class Kept:
    """Counts the bytes that a forward pass keeps for the way back, each storage once."""

    def __init__(self) -> None:
        self.storages: dict[int, int] = {}

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self.storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self.storages.values())


def two_steps(module: nn.Module, inputs: Tensor) -> tuple[list[float], int]:
    """The losses of two steps of SGD, and the bytes that the first one kept."""
    optimiser, losses, kept = torch.optim.SGD(module.parameters(), lr=0.05), [], Kept()
    for _ in range(2):
        with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor):
            loss = module(inputs).float().square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    return losses, kept.bytes


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "test_vit"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_same_losses_weights_and_statistics(name: str, precision: torch.dtype) -> None:
    torch.manual_seed(0)
    plain = build_backbone(name, 64)
    spared = copy.deepcopy(plain)
    checkpoint_gradients(spared)
    images = torch.randn(4, 3, 64, 64)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        torch.manual_seed(1)
        expected, _ = two_steps(plain, images)
        torch.manual_seed(1)
        found, _ = two_steps(spared, images)
    assert found == expected
    for key, tensor in plain.state_dict().items():
        torch.testing.assert_close(spared.state_dict()[key], tensor, rtol=0, atol=0, msg=key)


def test_less_is_kept() -> None:
    torch.manual_seed(0)
    plain = build_backbone("resnet18", 64)
    spared = copy.deepcopy(plain)
    checkpoint_gradients(spared)
    images = torch.randn(8, 3, 64, 64)
    assert two_steps(spared, images)[1] < 0.6 * two_steps(plain, images)[1]


def test_byols_target_is_updated_as_without() -> None:
    """The copy made for the target computes without gradient, so nothing is computed again there."""
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", 32)
    plain = Byol(copy.deepcopy(backbone), ByolConfig(hidden_size=16, projection_size=8))
    spared = Byol(backbone, ByolConfig(hidden_size=16, projection_size=8))
    checkpoint_gradients(spared.backbone)
    spared.target = copy.deepcopy(spared.online).requires_grad_(False)
    spared.load_state_dict(plain.state_dict())
    views = torch.randn(4, 2, 3, 32, 32)
    assert two_steps(spared, views)[0] == two_steps(plain, views)[0]
    for key, tensor in plain.state_dict().items():
        torch.testing.assert_close(spared.state_dict()[key], tensor, rtol=0, atol=0, msg=key)


def test_networks_that_cannot_say_so() -> None:
    with pytest.raises(
        ConfigError, match=r"torchvision/resnet18 cannot.*timm's network of the same name.*--accumulate"
    ):
        checkpoint_gradients(build_backbone("torchvision/resnet18", 32))
