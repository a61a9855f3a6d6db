"""The bench with the smallest network and seconds of pre-training."""

from pathlib import Path
from typing import Any

from benchmarks.learning.config import BenchConfig

BACKBONE = "test_resnet"
MINUTES = 0.01


def config_in(folder: Path, **changes: Any) -> BenchConfig:
    settings = {
        "out": folder / "out",
        "cache": folder / "cache",
        "datasets": ("gratings",),
        "arms": ("scratch", "supervised", "ssl", "seed_byol", "lightly"),
        "minutes": (MINUTES,),
        "backbone": BACKBONE,
        "label_fractions": (0.2,),
        "seeds": 2,
        "lr_grid": (1.0,),
        "epochs": 1,
        "min_steps": 4,
    }
    return BenchConfig(**settings | changes)
