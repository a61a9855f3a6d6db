"""BYOL's own settings, and how pre-training is watched."""

from typing import Literal

from pydantic import Field

from headstart.configs.base import Config


class ByolConfig(Config):
    """Sizes and momentum of BYOL (Grill et al., 2020, section 3)."""

    projection_size: int = Field(default=256, ge=1)
    """Outputs of projector and predictor."""
    hidden_size: int = Field(default=4096, ge=1)
    """Hidden units of projector and predictor."""
    tau_base: float = Field(default=0.996, ge=0, le=1)
    """EMA momentum of the target at the first step; it rises to tau_end on a cosine."""
    tau_end: float = Field(default=1.0, ge=0, le=1)
    """EMA momentum at the last step."""
    started_lr: float = Field(default=0.1, gt=0)
    """Learning rate of a backbone that begins from weights, as a multiple of that of the heads, which begin from
    nothing (not for --start scratch)."""
    keep: float = Field(default=4.0, ge=0)
    """Weight of distillation from the weights that a backbone begins from, so that it gains what these images teach and
    keeps what it knows (not for --start scratch). 0: BYOL alone."""


class WatchConfig(Config):
    """What is measured while pre-training runs, and what happens when it goes wrong."""

    looks: int = Field(default=20, ge=1)
    """Looks at the features over the whole training, evenly spaced; the last is at its end."""
    images: int = Field(default=1000, ge=32)
    """Training images the features are looked at on, at most; of up to 512 of them two views, too."""
    on_collapse: Literal["stop", "warn"] = "stop"
    """What to do when the features have become almost the same for all images."""
    stop_early: bool = False
    """End the training when the early word, after a tenth of the steps, is stop; without this it is only said."""
