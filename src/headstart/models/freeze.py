"""Freezing: afterwards a module is bit-identical whatever training does around it, batch-norm buffers included."""

from functools import partial

from torch import nn


def freeze(module: nn.Module) -> None:
    """Freeze a module in place; doing it twice is the same as once.

    No parameter requires a gradient any more, and a gradient left over from before is dropped, so that no optimiser
    changes it. The module and all within it are in evaluation mode and stay there when ``train()`` is called on it or
    on anything around it: batch norm uses its statistics and does not update them, dropout is off.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    module.eval()
    for part in module.modules():
        # an attribute of the instance goes before the method of the class, and is copied along by deepcopy and pickle
        part.__dict__["train"] = partial(_stay_in_eval, part)


def is_frozen(module: nn.Module) -> bool:
    """Whether ``freeze`` was applied to this module (or to one that it is part of)."""
    return "train" in module.__dict__


def _stay_in_eval(module: nn.Module, mode: bool = True) -> nn.Module:
    """What ``train`` is on a frozen module: ``mode`` is not heeded."""
    return module
