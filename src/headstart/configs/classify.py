"""Settings of ``headstart classify``."""

from typing import Any

from pydantic import Field, model_validator

from headstart.configs.recipes import CLASSIFY, with_recipe
from headstart.configs.run import HELD_OUT_PARTS, BackboneRunConfig
from headstart.configs.starts import start_problems
from headstart.configs.views import ViewsConfig


class ClassifyConfig(BackboneRunConfig):
    """Training of a classifier from one start: the whole network, or a linear layer on a frozen backbone."""

    start: str = "scratch"
    """scratch, supervised, supervised=FILE-or-timm-name, ssl=RUN, ssl+supervised=RUN."""
    frozen: bool = False
    """Train the classifier only; the backbone stays bit-identical, batch-norm statistics included."""
    frozen_views: int = Field(default=0, ge=0)
    """Augmented copies of each training image whose features are cached for a frozen setting; 0: the plain image."""
    label_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the training labels to use, the same share of each class."""
    held_out: int | None = Field(default=None, ge=0, lt=HELD_OUT_PARTS)
    """Judge on this fifth (0 to 4) of the labelled training images, and train on the others. No validation image is
    read then. A study chooses learning rates so."""
    min_steps: int = Field(default=0, ge=0)
    """Train for more epochs where --epochs are fewer optimiser steps than this (small label fractions)."""
    standardise: bool = True
    """Scale cached features to mean 0 and standard deviation 1 over the training images (frozen settings)."""
    evaluations: int = Field(default=10, ge=1)
    """Evaluations on the validation images over the training, evenly spaced; the last is at its end."""
    save_features: bool = True
    """Save the penultimate-layer features of the training images after the first and the last epoch."""
    views: ViewsConfig = ViewsConfig(style="light")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        return with_recipe(given, CLASSIFY)

    def conflicts(self) -> list[str]:
        problems = super().conflicts() + start_problems(self.start, "--start")
        if self.frozen_views and not self.frozen:
            problems.append("--frozen-views is for cached features: add --frozen, or leave it out")
        return problems
