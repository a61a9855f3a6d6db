"""How a training image is augmented."""

from typing import Literal

from pydantic import Field

from headstart.configs.base import Config


class ViewsConfig(Config):
    """Augmentation of one view. Probabilities and scales follow BYOL, Appendix B (Grill et al., 2020)."""

    style: Literal["byol", "trivial", "light", "none"] = "byol"
    """byol: random crop, flip, colour, blur, solarise; trivial: resize, centre crop, TrivialAugmentWide;
    light: random crop and flip; none: resize and centre crop."""
    crop_scale: tuple[float, float] = Field(default=(0.2, 1.0), strict=False)
    """Smallest and largest share of the image's area in a random crop."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    vertical_flip: float = Field(default=0.0, ge=0, le=1)
    """Probability of a vertical flip; sensible for overhead images."""
    colour: float = Field(default=1.0, ge=0)
    """Strength of the colour jitter: 1 is BYOL's (brightness 0.4, contrast 0.4, saturation 0.2, hue 0.1)."""
    colour_probability: float = Field(default=0.8, ge=0, le=1)
    """Probability of the colour jitter."""
    grey: float = Field(default=0.2, ge=0, le=1)
    """Probability of dropping the colour."""
    blur: tuple[float, float] = Field(default=(1.0, 0.1), strict=False)
    """Probability of a Gaussian blur, for the first and the second view."""
    solarise: tuple[float, float] = Field(default=(0.0, 0.2), strict=False)
    """Probability of solarising, for the first and the second view."""
    mean_std: Literal["backbone", "imagenet"] = "backbone"
    """Channel statistics for normalising: the backbone's own, or ImageNet's."""
