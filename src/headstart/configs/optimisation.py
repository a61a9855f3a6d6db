"""Optimiser and learning-rate schedule."""

from typing import Literal

from pydantic import Field

from headstart.configs.base import Config


class OptimConfig(Config):
    """The optimiser and its constants."""

    name: Literal["adam", "adamw", "sgd", "lars"] = "adamw"
    """Update rule."""
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate, before scaling by the batch."""
    lr_base_batch: int | None = Field(default=None, ge=1)
    """Batch size that --optim.lr is meant for; the rate is multiplied by batch_size / this. None: not scaled."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay; never applied to biases and normalisation parameters."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD and LARS."""
    betas: tuple[float, float] = Field(default=(0.9, 0.999), strict=False)
    """Moment decay rates of Adam and AdamW."""
    trust_coefficient: float = Field(default=1e-3, gt=0)
    """Trust ratio coefficient of LARS."""
    grad_clip: float | None = Field(default=None, gt=0)
    """Largest global gradient norm; longer gradients are scaled down. None: no clipping."""

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        if not all(0 <= beta < 1 for beta in self.betas):
            problems.append(f"--optim.betas {self.betas[0]:g} {self.betas[1]:g}: needs two numbers in [0, 1)")
        return problems


class ScheduleConfig(Config):
    """The learning rate as a function of the step."""

    name: Literal["cosine", "poly", "one_cycle", "warm_restarts", "constant"] = "cosine"
    """cosine: warm-up, then one half cosine to zero; poly: warm-up, then (1 - progress) ** power; one_cycle: up and
    down on half cosines (Smith and Topin, 2019); warm_restarts: CosineAnnealingWarmRestarts (SGDR)."""
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of all steps with a rising rate (not for warm_restarts)."""
    power: float = Field(default=0.9, gt=0)
    """Exponent of poly."""
    restart_epochs: int = Field(default=10, ge=1)
    """Length of the first period of warm_restarts, in epochs."""
    restart_factor: int = Field(default=1, ge=1)
    """Each period of warm_restarts is this many times as long as the one before."""
