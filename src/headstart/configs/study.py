"""Settings of ``headstart study`` and ``headstart demo``."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from headstart.configs.base import FilePath, OutputConfig
from headstart.configs.recipes import CLASSIFY, PRETRAIN, SEGMENT, Recipes
from headstart.configs.run import HELD_OUT_PARTS
from headstart.results import Protocol

RECIPES: Mapping[str, Recipes] = {"classify": CLASSIFY, "segment": SEGMENT}
"""Task of a study -> the recipes of its trainings."""
SEGMENT_ONLY = ("model", "palette", "nearest_colour", "protocol")


class StudyConfig(OutputConfig):
    """Starts x full/frozen x label fractions x seeds on one task, under equal conditions, with a verdict."""

    data: str
    """Source with labels: class folders, a CSV beside its folder, train/val pairs of these, pairs of images and masks
    for --task segment, or demo:bluemarble."""
    unlabelled: str | None = None
    """Source of images for pre-training within the study; None: the training images of --data, without labels."""
    task: Literal["classify", "segment"] = "classify"
    """What the starts are compared on."""
    model: str = "unet"
    """Segmentation only: fcn32s, or a decoder of segmentation_models_pytorch; its encoder is --backbone."""
    palette: str | None = None
    """Segmentation only: name of a palette or a YAML file of one; none: the one that the source implies."""
    nearest_colour: bool = False
    """Segmentation only: read a mask colour outside the palette as the nearest one in it, instead of refusing it."""
    protocol: Protocol = "ignore"
    """Segmentation only: what the mean IoU counts."""
    starts: tuple[str, ...] = Field(default=("scratch", "supervised", "ssl", "ssl+supervised"), strict=False)
    """Starts to compare; scratch is always among them. A bare ssl or ssl+supervised is pre-trained here first."""
    trained: tuple[Literal["full", "frozen"], ...] = Field(default=("full", "frozen"), strict=False)
    """full: everything is trained; frozen: the classifier, or the decoder, only."""
    seeds: int = Field(default=3, ge=1)
    """Runs of each setting, with seeds 0, 1, ...; an interval needs at least two."""
    label_fractions: tuple[float, ...] = Field(default=(0.1, 1.0), strict=False)
    """Shares of the training labels, or of the training pairs of images and masks."""
    recipe: str = "default"
    """Recipe of the trainings compared; classify: default or seed_transfer, segment: default, seed_model_a, ..."""
    pretrain_recipe: str = "default"
    """Recipe of the pre-training within the study: default or seed_byol."""
    backbone: str = "resnet50"
    """Any timm model name, or torchvision/NAME; the same for every start."""
    image_size: int | None = Field(default=None, ge=8)
    """Side in pixels of the square images the network sees; None: the recipe's."""
    epochs: int | None = Field(default=None, ge=1)
    """Epochs of each training compared; None: the recipe's."""
    min_steps: int | None = Field(default=None, ge=0)
    """Fewest optimiser steps of each training compared, so that few labels get as fair a try; None: the recipe's."""
    lr_grid: tuple[Annotated[float, Field(allow_inf_nan=True)], ...] = Field(default=(0.3, 1.0, 3.0), strict=False)
    """Learning rates to choose from for each setting and share of the labels, as multiples of the recipe's; one value:
    nothing is chosen. The choice is made on labelled training images that are held out, never on validation images."""
    tune_folds: int = Field(default=3, ge=1, le=HELD_OUT_PARTS)
    """Most fifths of the labelled training images that are held out, one after the other, for that choice; fewer where
    fewer already make 100 images."""
    pretrain_epochs: int | None = Field(default=None, ge=1)
    """Epochs of each pre-training; None: the recipe's, or --pretrain-minutes."""
    pretrain_minutes: float | None = Field(default=None, gt=0)
    """Wall-clock minutes of each pre-training within the study."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; auto takes bf16 where the processor has it natively."""
    workers: int | Literal["auto"] = "auto"
    """Loader processes; the result does not depend on their number."""
    file_seconds: float = Field(default=300.0, gt=0)
    """Seconds that reading one file may take; after that the study ends with an error that names it."""
    pack_limit: float = Field(default=20.0, ge=0)
    """Of images (not pairs): GB on disk for packs of decoded ones, so that later epochs and runs decode nothing; those
    not used for longest make room. 0: no pack. No result depends on it."""
    strict: bool = False
    """Make an undecodable image an error instead of a line in quarantine.csv."""
    overwrite: bool = False
    """Delete a study that is already in --out; without it, finished runs are kept and the rest is done."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        """The network and the protocol that a recipe names hold for the study too, unless said otherwise."""
        recipe = RECIPES[given.get("task", "classify")].get(given.get("recipe")) if _is_plain(given) else None
        if recipe is None:
            return given
        named = recipe()
        if "encoder" in named:
            named["backbone"] = named["encoder"].removeprefix("tu-")
        return {key: named[key] for key in ("backbone", *SEGMENT_ONLY) if key in named} | given

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        for flag, name, recipes in (
            ("--recipe", self.recipe, RECIPES[self.task]),
            ("--pretrain-recipe", self.pretrain_recipe, PRETRAIN),
        ):
            if name not in recipes:
                problems.append(f"{flag} {name!r}: the recipes are {', '.join(recipes)}")
        problems += grid_problems(self.lr_grid)
        if self.backbone.startswith("tu-"):
            problems.append(f"--backbone {self.backbone}: write timm's own name, {self.backbone.removeprefix('tu-')}")
        if self.task != "segment":
            problems += [
                f"--{name.replace('_', '-')} is for segmentation: add --task segment, or leave it out"
                for name in SEGMENT_ONLY
                if getattr(self, name) != type(self).model_fields[name].default
            ]
        return problems


def grid_problems(grid: Sequence[float]) -> list[str]:
    """What is wrong with multiples of a learning rate."""
    if not grid:
        return ["--lr-grid is empty; give multiples of the recipe's learning rate such as 0.3 1 3, or 1 alone"]
    wrong = [f"{multiple:g}" for multiple in grid if not (math.isfinite(multiple) and multiple > 0)]
    return [f"--lr-grid {' '.join(wrong)}: multiples of a learning rate are above zero"] if wrong else []


def _is_plain(given: Any) -> bool:
    """Whether these are settings by name, of a task there is; anything else is refused further on."""
    return isinstance(given, dict) and given.get("task", "classify") in RECIPES


class DemoConfig(OutputConfig):
    """The whole study on the embedded data, with its report."""

    minutes: float = Field(default=15.0, gt=0)
    """Wall-clock minutes to plan the demo for; scales every budget in it. Below 5 the fixed work shows: 3 took 4."""
    sam: FilePath | None = None
    """Weights of Segment Anything on this disk, for the demo's automatic masks, which come on top of the minutes; none:
    those of a model that headstart masks has downloaded before, and no masks where there are none."""
    overwrite: bool = False
    """Delete a demo that is already in --out; without it, finished runs are kept and the rest is done."""
