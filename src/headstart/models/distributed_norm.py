"""Batch normalisation over the batches of all processes, on accelerators and, unlike torch's own, on the CPU too."""

from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.models.freeze import is_frozen

_CONVERTIBLE = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNormAct2d)


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Make every batch norm in a module use the statistics of all processes' batches together.

    Parameters and buffers are the same objects under the same names, so state dicts and optimisers do not notice.
    Modules on an accelerator get torch's SyncBatchNorm (with timm's activation where there is one), modules on the CPU
    ``DistributedBatchNorm``. Frozen ones are left alone: they use their running statistics. Call it before DDP.

    Returns:
        The module, changed in place; a new one if it is itself a batch norm.
    """
    tensor = next(module.parameters(), None)
    if tensor is not None and tensor.device.type != "cpu" and not any(map(is_frozen, module.modules())):
        converted: nn.Module = convert_sync_batchnorm(module)
        return converted
    return _convert(module)


class Moments(NamedTuple):
    """Of each channel (C,), float64, over ``n_values`` values in all processes; the variance is the biased one."""

    mean: Tensor
    variance: Tensor
    n_values: int


class DistributedBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes, followed by timm's drop and act layers where it replaces a
    BatchNormAct2d. With one process, or in evaluation mode, it is ``F.batch_norm``.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.BatchNorm2d has
        """(B, C, ...) of any float type -> the same shape and type. B may differ between processes."""
        self._check_input_dim(input)
        if self.training and _world_size() > 1:
            output = self._synchronised(input)
        else:
            rate = self._count_batch() if self.training else 0.0
            uses_batch = self.training or self.running_mean is None
            output = F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, uses_batch, rate, self.eps
            )
        for name in ("drop", "act"):
            layer = self._modules.get(name)
            output = output if layer is None else layer(output)
        return output

    def _synchronised(self, input: Tensor) -> Tensor:  # noqa: A002
        moments = _global_moments(input)
        if moments.n_values < 2:
            raise ValueError(
                f"batch norm needs more than one value a channel over all processes, got {moments.n_values}"
            )
        rate = self._count_batch()
        if self.running_mean is not None and self.running_var is not None:
            unbiased = moments.variance * (moments.n_values / (moments.n_values - 1))
            self.running_mean.lerp_(moments.mean.to(self.running_mean.dtype), rate)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate)
        normalised: Tensor = _Normalise.apply(input, self.weight, self.bias, moments, self.eps)
        return normalised

    def _count_batch(self) -> float:
        """Count one batch and return its weight in the running statistics (momentum None: a plain mean of batches)."""
        if self.num_batches_tracked is None:
            return 0.0
        self.num_batches_tracked.add_(1)
        return 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        if input.dim() < 2:
            raise ValueError(f"batch norm needs (batch, channels, ...), got {input.dim()} dimensions")


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, where mean and variance are functions of all processes' x.

    Backward, with x^ the normalised input, N the count over all processes and sums over all of them:
    dL/dx = weight / sqrt(variance + eps) * (dy - sum(dy) / N - x^ * sum(dy * x^) / N)   (Ioffe and Szegedy, 2015).
    The gradients of weight and bias are this process's own, as DDP averages them.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, moments: Moments, eps: float
    ) -> Tensor:
        """x (B, C, ...) of any float type; weight and bias (C,) or None."""
        mean, variance = moments.mean.to(_precision(x)), moments.variance.to(_precision(x))
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.n_values, ctx.eps = moments.n_values, eps
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """dL/dy -> dL/d(x, weight, bias)."""
        x, weight, mean, variance = ctx.saved_tensors
        if x.numel() > 0:
            # the statistics taken as constants: one fused kernel gives the first term and this process's two sums
            plain, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
                grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
            )
        else:  # nothing here, but the others wait for these sums (and the kernel divides by zero)
            plain, grad_weight, grad_bias = grad, torch.zeros_like(mean), torch.zeros_like(mean)
        sums = torch.stack([grad_bias, grad_weight]).double()
        dist.all_reduce(sums)
        inverse_std = (variance + ctx.eps).rsqrt()
        scale = inverse_std if weight is None else inverse_std * weight
        shift, slope = (sums / ctx.n_values).to(mean.dtype) * scale
        shape = [1, -1] + [1] * (x.ndim - 2)
        correction = (x - mean.view(shape)).mul_((slope * inverse_std).view(shape)).add_(shift.view(shape))
        grad_x = (plain - correction).to(x.dtype)
        return grad_x, None if weight is None else grad_weight, None if weight is None else grad_bias, None, None


def _global_moments(x: Tensor) -> Moments:
    """Mean and biased variance of each channel over the batches of all processes.

    Every process sends its own mean, variance and count, and all combine them by the parallel-variance formula (Chan et
    al., 1983): variance = sum(n_i * (variance_i + (mean_i - mean)^2)) / N. Sums and sums of squares would need no more
    data, but their difference cancels where the mean is large beside the spread, and a variance may come out negative;
    here every term is a square. Gathering rather than reducing gives every process the same bits, in rank order. The
    vectors are float64: they are short, and float32 cannot count beyond 2^24 pixels.
    """
    channels = x.shape[1]
    own = torch.zeros(2 * channels + 1, dtype=torch.float64, device=x.device)
    if x.numel() > 0:
        mean, variance = torch.batch_norm_update_stats(x.detach().to(_precision(x)), None, None, 0.0)
        own[:channels], own[channels:-1], own[-1] = mean, variance, x.numel() // channels
    gathered = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, own)
    means, variances, counts = torch.stack(gathered).split([channels, channels, 1], dim=1)
    shares = counts / counts.sum().clamp(min=1)
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean).square())).sum(0)
    return Moments(mean, variance, int(counts.sum()))


def _precision(x: Tensor) -> torch.dtype:
    """In what the statistics of x are computed and used: float32, or float64 where x is."""
    return torch.promote_types(x.dtype, torch.float32)


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _convert(module: nn.Module) -> nn.Module:
    """Replace batch norms by DistributedBatchNorm, sharing their parameters and buffers."""
    if is_frozen(module):
        return module
    if type(module) in _CONVERTIBLE:
        return _distributed(cast(_BatchNorm, module))
    for name, child in module.named_children():
        module.add_module(name, _convert(child))
    return module


def _distributed(norm: _BatchNorm) -> DistributedBatchNorm:
    new = DistributedBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    new.weight, new.bias = norm.weight, norm.bias
    new.running_mean, new.running_var = norm.running_mean, norm.running_var
    new.num_batches_tracked = norm.num_batches_tracked
    for name, layer in norm.named_children():  # timm's drop and act
        new.add_module(name, layer)
    new.training = norm.training
    return new
