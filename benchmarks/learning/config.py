"""What a run of the bench is told."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Task = Literal["classify", "segment"]


@dataclass(frozen=True)
class BenchConfig:
    """Data sets x arms x minutes, and how they are judged. What is None is left to the product's own default.

    ``minutes`` are wall-clock minutes of each pre-training, or there are none and each has ``steps``, in whole epochs;
    ``threads`` those of PyTorch, for everything alike; ``image_size`` in pixels, None: the data set's own.
    """

    out: Path
    cache: Path
    datasets: tuple[str, ...]
    arms: tuple[str, ...]
    minutes: tuple[float, ...]
    steps: int | None = None
    task: Task = "classify"
    backbone: str = "tf_efficientnet_lite0"
    image_size: int | None = None
    threads: int | None = None
    label_fractions: tuple[float, ...] = (0.05, 0.1, 0.3, 1.0)
    seeds: int = 5
    trained: tuple[Literal["full", "frozen"], ...] = ("full", "frozen")
    lr_grid: tuple[float, ...] | None = None
    tune_folds: int | None = None
    epochs: int | None = None
    min_steps: int | None = None

    def facts(self) -> dict[str, Any]:
        """All settings as plain data, folders aside, which say nothing about a result."""
        return {key: value for key, value in asdict(self).items() if key not in ("out", "cache")}


@dataclass(frozen=True)
class Shape:
    """What every pre-training of a data set has in common, whoever trains it."""

    data: str
    backbone: str
    image_size: int
    seed: int = 0
