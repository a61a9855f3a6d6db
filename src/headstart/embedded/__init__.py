"""The demo: the study of the embedded data, its land-cover models and its automatic masks, in a budget of minutes."""

import logging
import time

from headstart.configs.study import DemoConfig
from headstart.embedded.classification import study_config
from headstart.embedded.landcover import run_landcover
from headstart.embedded.objects import run_objects
from headstart.reports.render import write_report
from headstart.results import StudyResult
from headstart.studies.execute import run_study
from headstart.training.progress import clock

logger = logging.getLogger(__name__)


def run_demo(config: DemoConfig) -> StudyResult:
    """Run all parts, or what is left of them, and write report.html. MissingExtraError without the extra."""
    began = time.monotonic()
    logger.info(
        "The demo is planned for %g minutes on this machine; loading and the page take about two in any case.",
        config.minutes,
    )
    result = run_study(study_config(config))
    run_landcover(config)
    run_objects(config)
    write_report(config.out)
    logger.info("The demo took %s.", clock(time.monotonic() - began))
    return result
