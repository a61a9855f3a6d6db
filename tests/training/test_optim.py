"""Optimisers: scaled rates, decay only where it belongs, one step against the closed form."""

import pytest
import torch
from torch import nn

from headstart.configs.optimisation import OptimConfig
from headstart.training.optim import OPTIMISERS, build_optimizer, clip_gradients, peak_lr, set_lr


def test_the_rate_scales_with_the_batch_only_where_the_recipe_says_so() -> None:
    assert peak_lr(OptimConfig(lr=0.2, lr_base_batch=256), 64) == pytest.approx(0.05)
    assert peak_lr(OptimConfig(lr=0.2), 64) == 0.2


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_every_optimiser_lowers_a_quadratic(name: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 4)
    config = OptimConfig(name=name, lr=0.05, trust_coefficient=0.1)  # type: ignore[arg-type]
    optimizer = build_optimizer(layer, config, 32)
    losses = []
    for _ in range(30):
        loss = sum(p.square().sum() for p in layer.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_biases_and_norms_are_not_decayed(name: str) -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    optimizer = build_optimizer(net, OptimConfig(name=name, weight_decay=0.5), 32)  # type: ignore[arg-type]
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert [decay[id(p)] for p in net.parameters()] == [0.5, 0.0, 0.0, 0.0]


def test_parameters_that_want_no_gradient_are_not_optimised() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3).requires_grad_(False))
    optimizer = build_optimizer(net, OptimConfig(), 32)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in net[0].parameters()}


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lars_follows_its_formula(decay: float) -> None:
    """You et al., 2017: local rate = trust * |w| / (|g| + decay * |w|)."""
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    module = nn.Module()
    module.register_parameter("weight", weight)
    config = OptimConfig(name="lars", lr=0.5, momentum=0.0, weight_decay=decay, trust_coefficient=0.01)
    optimizer = build_optimizer(module, config, 32)
    weight.grad = torch.tensor([[0.0, 2.0]])
    local = 0.01 * 5 / (2 + decay * 5)
    expected = weight.detach() - 0.5 * local * (weight.grad + decay * weight.detach())
    optimizer.step()
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-4, atol=1e-6)


def scaled(name: str) -> float:
    """A tenth for the first of two layers."""
    return 0.1 if name.startswith("0.") else 1.0


def test_a_part_at_a_tenth_of_the_rate_moves_a_tenth() -> None:
    """SGD without momentum moves by rate x gradient: the same gradients, a tenth of the step."""
    config = OptimConfig(name="sgd", lr=0.5, momentum=0.0)
    moved = []
    for scale in ({}, {"lr_scale": scaled}):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        optimizer = build_optimizer(net, config, 32, **scale)
        set_lr(optimizer, 0.25)
        net(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
        moved.append({name: p.detach() - before[name] for name, p in net.named_parameters()})
    whole, parts = moved
    for name in whole:
        torch.testing.assert_close(parts[name], scaled(name) * whole[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_groups_are_by_rate_and_decay(name: str) -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    config = OptimConfig(name=name, lr=2.0, weight_decay=0.5)  # type: ignore[arg-type]
    optimizer = build_optimizer(net, config, 32, scaled)
    found = {id(p): (g["lr"], g["lr_scale"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    expected = [(0.2, 0.1, 0.5), (0.2, 0.1, 0.0), (2.0, 1.0, 0.5), (2.0, 1.0, 0.0)]
    assert [found[id(p)] for p in net.parameters()] == [pytest.approx(values) for values in expected]


def test_clipping_scales_to_the_limit() -> None:
    layer = nn.Linear(5, 5)
    (100 * layer(torch.ones(2, 5)).sum()).backward()
    clip_gradients(layer, 1.0)
    norm = torch.stack([p.grad.norm() for p in layer.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1.0, rel=1e-3)
