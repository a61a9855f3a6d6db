"""Optimisers by name, with weight decay only where it belongs."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from timm.optim.lars import Lars
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, Adam, AdamW, Optimizer

from headstart.configs.optimisation import OptimConfig


def peak_lr(config: OptimConfig, batch_size: int) -> float:
    """The learning rate at the peak of the schedule, scaled linearly by the batch where the config says so."""
    return config.lr * (batch_size / config.lr_base_batch if config.lr_base_batch else 1.0)


def full_rate(name: str) -> float:
    """The learning rate of every parameter is that of the schedule."""
    return 1.0


def build_optimizer(
    module: nn.Module, config: OptimConfig, batch_size: int, lr_scale: Callable[[str], float] = full_rate
) -> Optimizer:
    """An optimiser over the parameters that want a gradient; biases and norms (ndim < 2) get no weight decay.

    For LARS these are also left out of the trust-ratio scaling, as in BYOL (Appendix, section C.1). ``lr_scale`` gives
    the learning rate of a parameter, by its name in ``module``, as a multiple of the schedule's.
    """
    groups, lr = parameter_groups(module.named_parameters(), config.weight_decay, lr_scale), peak_lr(config, batch_size)
    optimizer = OPTIMISERS[config.name](groups, lr, config)
    set_lr(optimizer, lr)
    return optimizer


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]], weight_decay: float, lr_scale: Callable[[str], float] = full_rate
) -> list[dict[str, Any]]:
    """Parameter groups: matrices and kernels with weight decay, vectors without; for each rate, the highest first.

    ``always_adapt`` is for LARS, which would otherwise scale by trust ratio only where there is weight decay.
    """
    members: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in named:
        if parameter.requires_grad:
            members[lr_scale(name), parameter.ndim >= 2].append(parameter)
    return [
        {
            "params": members[scale, decays],
            "weight_decay": weight_decay if decays else 0.0,
            "always_adapt": decays,
            "lr_scale": scale,
        }
        for scale, decays in sorted(members, reverse=True)
    ]


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
    """Give every parameter group the learning rate ``lr``, or the multiple of it that the group has."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)  # groups of older checkpoints have none


def clip_gradients(module: nn.Module, limit: float | None) -> Tensor:
    """Scale the gradients of ``module`` down to a global norm of ``limit``; their norm before that, a scalar."""
    with_gradient = [parameter for parameter in module.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in with_gradient if parameter.grad is not None])
    if limit is not None:
        clip_grads_with_norm_(with_gradient, limit, norm)
    return norm
