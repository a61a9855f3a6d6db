"""Pre-training in bf16 comes to features as good as in fp32, by the spread of the seeds.

Where a processor has no bf16 of its own the same arithmetic is emulated.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.conftest import write_classes

from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.optimisation import OptimConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.tasks.pretrain import pretrain

SEEDS = range(4)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 images to train on and 180 to be judged by, in six class folders."""
    root = tmp_path_factory.mktemp("six")
    write_classes(root / "train", 30, 6, seed=0)
    write_classes(root / "val", 30, 6, seed=1)
    return root


def knn_of(data: Path, out: Path, precision: str, seed: int) -> float:
    """kNN accuracy on the 180 images after 20 steps."""
    config = PretrainConfig.model_validate(
        {
            "data": str(data),
            "out": out / f"{precision}-{seed}",
            "precision": precision,
            "seed": seed,
            "backbone": "test_resnet",
            "image_size": 32,
            "batch_size": 32,
            "epochs": 4,
            "workers": 0,
            "byol": ByolConfig(hidden_size=32, projection_size=16),
            "watch": WatchConfig(looks=1, images=180),
            "optim": OptimConfig(name="adamw", lr=1e-3),
        }
    )
    found = pretrain(config)
    assert found.knn is not None
    assert found.precision == precision
    return found.knn


@pytest.mark.slow
def test_bf16_training_reaches_the_knn_accuracy_of_fp32(images: Path, tmp_path: Path) -> None:
    """The difference of the means lies within what the seeds alone would make of it (99 %), or is below 2 points; and
    the spread of the seeds is small enough for that to say something.
    """
    fp32, bf16 = (np.array([knn_of(images, tmp_path, name, seed) for seed in SEEDS]) for name in ("fp32", "bf16"))
    reach = stats.t.ppf(0.995, 2 * len(SEEDS) - 2) * np.hypot(stats.sem(fp32), stats.sem(bf16))
    assert np.any(fp32 != bf16), "it was not bf16"
    assert abs(bf16.mean() - fp32.mean()) <= max(reach, 0.02)
    assert reach < 0.1
