"""What every training has in common."""

from typing import Annotated, Literal

from pydantic import Field

from headstart.configs.base import OutputConfig
from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.configs.views import ViewsConfig

Parts = Annotated[int, Field(ge=1)]

HELD_OUT_PARTS = 5
"""Disjoint parts of the labelled training images, any one of which a training can be judged on."""


class RunConfig(OutputConfig):
    """What every training has: data, sizes, length, seed, machine."""

    data: str
    """Source of images: a folder, class folders, a CSV beside its folder, train/val pairs, or demo:bluemarble."""
    recipe: str = "default"
    """Named set of defaults (see docs/reference/recipes.md); flags given beside it win."""
    image_size: int = Field(default=128, ge=8)
    """Side in pixels of the square images the network sees."""
    batch_size: int = Field(default=64, ge=2)
    """Images an optimiser step sees, over all devices and accumulated micro-batches. auto: as many as the recipe says,
    with --accumulate auto."""
    accumulate: Parts | Literal["auto"] = 1
    """Micro-batches that an optimiser step's batch is split into, to save memory; auto: as few as fit into it, found by
    a measured trial before training."""
    epochs: int = Field(default=100, ge=1)
    """Passes over the training images."""
    budget_minutes: float | None = Field(default=None, gt=0)
    """Wall-clock minutes to fit the training into; sets the number of epochs from a measured step."""
    seed: int = Field(default=0, ge=0)
    """Everything random is a function of this number."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; auto takes bf16 where the processor has it natively."""
    devices: int = Field(default=1, ge=1)
    """Accelerators (or processes, under torchrun) to use."""
    workers: int | Literal["auto"] = "auto"
    """Loader processes; the result does not depend on their number."""
    file_seconds: float = Field(default=300.0, gt=0)
    """Seconds that reading one file may take; after that training ends with an error that names it."""
    resume: bool = False
    """Go on exactly where the run in --out was interrupted."""
    overwrite: bool = False
    """Delete a run that is already in --out."""
    strict: bool = False
    """Make an undecodable image an error instead of a line in quarantine.csv."""
    checkpoint_minutes: float = Field(default=2.0, gt=0)
    """Wall-clock minutes between checkpoints."""
    checkpoint_steps: int | None = Field(default=None, ge=1)
    """Optimiser steps between checkpoints, in addition to the minutes."""
    allow_partial_weights: bool = False
    """Accept starting weights that fill less than 90 % of the backbone's parameters."""
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        if self.accumulate == "auto":
            pass  # only parts that are possible are tried
        elif self.batch_size % self.accumulate:
            problems.append(
                f"--batch-size {self.batch_size} cannot be split into --accumulate {self.accumulate} equal parts"
            )
        elif self.batch_size // self.accumulate < 2:
            problems.append(
                f"--batch-size {self.batch_size} in --accumulate {self.accumulate} parts leaves 1 image at a "
                "time, and batch norm needs 2: raise the one or lower the other"
            )
        if self.resume and self.overwrite:
            problems.append("--resume goes on with the run in --out and --overwrite deletes it: give one of them")
        return problems


class BackboneRunConfig(RunConfig):
    """A training of one backbone on single images."""

    backbone: str = "resnet50"
    """Any timm model name, or torchvision/NAME."""
    grad_checkpointing: bool = False
    """Keep fewer activations and compute them again on the way back: the same result in less memory and more time."""
    views: ViewsConfig = ViewsConfig()
    pack_limit: float = Field(default=20.0, ge=0)
    """GB on disk for packs of decoded images, so that later epochs and runs decode nothing; those not used for longest
    make room. 0: no pack. No result depends on it."""
