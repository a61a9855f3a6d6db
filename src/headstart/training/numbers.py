"""Numbers that are none: what a training watches at each step, and why it stops when NaN or an infinity comes up."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from headstart.errors import TrainingStopped

LOWER = "Lower --optim.lr, or set --optim.grad-clip 1; the last good checkpoint is kept."
NOT_FINITE = {
    "inputs": "What the network is given holds values that are no finite numbers ({where}). Images cannot, once they "
    "are decoded: look at the weights that made features of them. The last good checkpoint is kept.",
    "loss": "The loss is no longer a finite number ({where}). " + LOWER,
    "gradient": "The gradient is no longer finite, while the loss still was ({where}). " + LOWER,
    "weights": "The weights are no longer finite numbers ({where}). " + LOWER,
}
"""What is watched at each step -> what is said when it is not finite; the cause comes before what follows from it."""


def all_finite(tensors: Iterable[Tensor], device: torch.device) -> Tensor:
    """Whether no tensor of floats holds NaN or an infinity: a scalar bool on ``device``, without waiting for it."""
    flags = [torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point()]
    return torch.stack(flags).all() if flags else torch.ones((), dtype=torch.bool, device=device)


def weights_finite(module: nn.Module, device: torch.device) -> Tensor:
    """Whether all parameters are finite numbers."""
    return all_finite((parameter.detach() for parameter in module.parameters()), device)


def judge_numbers(sound: dict[str, bool], step: int, lr: float) -> TrainingStopped | None:
    """Why training stops when one of ``NOT_FINITE`` was not sound up to ``step``; None where all were."""
    for name, text in NOT_FINITE.items():
        if not sound[name]:
            return TrainingStopped("diverged", text.format(where=f"by step {step}, learning rate {lr:.3g}"))
    return None
