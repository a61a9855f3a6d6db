"""The verbs that put finished parts together: a study with its pictures and its page."""

from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.configs.compare import CompareConfig
from headstart.configs.data import DataCheckConfig, DataPackConfig
from headstart.configs.inference import EvaluateConfig, PredictConfig
from headstart.configs.report import ReportConfig
from headstart.configs.study import DemoConfig, StudyConfig
from headstart.configs.tsne import TsneConfig
from headstart.errors import ConfigError, DataError, RunError
from headstart.results import (
    CompareResult,
    DataCheckResult,
    DataPackResult,
    EvaluateResult,
    MiouResult,
    PredictResult,
    StudyResult,
    TsneResult,
    refuse_other_results,
)

REGIONS = "regions"
"""The folder below --out in which the masks are kept that --refine sam finds."""


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


def predict(config: PredictConfig) -> PredictResult:
    """Masks or classes of images by a finished run's model (``inference.predict``), refined where that is asked for."""
    from headstart.inference.predict import predict as predict_inputs

    if config.refine == "none":
        return predict_inputs(config)
    from headstart.sam.refiner import SamRefiner

    return predict_inputs(config, SamRefiner(config, config.out / REGIONS, config.overwrite))


def evaluate(config: EvaluateConfig) -> MiouResult | EvaluateResult:
    """Score a finished run's model on other images.

    RunError for a run without a model to score, and where ``config.out`` holds another command's results.
    """
    from headstart.training.rundir import read_config

    verb = read_config(config.run)["verb"]
    refuse_other_results(config.out, "miou" if verb == "segment" else "evaluate")
    if verb == "segment":
        from headstart.tasks.segment.evaluate import evaluate_segmenter

        if config.refine == "none":
            return evaluate_segmenter(config)
        from headstart.sam.refiner import SamRefiner

        with TemporaryDirectory() as beside:
            folder = (config.out or Path(beside)) / REGIONS
            return evaluate_segmenter(config, SamRefiner(config, folder, overwrite=True))
    if config.refine != "none":
        raise ConfigError(f"--refine is for segmentation runs; {config.run} is a {verb} run")
    if verb == "classify":
        from headstart.tasks.classify.evaluate import evaluate_classifier

        return evaluate_classifier(config)
    raise RunError(f"{config.run} is a {verb} run; evaluate takes a segmentation or a classification run.")


def data_check(config: DataCheckConfig) -> DataCheckResult:
    """What a source of images, or of pairs of images and masks, holds.

    DataError where that cannot be said; RunError where ``config.out`` holds another command's results.
    """
    from headstart.analysis.data_check import check_source
    from headstart.training.progress import Progress

    refuse_other_results(config.out, "data check")
    with Progress(steps=1, done=0, batch_size=1, shown=True, noun="image") as progress:

        def watch(done: int, total: int) -> None:
            progress.steps = total
            progress.update(done)

        return check_source(config, watch)


def refuse_doubts(config: DataCheckConfig, result: DataCheckResult) -> None:
    """DataError where ``config.strict`` and the check found anything wrong."""
    counts = {"file(s) that cannot be used": len(result.quarantined), "warning(s)": len(result.warnings)}
    found = " and ".join(f"{number} {what}" for what, number in counts.items() if number)
    if config.strict and found:
        raise DataError(f"{config.data} has {found}, listed above. Mend them, or run without --strict.")


def data_pack(config: DataPackConfig) -> DataPackResult:
    """Decode a source's images once and keep the pixels. DataError, PackError or MachineError where that fails."""
    from headstart.data.pack.verb import pack_source
    from headstart.training.progress import Progress

    with Progress(steps=1, done=0, batch_size=1, shown=True, noun="image") as progress:

        def watch(done: int, total: int) -> None:
            progress.steps = total
            progress.update(done)

        return pack_source(config, watch)


def refuse_undecodable(config: DataPackConfig, result: DataPackResult) -> None:
    """DataError where ``config.strict`` and a file could not be decoded."""
    failed = [path for pack in result.packs for path in pack.quarantined]
    if config.strict and failed:
        raise DataError(
            f"{len(failed)} file(s) of {config.data} cannot be decoded (such as {failed[0]}). Mend or remove them, or "
            "run without --strict."
        )


def tsne(config: TsneConfig) -> TsneResult:
    """Lay out the features of a classification run's first and last epoch."""
    from headstart.analysis.tsne import tsne_run

    return tsne_run(config.run, config.images, config.seed)


def report(config: ReportConfig) -> Path:
    """Write the page of a study or a run; the path of the file."""
    from headstart.reports.render import write_report

    return write_report(config.run, config.out)


def compare(config: CompareConfig) -> CompareResult:
    """Where two runs, or two studies, first differ. RunError where one of the directories holds none."""
    from headstart.comparison.compare import compare_runs

    return compare_runs(config.run_a, config.run_b)
