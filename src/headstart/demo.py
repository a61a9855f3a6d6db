"""The embedded study: how much of a head start do the unlabelled tiles of the Blue Marble give?"""

import logging
from pathlib import Path

from headstart.configs.study import DemoConfig, StudyConfig
from headstart.report.render import write_report
from headstart.results import StudyResult
from headstart.study.execute import run_study

logger = logging.getLogger(__name__)

FULL_MINUTES = 15.0
TILE_SIZE = 48
PRETRAIN_SHARE = 0.14
STEPS_AT_FULL_BUDGET = 100


def study_config(out: Path, minutes: float) -> StudyConfig:
    """The demo's study with budgets scaled to ``minutes``: settings A to E, scratch/frozen and ssl+supervised.

    Each of the two pre-trainings gets 14 % of the time; a classifier gets as many steps as fit into the rest on two
    processor cores, the same number for every setting and label fraction.
    """
    return StudyConfig(
        data=f"demo:bluemarble:{TILE_SIZE}",
        out=out,
        backbone="tf_efficientnet_lite0",
        image_size=TILE_SIZE,
        starts=("scratch", "supervised", "ssl", "ssl+supervised"),
        seeds=3,
        label_fractions=(0.1, 1.0),
        epochs=1,
        min_steps=max(10, round(STEPS_AT_FULL_BUDGET * minutes / FULL_MINUTES)),
        pretrain_minutes=PRETRAIN_SHARE * minutes,
    )


def run_demo(config: DemoConfig) -> StudyResult:
    """Run the study, or what is left of it, and write report.html beside it. MissingExtraError without the extra."""
    logger.info("The demo takes about %g minutes on two processor cores.", config.minutes)
    result = run_study(study_config(config.out, config.minutes))
    page = write_report(config.out)
    logger.info("Report: %s", page)
    return result
