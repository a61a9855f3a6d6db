"""The rule of the early word: whether, after a tenth of a pre-training, going on looks worth it. Plain arithmetic.

It compares a look with the one before the first step, over the same images (docs/reference/pretraining-watch.md gives
the reasons):

- stop: the features have collapsed or are no numbers, or the measure fell by more than NOISE standard errors and the
  features use no more than SPREADING times the dimensions that they used;
- go on: the measure rose by more than NOISE standard errors (and, without labels, the features still use RANK_SHARE of
  the dimensions they used);
- no gain so far: anything else.

The measure is the kNN accuracy where there are labels, and the retrieval of images by their views where there are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headstart.results import EarlyVerdict, LookFigures
from headstart.training.health import collapsed

NOISE = 2.0
"""Standard errors that a difference must exceed to count."""
SPREADING = 2.0
"""Effective rank, as a multiple of that before training, above which a fall is not yet a reason to stop."""
RANK_SHARE = 0.5
"""Share of the effective rank before training below which a rise in retrieval is no gain."""

Measure = Literal["knn", "retrieval"]


@dataclass(frozen=True)
class Ground:
    """What a word stands on beside the looks.

    ``before`` is the look before the first step; ``n_knn`` and ``n_pairs`` are the images that kNN (0 without labels)
    and retrieval are measured on; ``floors`` are the kNN accuracies of raw pixels and of the untrained network;
    ``from_scratch`` says whether training began with random weights.
    """

    before: LookFigures
    n_knn: int
    n_pairs: int
    floors: Mapping[str, float]
    from_scratch: bool

    @property
    def measure(self) -> Measure:
        """What the verdict rests on."""
        return "knn" if self.n_knn else "retrieval"

    @property
    def n_images(self) -> int:
        return self.n_knn or self.n_pairs


def verdict_of(before: LookFigures, now: LookFigures, measure: Measure) -> EarlyVerdict:
    """The rule."""
    if not healthy(now):
        return "stop"
    gain, error = gain_of(before, now, measure)
    share = rank_share(before, now)
    if gain < -NOISE * error and share <= SPREADING:
        return "stop"
    if gain > NOISE * error and not (measure == "retrieval" and share < RANK_SHARE):
        return "go on"
    return "no gain so far"


def gain_of(before: LookFigures, now: LookFigures, measure: Measure) -> tuple[float, float]:
    """Difference of the measure to before training, and its standard error; (0, 0) where one has no answer."""
    first, last, error = getattr(before, measure), getattr(now, measure), getattr(now, f"{measure}_gain_se")
    return (0.0, 0.0) if first is None or last is None or error is None else (last - first, error)


def healthy(look: LookFigures) -> bool:
    """Whether the features are numbers and have not collapsed."""
    spreads = look.feature_std, look.projection_std
    return spreads[0] is not None and spreads[1] is not None and not collapsed(spreads[0], spreads[1])


def rank_share(before: LookFigures, now: LookFigures) -> float:
    """Dimensions that the features use, as a multiple of those before training; 1 where one has no answer."""
    return now.effective_rank / before.effective_rank if now.effective_rank and before.effective_rank else 1.0
