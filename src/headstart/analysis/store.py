"""What the runs of one study share, so that it is done once: checked images and masks, views, frozen features."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from headstart.analysis.suited import suited
from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.pack import readable
from headstart.data.pair_check import CheckedPairs, check_pairs
from headstart.data.pairs import PairSet
from headstart.data.palettes import Palette
from headstart.data.threads import PATIENCE_SECONDS
from headstart.models.backbones import Backbone
from headstart.results import Symmetry

FeatureKey = tuple[str, str, ImageSet]
PairKey = tuple[PairSet, Palette, bool]


@dataclass
class Store:
    """Kept in memory for the length of a command; ``shared`` where several runs use it.

    Features are found by the content of the weights, the view and the images, never by a name: two runs share them
    only where they would compute the same.
    """

    shared: bool = False
    checked: dict[ImageSet, ImageSet] = field(default_factory=dict)
    pairs: dict[PairKey, CheckedPairs] = field(default_factory=dict)
    features: dict[FeatureKey, np.ndarray] = field(default_factory=dict)
    views: dict[tuple[ViewsConfig, ImageSet], tuple[ViewsConfig, Symmetry | None]] = field(default_factory=dict)

    def decodable(
        self,
        images: ImageSet,
        quarantine: Path,
        strict: bool,
        workers: int,
        patience: float = PATIENCE_SECONDS,
        limit: float = 0.0,
    ) -> ImageSet:
        """``readable``, once for each set. The first run's quarantine file lists what is left out."""
        if images not in self.checked:
            self.checked[images] = readable(images, quarantine, strict, workers, patience, limit)
        return self.checked[images]

    def checked_pairs(
        self,
        pairs: PairSet,
        palette: Palette,
        quarantine: Path,
        strict: bool,
        workers: int,
        nearest: bool,
        patience: float = PATIENCE_SECONDS,
    ) -> CheckedPairs:
        """``check_pairs``, once for each set, palette and way to read colours; quarantine as in ``decodable``."""
        key = (pairs, palette, nearest)
        if key not in self.pairs:
            self.pairs[key] = check_pairs(pairs, palette, quarantine, strict, workers, nearest, patience)
        return self.pairs[key]

    def suited(self, views: ViewsConfig, images: ImageSet) -> tuple[ViewsConfig, Symmetry | None]:
        """``suited``, once for each set of images."""
        key = (views, images.unlabelled())
        if key not in self.views:
            self.views[key] = suited(*key)
        return self.views[key]

    def features_of(self, weights: str, view: str, images: ImageSet, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """float32 (n, d) features of ``images`` under ``view`` (its description), computed where not yet known.
        ``weights`` is the ``digest`` of the backbone.
        """
        key = (weights, view, images.unlabelled())
        if key not in self.features:
            self.features[key] = compute()
        return self.features[key]


def digest(backbone: Backbone) -> str:
    """SHA-256 over the names and values of all parameters and buffers."""
    total = hashlib.sha256()
    for name, tensor in backbone.state_dict().items():
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
