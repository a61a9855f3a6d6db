"""The demo's first half: how much of a head start do the unlabelled tiles of the Blue Marble give?"""

import itertools
import logging
import statistics
import time

import torch
from torch.nn import functional

from headstart.configs.study import DemoConfig, StudyConfig
from headstart.errors import RunError
from headstart.models.backbones import build_backbone
from headstart.models.classifier import Classifier
from headstart.training.rundir import read_config

logger = logging.getLogger(__name__)

BACKBONE, TILE_SIZE, IMAGE_SIZE, BATCH = "tf_efficientnet_lite0", 48, 48, 32
STARTS = ("scratch", "supervised", "ssl", "ssl+supervised")
SEEDS, LABEL_FRACTIONS = 5, (0.1, 1.0)
PRETRAIN_SHARE = 0.09
"""Share of the time for each of the two pre-trainings."""
CLASSIFIER_SHARE = 0.4
"""Share of the time for the fully trained classifiers; the rest is for loading, frozen settings and the page."""
MOST_STEPS, FEWEST_STEPS = 40, 10


def study_config(config: DemoConfig) -> StudyConfig:
    """The demo's study: settings A to E, scratch/frozen and ssl+supervised, with budgets scaled to the minutes.

    Every classifier gets at least the same number of steps, rounded up to whole epochs, whatever its setting: as many
    as fit on this machine, 40 at most. A demo that is taken up again keeps the number it began with.
    """
    if (config.out / "config.json").is_file() and not config.overwrite:
        steps = recorded_steps(config)
    else:
        steps = steps_that_fit(60 * config.minutes * CLASSIFIER_SHARE, classifier_step_seconds())
    return demo_study(config, steps)


def recorded_steps(config: DemoConfig) -> int:
    """Steps of each classifier in the demo that was begun in ``config.out``. RunError when it is not this demo."""
    begun = read_config(config.out)["config"]
    if begun.get("pretrain_minutes") != pretrain_minutes(config):
        raise RunError(
            f"{config.out} does not hold a demo of {config.minutes:g} minutes. Use --overwrite to replace a demo, or "
            "another --out."
        )
    return int(begun["min_steps"])


def pretrain_minutes(config: DemoConfig) -> float:
    """Minutes of each pre-training."""
    return round(PRETRAIN_SHARE * config.minutes, 4)


def demo_study(config: DemoConfig, steps: int) -> StudyConfig:
    """The study config for the demo's minutes and ``steps`` for each classifier."""
    return StudyConfig(
        data=f"demo:bluemarble:{TILE_SIZE}",
        out=config.out,
        overwrite=config.overwrite,
        backbone=BACKBONE,
        image_size=IMAGE_SIZE,
        starts=STARTS,
        seeds=SEEDS,
        label_fractions=LABEL_FRACTIONS,
        epochs=1,
        min_steps=steps,
        lr_grid=(1.0,),  # choosing rates takes more trainings than there are minutes
        pretrain_minutes=pretrain_minutes(config),
    )


def steps_that_fit(seconds: float, step_seconds: float) -> int:
    """Steps for each fully trained classifier, so that all of them together take ``seconds``."""
    classifiers = len(STARTS) * SEEDS * len(LABEL_FRACTIONS)
    steps = int(seconds / classifiers / step_seconds)
    logger.info("A classifier's step takes %.2f s here.", step_seconds)
    return max(FEWEST_STEPS, min(MOST_STEPS, steps))


def classifier_step_seconds() -> float:
    """Median seconds of one training step of the demo's classifier on this machine, on random images."""
    model = Classifier(build_backbone(BACKBONE, IMAGE_SIZE), 5).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    images, labels = torch.randn(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), torch.zeros(BATCH, dtype=torch.long)
    ends = []
    for _ in range(8):
        functional.cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        ends.append(time.monotonic())
    return statistics.median(after - before for before, after in itertools.pairwise(ends[2:]))
