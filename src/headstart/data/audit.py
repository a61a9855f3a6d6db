"""A look at the views before training: bad views are a common silent reason for useless pre-training."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from headstart.data.imageset import ImageSet
from headstart.data.loaders import read_chw
from headstart.data.seeds import derive
from headstart.data.sheets import pair_sheet
from headstart.data.views import View
from headstart.results import ViewsAudit

logger = logging.getLogger(__name__)

AUDITED_IMAGES = 256
SHOWN_PAIRS = 12
FLAT_STD = 4.0
TOLERATED_SHARE = 0.05


def audit_views(images: ImageSet, views: Sequence[View], seed: int, sheet: Path) -> ViewsAudit:
    """Draw the view pairs of up to 256 images, save a sheet of some, and measure how many views show next to nothing.

    A view is near-constant when the standard deviation of its grey values (0 to 255) is below 4. Above a share of
    5 % a warning names the settings to change.
    """
    picked = np.random.default_rng(derive(seed, "audit")).permutation(len(images))[:AUDITED_IMAGES]
    pairs = [_pair(images, int(i), views, seed) for i in picked]
    pair_sheet([(_hwc(first), _hwc(second)) for first, second in pairs[:SHOWN_PAIRS]], sheet)
    share = float(np.mean([near_constant(view) for pair in pairs for view in pair]))
    warning = None
    if share > TOLERATED_SHARE:
        warning = (
            f"{share:.0%} of the views are nearly one colour: the network learns nothing from them. Raise the smaller "
            "--views.crop-scale (towards 0.5), or leave images without content out of the source."
        )
        logger.warning("%s See %s.", warning, sheet)
    return ViewsAudit(
        n_views=2 * len(pairs), near_constant_share=share, threshold=FLAT_STD, warning=warning, sheet=sheet.name
    )


def near_constant(view: Tensor) -> bool:
    """Whether a uint8 (3, H, W) view has a grey-value standard deviation below 4."""
    return float(view.float().mean(0).std()) < FLAT_STD


def _pair(images: ImageSet, index: int, views: Sequence[View], seed: int) -> tuple[Tensor, Tensor]:
    image = read_chw(images, index)
    first, second = (view.pixels(image, derive(seed, "view", 0, index, v)) for v, view in enumerate(views))
    return first, second


def _hwc(view: Tensor) -> np.ndarray:
    return view.permute(1, 2, 0).contiguous().numpy()
