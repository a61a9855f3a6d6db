"""Gradient checkpointing (Chen et al., 2016, arXiv:1604.06174): activations are computed again, not kept."""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.errors import ConfigError
from headstart.models.backbones import TORCHVISION, Backbone

FLAG = "--grad-checkpointing"


def checkpoint_gradients(backbone: Backbone) -> None:
    """Make a backbone keep only the activations between its stages, and compute the others again on the way back.

    The loss, the gradients and the running statistics of batch norms are those without it: timm's checkpoints would
    update the statistics twice a step. Copies made later keep it. ConfigError for networks that cannot.
    """
    setter = getattr(backbone.network, "set_grad_checkpointing", None)
    try:
        if setter is None:
            raise NotImplementedError
        setter(True)
    except (AssertionError, NotImplementedError):
        timm_too = " (timm's network of the same name may)" if backbone.name.startswith(TORCHVISION) else ""
        raise ConfigError(
            f"{FLAG}: {backbone.name} cannot compute activations again{timm_too}. Save memory with --accumulate instead"
        ) from None
    backbone.register_forward_pre_hook(_count_once)


def _count_once(backbone: nn.Module, _: Any) -> None:
    """Hook the batch norms of a network: before each pass, because those for several processes replace others late."""
    norms: list[Any] = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    for module in norms:
        if not hasattr(module, "rate_kept"):
            module.rate_kept = module.momentum
            module.register_forward_pre_hook(_leave_statistics)
            module.register_forward_hook(_go_on, always_call=True)


def _leave_statistics(norm: Any, _: Any) -> None:
    norm.rate_kept = norm.momentum
    if _going_back():
        norm.momentum = 0.0


def _go_on(norm: Any, _: Any, __: Any) -> None:
    norm.momentum = norm.rate_kept
    if _going_back() and norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked -= 1


def _going_back() -> bool:
    """Whether this is called from within a backward pass, as torch.utils.checkpoint finds out."""
    return bool(torch._C._current_graph_task_id() != -1)
