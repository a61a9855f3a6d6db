"""Views that suit the images: flips and turns only where flipped and turned images look like the others."""

import logging

import numpy as np
import torch
from torch.nn import functional

from headstart.analysis.symmetry import CHANGES, told_apart
from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.loaders import read_chw
from headstart.data.reduced import WITHOUT_CROPS
from headstart.data.seeds import derive
from headstart.results import CHANGES_IN_WORDS, Symmetry

logger = logging.getLogger(__name__)

SAMPLE = 1000
"""Images looked at, at most."""
ENOUGH = 200
"""Images below which nothing is measured: too few to learn from how a flipped image differs."""
SIDE = 16
"""Pixels of the side that images are reduced to."""
ALIKE = 0.65
"""Share told apart up to which changed images count as looking like the others (docs/learning.md has examples)."""
CHANGES_OF = {
    "flip": ("left_right",),
    "vertical_flip": ("up_down",),
    "turn": ("left_right", "up_down", "quarter_turn"),
}
"""Setting of the views -> the changes that must all leave images alike: swapping rows and columns turns and flips."""
USUAL = {"flip": 0.5, "vertical_flip": 0.0, "turn": 0.0}
"""What is taken without a measurement."""


def suited(views: ViewsConfig, images: ImageSet) -> tuple[ViewsConfig, Symmetry | None]:
    """The views with a number for each chance that is auto, and what was measured for it (None: nothing was asked).

    A function of the images alone, whatever the run's seed. Styles that flip nothing have no chances to measure.
    """
    asked = views.open_chances
    if not asked:
        return views, None
    if views.style in WITHOUT_CROPS:
        return views.model_copy(update=dict.fromkeys(asked, 0.0)), None
    shares: dict[str, float] = {}
    chances = {name: USUAL[name] for name in asked}
    picked = np.random.default_rng(derive("symmetry")).permutation(len(images))[:SAMPLE]
    if len(images) >= ENOUGH:
        small = np.stack([reduced(images, int(i)) for i in picked])
        needed = dict.fromkeys(change for name in asked for change in CHANGES_OF[name])
        shares = {change: told_apart(small, CHANGES[change]) for change in needed}
        alike = {change for change, share in shares.items() if share <= ALIKE}
        chances = {name: 0.5 if alike.issuperset(CHANGES_OF[name]) else 0.0 for name in asked}
    settled = views.model_copy(update=chances)
    found = Symmetry(n_images=len(picked) if shares else 0, told_apart=shares, alike=ALIKE, chances=chances)
    logger.info("%s", told(found))
    return settled, found


def reduced(images: ImageSet, i: int) -> np.ndarray:
    """An image at 16 x 16 pixels, whatever its sides: uint8 (16, 16, 3).

    Means of windows that lie symmetrically, so that a flipped image is reduced to the flipped reduction.
    """
    means = functional.adaptive_avg_pool2d(read_chw(images, i).float(), SIDE)
    pixels: np.ndarray = means.round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels


def told(found: Symmetry) -> str:
    """What was measured and what it leads to, in one line."""
    chances = ", ".join(f"{name.replace('_', ' ')} {chance:g}" for name, chance in found.chances.items())
    if not found.told_apart:
        return f"Flips and turns of the views, without a measurement (fewer than {ENOUGH} images): {chances}."
    shares = ", ".join(f"{CHANGES_IN_WORDS[name]} {share:.0%}" for name, share in found.told_apart.items())
    return (
        f"Images changed so are told from the others ({found.n_images} images; chance 50 %, alike up to "
        f"{found.alike:.0%}): {shares}. So the views have {chances}."
    )
