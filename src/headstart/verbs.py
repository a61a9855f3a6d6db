"""The verbs that put finished parts together: a study with its pictures and its page."""

from pathlib import Path

from headstart.configs.report import ReportConfig
from headstart.configs.study import DemoConfig, StudyConfig
from headstart.configs.tsne import TsneConfig
from headstart.results import StudyResult, TsneResult


def study(config: StudyConfig) -> StudyResult:
    """Run a study and write its report.html."""
    from headstart.reports.render import write_report
    from headstart.studies.execute import run_study

    result = run_study(config)
    write_report(config.out)
    return result


def demo(config: DemoConfig) -> StudyResult:
    """The study of the embedded data within ``config.minutes``, with its report."""
    from headstart.embedded import run_demo

    return run_demo(config)


def tsne(config: TsneConfig) -> TsneResult:
    """Lay out the features of a classification run's first and last epoch."""
    from headstart.analysis.tsne import tsne_run

    return tsne_run(config.run, config.images, config.seed)


def report(config: ReportConfig) -> Path:
    """Write the page of a study or a run; the path of the file."""
    from headstart.reports.render import write_report

    return write_report(config.run, config.out)
