"""Settings of ``headstart segment``: the model, its loss, and how images and masks are augmented together."""

from typing import Any, Literal

from pydantic import Field, model_validator

from headstart.configs.base import Config
from headstart.configs.recipes import SEGMENT, with_recipe
from headstart.configs.run import HELD_OUT_PARTS, RunConfig
from headstart.configs.starts import start_problems
from headstart.results import Protocol

LossTerm = Literal["cross-entropy", "focal", "dice", "lovasz"]


class LossConfig(Config):
    """The training loss: a weighted sum of terms, in all of which ignored pixels count for nothing."""

    terms: tuple[LossTerm, ...] = Field(default=("cross-entropy",), strict=False)
    """What is added up: cross-entropy, focal, dice, lovasz."""
    weights: tuple[float, ...] = Field(default=(), strict=False)
    """A factor for each term; none given: 1 each."""
    class_weights: Literal["none", "inverse", "sqrt-inverse"] = "none"
    """Weights of the classes in cross-entropy and focal, from their shares of the training pixels: 1 / share or
    1 / sqrt(share), scaled to a mean of 1 over the training pixels."""
    focal_gamma: float = Field(default=2.0, ge=0)
    """Exponent of the focal term (Lin et al., 2017)."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing of the cross-entropy term."""

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        if not self.terms:
            problems.append("--loss.terms is empty; give one or more of cross-entropy, focal, dice, lovasz")
        if self.weights and len(self.weights) != len(self.terms):
            problems.append(f"--loss.weights has {len(self.weights)} number(s) for {len(self.terms)} --loss.terms")
        if any(weight <= 0 for weight in self.weights):
            problems.append("--loss.weights must all be above zero")
        return problems


class CropsConfig(Config):
    """How a crop of an image is drawn and altered; the mask follows wherever pixels move."""

    per_image: int = Field(default=1, ge=1)
    """Crops of each image in an epoch; raise it for images much larger than --image-size."""
    scale: tuple[float, float] = Field(default=(0.75, 1.5), strict=False)
    """Smallest and largest zoom: a crop covers image_size / zoom pixels of the image, and never more than there are
    unless the image itself is smaller than --image-size."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    vertical_flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a vertical flip; 0 for images that have an up and a down."""
    rotate: float = Field(default=0.5, ge=0, le=1)
    """Probability of a turn by 90, 180 or 270 degrees; 0 for images that have an up and a down."""
    colour: float = Field(default=0.5, ge=0)
    """Strength of the colour jitter: 1 is brightness 0.4, contrast 0.4, saturation 0.2, hue 0.1."""
    colour_probability: float = Field(default=0.8, ge=0, le=1)
    """Probability of the colour jitter."""

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        low, high = self.scale
        if not 0 < low <= high:
            problems.append(f"--crops.scale {low:g} {high:g}: needs 0 < smallest <= largest")
        return problems


class SegmentConfig(RunConfig):
    """Training of a segmentation model on pairs of images and masks, its encoder from one start."""

    data: str
    """Source of pairs of images and masks: NAME_sat with NAME_mask, images/ beside masks/, a CSV (image,mask), or
    demo:bluemarble, demo:landcover."""
    model: str = "unet"
    """fcn32s, fcn32s-seed, or a decoder of segmentation_models_pytorch: unet, unetplusplus, manet, linknet, fpn,
    pspnet, deeplabv3, deeplabv3plus, pan, upernet, segformer, dpt."""
    encoder: str = "tu-resnet50"
    """tu-NAME for any timm model, or a name of segmentation_models_pytorch; the FCNs have vgg16, without being told."""
    start: str = "scratch"
    """Where the encoder's weights come from: scratch, supervised, supervised=FILE-or-timm-name, ssl=RUN,
    ssl+supervised=RUN."""
    frozen: bool = False
    """Train the decoder only; the encoder stays bit-identical, batch-norm statistics included."""
    encoder_lr: float = Field(default=1.0, gt=0)
    """Learning rate of the encoder as a multiple of the decoder's."""
    palette: str | None = None
    """Name of a palette (deepglobe, bluemarble) or a YAML file of one; none: the one that the source implies."""
    nearest_colour: bool = False
    """Read a mask colour outside the palette as the nearest one in it, instead of refusing it."""
    ignored: Literal["skip", "learn"] = "skip"
    """Pixels of the palette's ignored class: skip them in the loss, or learn them as one more class."""
    protocol: Protocol = "ignore"
    """What the mean IoU counts: ignore leaves unknown pixels out; deepglobe6 counts them against the prediction;
    per-image averages over images."""
    label_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the training pairs to use."""
    held_out: int | None = Field(default=None, ge=0, lt=HELD_OUT_PARTS)
    """Judge on this fifth (0 to 4) of the labelled training pairs, and train on the others. No validation pair is
    read then. A study chooses learning rates so."""
    min_steps: int = Field(default=0, ge=0)
    """Train for more epochs where --epochs are fewer optimiser steps than this."""
    evaluations: int = Field(default=10, ge=1)
    """Evaluations on the validation images over the training, evenly spaced; the last is at its end."""
    mask_epochs: tuple[int, ...] = Field(default=(), strict=False)
    """Epochs whose masks of some validation images are kept; none given: the first, the middle and the last."""
    mask_images: tuple[str, ...] = Field(default=(), strict=False)
    """Names (or ends of names) of these images; none given: the best, the median and the worst at the end."""
    loss: LossConfig = LossConfig()
    crops: CropsConfig = CropsConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        settings = with_recipe(given, SEGMENT)
        if isinstance(settings, dict) and str(settings.get("model", "")).startswith("fcn32s"):
            settings.setdefault("encoder", "vgg16")
        return settings

    def conflicts(self) -> list[str]:
        problems = super().conflicts() + start_problems(self.start, "--start")
        if self.model == "fcn32s-seed" and self.image_size != 512:
            problems.append(
                f"--image-size {self.image_size}: fcn32s-seed gives masks of the image's size for 512 pixels only; "
                "take --image-size 512, or --model fcn32s for any size"
            )
        if any(epoch < 1 for epoch in self.mask_epochs):
            problems.append("--mask-epochs count from 1")
        return problems
