"""Linear heads of several trainings, trained side by side as one batched problem.

What the heads have in common (number of steps, size of a batch, optimiser, schedule) is done once a step for all of
them; images, labels, scaling, learning rate and random order stay each head's own. A head's numbers are those of the
training loop up to the rounding of sums, and bit for bit the same whichever heads are beside it.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from headstart.data.loaders import Batching
from headstart.models.classifier import FeatureClassifier
from headstart.training.loop import Plan
from headstart.training.optim import OPTIMISERS, peak_lr

ELEMENTWISE = ("adam", "adamw", "sgd")
"""Optimisers that treat every number by itself, so that heads can lie in one tensor. LARS scales by a layer's norm."""
ALIGNED = 64
"""Numbers that a row of parameters is padded to a multiple of."""
SMALLEST_NORM = 1e-6
"""What torch.nn.utils.clip_grad_norm_ adds to a norm before it divides."""


@dataclass
class Head:
    """A linear head and its training.

    ``features`` float32 (n, d), not yet scaled, and ``labels`` int64 (n,) are what it learns from; ``module`` holds the
    scaling and takes the trained weights. ``losses`` (steps,) are those of the optimiser steps; ``sound``: everything
    was a finite number, without which the weights are of no use; ``seconds``: its share of the time.
    """

    module: FeatureClassifier
    features: Tensor
    labels: Tensor
    plan: Plan
    batching: Batching
    losses: list[float] = field(default_factory=list)
    sound: bool = True
    seconds: float = 0.0

    @property
    def alike(self) -> tuple[object, ...]:
        """What heads must have in common to be trained side by side."""
        plan = replace(self.plan, seed=0, optim=self.plan.optim.model_copy(update={"lr": 1.0}))
        return (repr(plan), self.batching.size, tuple(self.module.head.weight.shape))


