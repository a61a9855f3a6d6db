"""Trainings of some 20 steps at a batch of 8, told by their name, for tests of what may not change a number."""

from pathlib import Path
from typing import Any

from headstart.configs.classify import ClassifyConfig
from headstart.configs.optimisation import OptimConfig
from headstart.configs.segment import SegmentConfig
from headstart.tasks.classify import classify
from headstart.tasks.segment import segment

STEPS = 20
COMMON: dict[str, Any] = {
    "image_size": 32,
    "batch_size": 8,
    "precision": "fp32",
    "workers": 0,
    "evaluations": 1,
    "min_steps": 0,
    "optim": OptimConfig(name="sgd", lr=0.05),
}
CLASSIFY: dict[str, dict[str, Any]] = {  # 60 images: 7 steps an epoch, so that 20 steps lie in three epochs
    "batch norm": {"backbone": "test_resnet", "epochs": 3},
    "layer norm": {"backbone": "test_vit", "epochs": 3},
    "frozen": {"backbone": "test_resnet", "frozen": True, "epochs": 3},
    "frozen, augmented": {"backbone": "test_resnet", "frozen": True, "frozen_views": 2, "epochs": 2},
}
SEGMENT: dict[str, dict[str, Any]] = {"segmenter": {"encoder": "tu-test_resnet", "epochs": 7}}  # 24 pairs: 3 steps


def train(name: str, data: Path, pairs: Path, out: Path, **changes: Any) -> None:
    """Train ``name`` on class folders or on pairs."""
    if name in CLASSIFY:
        settings = COMMON | CLASSIFY[name] | {"data": str(data), "out": out, "save_features": False}
        classify(ClassifyConfig(**(settings | changes)))
    else:
        segment(SegmentConfig(**(COMMON | SEGMENT[name] | {"data": str(pairs), "out": out} | changes)))
