"""Losses over pixels: cross-entropy, focal, dice, Lovasz-softmax, and weighted sums of them.

All pixels of a batch are one set: those with the label ``ignore`` are taken out first, whatever the network says
there, and a mean is over all that are left, not over images. Where none is left, the loss is 0 and so is its gradient.
Everything is computed in float32, also under autocast.

Those of segmentation_models_pytorch 0.6 are not used. Its focal loss is the mean of binary losses with sigmoids, not
one of the softmax, and NaN when all pixels are ignored. Its dice averages over the classes that are absent, too, as if
these were perfect. Its Lovasz loss returns an empty tensor when all pixels are ignored, fails on a single class, and
takes differences of float32 numbers that are almost equal: with a million pixels these are wrong by a few per cent.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from headstart.configs.segment import LossConfig

Term = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(scores float32 (C, N), labels int64 (N,) in [0, C), class weights float32 (C,)) -> scalar."""


class Loss(nn.Module):
    """The loss of a batch: (logits (B, C, H, W), labels int64 (B, H, W) in [0, C) or ``ignore``) -> scalar float32."""

    class_weights: Tensor

    def __init__(self, terms: Sequence[tuple[float, Term]], class_weights: Tensor, ignore: int) -> None:
        super().__init__()
        self.terms, self.ignore = tuple(terms), ignore
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        picked = (labels != self.ignore).flatten().nonzero()[:, 0]
        if len(picked) == 0:
            return logits[:0].float().sum()
        scores, known = logits.transpose(0, 1).flatten(1)[:, picked].float(), labels.flatten()[picked]
        return torch.stack([factor * term(scores, known, self.class_weights) for factor, term in self.terms]).sum()


def build_loss(config: LossConfig, n_outputs: int, ignore: int, class_pixels: Sequence[int]) -> Loss:
    """The configured loss for ``n_outputs`` classes; ``class_pixels`` are the training pixels of each of them."""
    if len(class_pixels) != n_outputs:
        raise ValueError(f"{len(class_pixels)} counts of pixels for {n_outputs} classes")
    terms: dict[str, Term] = {
        "cross-entropy": partial(cross_entropy, smoothing=config.label_smoothing),
        "focal": partial(focal, gamma=config.focal_gamma),
        "dice": dice,
        "lovasz": lovasz_softmax,
    }
    factors = config.weights or (1.0,) * len(config.terms)
    chosen = [(factor, terms[name]) for factor, name in zip(factors, config.terms, strict=True)]
    return Loss(chosen, class_weights(config.class_weights, class_pixels), ignore)


def class_weights(kind: str, class_pixels: Sequence[int]) -> Tensor:
    """A weight for each class, float32 (C,): 1, or 1 / share of the training pixels to the power of 1 or 1/2.

    They are scaled so that their mean over the training pixels is 1. A class without a training pixel has weight 0.
    """
    counts = torch.tensor(class_pixels, dtype=torch.float64)
    if kind == "none":
        return torch.ones(len(counts))
    shares = counts / counts.sum().clamp_min(1)
    raw = torch.where(counts > 0, shares.clamp_min(1e-300).pow(-POWERS[kind]), 0.0)
    return (raw / (raw * shares).sum().clamp_min(1e-300)).float()


POWERS = {"inverse": 1.0, "sqrt-inverse": 0.5}


def cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """The mean over pixels, weighted by the class of each (as torch.nn.CrossEntropyLoss has it)."""
    total = F.cross_entropy(scores[None], labels[None], weights, reduction="sum", label_smoothing=smoothing)
    return total / weighed(labels, weights)


def focal(scores: Tensor, labels: Tensor, weights: Tensor, gamma: float = 2.0) -> Tensor:
    """(1 - p) ** gamma * -log p, with p the softmax at the true class (Lin et al., 2017, eq. 4 with softmax); mean as
    in ``cross_entropy``, which it is for ``gamma`` 0.
    """
    log_p = scores.log_softmax(0).gather(0, labels[None])[0]
    missing = -torch.expm1(log_p)  # 1 - p; the gradient of its power at 0 is infinite for gamma below 1
    factor = missing.clamp_min(torch.finfo(torch.float32).tiny).pow(gamma)
    return -(weights[labels] * factor * log_p).sum() / weighed(labels, weights)


def weighed(labels: Tensor, weights: Tensor) -> Tensor:
    """The sum of the weights of all pixels; above 0, so that pixels of weight 0 alone have loss 0."""
    return weights[labels].sum().clamp_min(torch.finfo(torch.float32).tiny)


def dice(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """1 - 2 * sum(p t) / (sum(p) + sum(t)) over all pixels, mean over the classes that have a pixel in this batch.

    p is the softmax and t the truth, 0 or 1 (Sudre et al., 2017, without class weights). ``weights`` are not used: the
    mean over classes already makes up for their sizes.
    """
    p = scores.softmax(0)
    truth = labels == torch.arange(len(p), device=labels.device)[:, None]
    both, sizes = (p * truth).sum(1), truth.sum(1)
    losses = 1 - 2 * both / (p.sum(1) + sizes).clamp_min(torch.finfo(torch.float32).tiny)
    return losses[sizes > 0].mean()


def lovasz_softmax(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The Lovasz extension of 1 - IoU of each class over all pixels (Berman et al., 2018, definition 2, algorithm 1),
    mean over the classes that have a pixel in this batch. ``weights`` are not used, as in ``dice``.
    """
    p = scores.softmax(0)
    losses = []
    for c in labels.bincount().nonzero()[:, 0].tolist():
        truth = labels == c
        errors, order = (truth.float() - p[c]).abs().sort(descending=True)
        losses.append((errors * jaccard_steps(truth[order])).sum())
    return torch.stack(losses).mean()


def jaccard_steps(truth: Tensor) -> Tensor:
    """How much 1 - IoU rises as each pixel in turn is got wrong: float32 (N,), of truth bool (N,), not all False.

    With I and U the intersection and union after a pixel: 1 / U where the pixel belongs to the class (I falls by one),
    I / (U (U - 1)) where it does not (U rises by one). No difference of two ratios is taken.
    """
    whole = truth.sum()
    intersection = (whole - truth.cumsum(0)).float()
    union = (whole + (~truth).cumsum(0)).float()
    return torch.where(truth, 1 / union, intersection / (union * (union - 1).clamp_min(1)))