def padded(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape as rows (r, p) of one, zeros behind each, so that each row begins a vector register anew:
    where a number lies in a register decides how its last bit is rounded.
    """
    rows = torch.stack([each.detach().flatten() for each in tensors])
    return functional.pad(rows, (0, -rows.shape[1] % ALIGNED))


class Stack(nn.Module):
    """The weights and biases of heads, those of one learning rate in one tensor each, a padded row a head."""

    def __init__(self, heads: Sequence[Sequence[Head]]) -> None:
        super().__init__()
        linear = [[head.module.head for head in group] for group in heads]
        self.weights = nn.ParameterList(padded([each.weight for each in group]) for group in linear)
        self.biases = nn.ParameterList(padded([each.bias for each in group]) for group in linear)
        self.shape = linear[0][0].weight.shape

    def forward(self, scaled: Tensor) -> Tensor:
        """Scaled features (R, B, d) -> logits (R, B, C)."""
        weight, bias = self.whole()
        return torch.baddbmm(bias[:, None], scaled, weight.transpose(1, 2))

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weights (R, C, d) and biases (R, C) of all heads."""
        weight, bias = torch.cat(list(self.weights)), torch.cat(list(self.biases))
        classes, size = self.shape
        return weight[:, : classes * size].reshape(-1, classes, size), bias[:, :classes]

    def clip(self, limit: float | None) -> Tensor:
        """Scale the gradient of each head down to a norm of ``limit``; the norms before that, (R,)."""
        norms = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            assert weight.grad is not None
            assert bias.grad is not None
            parts = torch.stack([weight.grad.norm(dim=1), bias.grad.norm(dim=1)])
            norms.append(parts.norm(dim=0))
            if limit is not None:
                share = (limit / (norms[-1] + SMALLEST_NORM)).clamp(max=1.0)
                weight.grad.mul_(share[:, None])
                bias.grad.mul_(share[:, None])
        return torch.cat(norms)


def train_heads(heads: Sequence[Head], fabric: Fabric) -> None:
    """Train heads that are ``alike``, on one process; weights, losses, soundness and seconds go into them."""
    began = time.monotonic()
    if len(heads) == 1:  # a batch of one is multiplied by another routine, whose bf16 rounds otherwise
        train_heads([replace(heads[0], module=copy.deepcopy(heads[0].module)), heads[0]], fabric)
        return
    by_rate: dict[float, list[Head]] = {}
    for head in heads:
        by_rate.setdefault(head.plan.optim.lr, []).append(head)
    groups = list(by_rate.values())
    heads = [head for group in groups for head in group]
    stack = Stack(groups).to(fabric.device)
    losses, sound = _optimise(stack, groups, heads, fabric)
    weights, biases = (each.detach() for each in stack.whole())
    sound &= weights.flatten(1).isfinite().all(1) & biases.isfinite().all(1)
    for i, head in enumerate(heads):
        with torch.no_grad():
            head.module.head.weight.copy_(weights[i])
            head.module.head.bias.copy_(biases[i])
        head.losses, head.sound = losses[:, i].tolist(), bool(sound[i])
        head.seconds = (time.monotonic() - began) / len(heads)


def _optimise(
    stack: Stack, groups: Sequence[Sequence[Head]], heads: Sequence[Head], fabric: Fabric
) -> tuple[Tensor, Tensor]:
    """All steps: losses (steps, R) and which heads saw only finite numbers, bool (R,)."""
    optimizer = _optimizer(stack, groups)
    device, limit = fabric.device, heads[0].plan.optim.grad_clip
    mean = torch.stack([head.module.mean for head in heads]).to(device)[:, None]
    std = torch.stack([head.module.std for head in heads]).to(device)[:, None]
    sound = torch.ones(len(heads), dtype=torch.bool, device=device)
    losses = []
    for step, (features, labels) in enumerate(_batches(heads)):
        for group, i in zip(optimizer.param_groups, _group_of(groups), strict=True):
            group["lr"] = groups[i][0].plan.lr(step)
        scaled = (features.to(device) - mean) / std
        with fabric.autocast():
            logits = stack(scaled)
        each = functional.cross_entropy(logits.float().flatten(0, 1), labels.to(device).flatten(), reduction="none")
        loss = each.view(len(heads), -1).mean(1)
        loss.sum().backward()
        sound &= scaled.flatten(1).isfinite().all(1) & loss.detach().isfinite() & stack.clip(limit).isfinite()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
    return torch.stack(losses), sound


def _optimizer(stack: Stack, groups: Sequence[Sequence[Head]]) -> Optimizer:
    """As ``build_optimizer`` would have it for each head: weight decay for weights and not for biases."""
    plan = groups[0][0].plan
    of_weights = [{"params": [each], "weight_decay": plan.optim.weight_decay} for each in stack.weights]
    of_biases = [{"params": [each], "weight_decay": 0.0} for each in stack.biases]
    return OPTIMISERS[plan.optim.name]([*of_weights, *of_biases], peak_lr(plan.optim, plan.batch_size), plan.optim)


def _group_of(groups: Sequence[Sequence[Head]]) -> list[int]:
    """For each of the optimiser's parameter groups, which heads it is of."""
    return [*range(len(groups)), *range(len(groups))]


def _batches(heads: Sequence[Head]) -> Iterator[tuple[Tensor, Tensor]]:
    """For each step the features (R, B, d) and labels (R, B) that the heads see."""
    plan = heads[0].plan
    for first in range(0, plan.steps, plan.steps_per_epoch):
        steps = range(first, first + plan.steps_per_epoch)
        chosen = [[torch.from_numpy(head.batching.indices(head.plan.seed, step)) for step in steps] for head in heads]
        for indices in zip(*chosen, strict=True):
            pairs = list(zip(heads, indices, strict=True))
            yield torch.stack([h.features[i] for h, i in pairs]), torch.stack([h.labels[i] for h, i in pairs])
