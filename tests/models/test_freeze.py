"""Frozen means bit-identical."""

import copy
import pickle

import pytest
import timm
import torch
from torch import nn

from headstart.models.freeze import freeze, is_frozen

torch.set_num_threads(1)


def network() -> nn.Sequential:
    return nn.Sequential(timm.create_model("test_resnet", num_classes=0, drop_rate=0.5), nn.Linear(96, 3))


def bits(module: nn.Module) -> dict[str, bytes]:
    return {key: tensor.numpy(force=True).tobytes() for key, tensor in module.state_dict().items()}


def train_a_little(model: nn.Module, steps: int = 2) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(steps):
        model.train()
        loss = nn.functional.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_training_around_a_frozen_network_leaves_every_bit() -> None:
    model = network()
    before, head_before = bits(model[0]), bits(model[1])
    freeze(model[0])
    train_a_little(model)
    assert bits(model[0]) == before
    assert bits(model[1]) != head_before


def test_the_same_training_without_freezing_changes_parameters_and_statistics() -> None:
    model = network()
    before = bits(model[0])
    train_a_little(model)
    changed = {key for key, value in bits(model[0]).items() if value != before[key]}
    assert {"conv1.0.weight", "bn1.running_mean", "bn1.num_batches_tracked"} <= changed


def test_a_gradient_from_before_does_not_move_a_frozen_network() -> None:
    model = network()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    before = bits(model)
    freeze(model)
    optimiser.step()
    assert bits(model) == before


@pytest.mark.parametrize("twice", [False, True])
def test_train_on_any_part_keeps_evaluation_mode(twice: bool) -> None:
    model = network()
    freeze(model[0])
    if twice:
        freeze(model[0])
    model.train()
    model[0].train()
    for part in model[0].modules():
        assert part.train() is part
        part.train(True)
    assert not any(part.training for part in model[0].modules())
    assert model.training
    assert model[1].training
    assert is_frozen(model[0])
    assert not is_frozen(model)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_frozen_network_is_frozen_and_its_own(duplicate: object) -> None:
    model = network()
    freeze(model[0])
    other = duplicate(model)  # type: ignore[operator]
    other.train()
    assert not any(part.training for part in other[0].modules())
    assert other[0].train() is other[0]
    before = bits(other[0])
    train_a_little(other)
    assert bits(other[0]) == before
