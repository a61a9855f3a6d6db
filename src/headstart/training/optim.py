"""Optimisers by name, with weight decay only where it belongs."""

from collections.abc import Iterable
from typing import Any

import torch
from timm.optim.lars import Lars
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from headstart.configs.optimisation import OptimConfig


def peak_lr(config: OptimConfig, batch_size: int) -> float:
    """The learning rate at the peak of the schedule, scaled linearly by the batch where the config says so."""
    return config.lr * (batch_size / config.lr_base_batch if config.lr_base_batch else 1.0)


def build_optimizer(module: nn.Module, config: OptimConfig, batch_size: int) -> Optimizer:
    """An optimiser over the parameters that want a gradient; biases and norms (ndim < 2) get no weight decay.

    For LARS these are also left out of the trust-ratio scaling, as in BYOL (Appendix, section C.1).
    """
    groups = decay_groups(module.parameters(), config.weight_decay)
    return OPTIMISERS[config.name](groups, peak_lr(config, batch_size), config)


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Two parameter groups: matrices and kernels with weight decay, vectors without.

    ``always_adapt`` is for LARS, which would otherwise scale by trust ratio only where there is weight decay.
    """
    wanted = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.ndim >= 2], "weight_decay": weight_decay, "always_adapt": True},
        {"params": [p for p in wanted if p.ndim < 2], "weight_decay": 0.0, "always_adapt": False},
    ]
    return [g for g in groups if g["params"]]


def _adam(groups: list[dict[str, Any]], lr: float, config: OptimConfig) -> Optimizer:
    return Adam(groups, lr=lr, betas=config.betas, fused=True)


def _adamw(groups: list[dict[str, Any]], lr: float, config: OptimConfig) -> Optimizer:
    return AdamW(groups, lr=lr, betas=config.betas, fused=True)


def _sgd(groups: list[dict[str, Any]], lr: float, config: OptimConfig) -> Optimizer:
    return SGD(groups, lr=lr, momentum=config.momentum, fused=True)


def _lars(groups: list[dict[str, Any]], lr: float, config: OptimConfig) -> Optimizer:
    optimizer: Optimizer = Lars(groups, lr=lr, momentum=config.momentum, trust_coeff=config.trust_coefficient)
    return optimizer


OPTIMISERS = {"adam": _adam, "adamw": _adamw, "sgd": _sgd, "lars": _lars}


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give every parameter group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_gradients(module: nn.Module, limit: float | None) -> None:
    """Scale the gradients of ``module`` down to a global norm of ``limit``."""
    if limit is not None:
        torch.nn.utils.clip_grad_norm_([p for p in module.parameters() if p.grad is not None], limit)
