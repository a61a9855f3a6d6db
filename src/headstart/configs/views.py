"""How a training image is augmented."""

from typing import Annotated, Literal

from pydantic import Field

from headstart.configs.base import Config

Chance = Annotated[float, Field(ge=0, le=1)] | Literal["auto"]


class ViewsConfig(Config):
    """Augmentation of one view. Probabilities and scales follow BYOL, Appendix B (Grill et al., 2020)."""

    style: Literal["byol", "trivial", "light", "none"] = "byol"
    """byol: random crop, flip, colour, blur, solarise; trivial: resize, centre crop, TrivialAugmentWide;
    light: random crop and flip; none: resize and centre crop."""
    crop_scale: tuple[float, float] = Field(default=(0.2, 1.0), strict=False)
    """Smallest and largest share of the image's area in a random crop."""
    flip: Chance = 0.5
    """Probability of a horizontal flip. auto: 0.5 where images look the same flipped, else 0."""
    vertical_flip: Chance = 0.0
    """Probability of a vertical flip; sensible for overhead images. auto: as for flip."""
    turn: Chance = 0.0
    """Probability of swapping rows and columns, which with both flips makes quarter turns; auto: as for flip."""
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

    @property
    def chances(self) -> tuple[float, float, float]:
        """Probabilities of a horizontal flip, a vertical flip and a turn. ValueError where one is still auto."""
        flip, vertical_flip, turn = self.flip, self.vertical_flip, self.turn
        if flip == "auto" or vertical_flip == "auto" or turn == "auto":
            raise ValueError(f"{', '.join(self.open_chances)} of the views: auto, which was never settled")
        return flip, vertical_flip, turn

    @property
    def open_chances(self) -> tuple[str, ...]:
        """The settings that are auto."""
        return tuple(name for name in ("flip", "vertical_flip", "turn") if getattr(self, name) == "auto")

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            problems.append(f"--views.crop-scale {low:g} {high:g}: needs 0 < smallest <= largest <= 1")
        for name, values in (("blur", self.blur), ("solarise", self.solarise)):
            if not all(0 <= value <= 1 for value in values):
                problems.append(f"--views.{name} {values[0]:g} {values[1]:g}: needs two probabilities in [0, 1]")
        return problems
