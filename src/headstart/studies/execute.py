"""Running a study: pre-train what is bare, train every planned run that has no result yet, then count."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.analysis.store import Store
from headstart.analysis.tsne import tsne_run
from headstart.configs.classify import ClassifyConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.configs.recipes import CLASSIFY, PRETRAIN
from headstart.configs.starts import parse_start
from headstart.configs.study import StudyConfig
from headstart.data.loaders import worker_count
from headstart.data.sheets import sample_sheet
from headstart.data.sources import Source, data_facts, labelled_split, open_source
from headstart.errors import ConfigError, RunError, TrainingStopped
from headstart.models.backbones import build_backbone
from headstart.models.weights import load_start
from headstart.results import ClassifyResult, DataFacts, PretrainedStart, PretrainResult, StudyResult
from headstart.studies.plan import PlannedRun, plan, start_folder
from headstart.studies.statistics import label_savings, paired_differences, rows_from
from headstart.studies.verdict import make_verdict
from headstart.tasks.classify import classify
from headstart.tasks.pretrain import pretrain
from headstart.training.rundir import (
    check_data,
    check_same,
    holds_files,
    read_config,
    refuse_file,
    remove_run,
    write_config,
)

logger = logging.getLogger(__name__)

# What may change between two calls of one study: more can be compared, but nothing that was measured may change.
MAY_GROW = {"out", "json_output", "overwrite", "workers", "strict", "starts", "trained", "seeds", "label_fractions"}

# What every run of a study would say again; how weights were loaded is said once for each start.
REPEATED_WORDS = ("headstart.tasks", "headstart.training", "headstart.models")


def run_study(config: StudyConfig) -> StudyResult:
    """Run everything that the study's directory has no result of yet, and write its result.json.

    Each run is resumable by itself and a finished one is never repeated, so the same command goes on where it was
    interrupted, and more seeds, fractions or starts can be added. Raises ConfigError, DataError, WeightsError or
    RunError; a run whose loss diverges is left out and named in the result.
    """
    problems = [f"--recipe {config.recipe!r}: the recipes are {', '.join(CLASSIFY)}"] * (config.recipe not in CLASSIFY)
    if config.pretrain_recipe not in PRETRAIN:
        problems.append(f"--pretrain-recipe {config.pretrain_recipe!r}: the recipes are {', '.join(PRETRAIN)}")
    if problems:
        raise ConfigError(*problems)
    planned = plan(config)
    source = open_source(config.data)
    check_starts(config, planned)
    open_study(config)
    store = Store(shared=True)
    facts = describe_data(config, source, store)
    pretrained = {start: pretrain_start(config, start) for start in bare_starts(planned)}
    results, left_out = run_all(config, planned, pretrained, store)
    if not results:
        raise RunError("No run of the study came to a result:\n  " + "\n  ".join(left_out))
    result = conclude(config, facts, results, pretrained, left_out)
    result.save(config.out / "result.json")
    lay_out_features(config)
    return result


def check_starts(config: StudyConfig, planned: Sequence[PlannedRun]) -> None:
    """Load the weights of every start once, so that one that does not fit costs no training. WeightsError."""
    image_size = config.image_size or CLASSIFY[config.recipe]()["image_size"]
    starts = {run.start for run in planned} | ({"supervised"} if "ssl+supervised" in bare_starts(planned) else set())
    for start in sorted(starts - set(bare_starts(planned))):
        load_start(build_backbone(config.backbone, image_size), start)


def open_study(config: StudyConfig) -> None:
    """Make the study's directory, or go on in it.

    RunError when it holds something that is not this study: another kind of run, or one with other settings.
    """
    refuse_file(config.out)
    begun = (config.out / "config.json").is_file()
    if begun and config.overwrite:
        remove_run(config.out, "study")
    elif begun:
        check_same(read_config(config.out), config, "study", MAY_GROW)
    elif config.out.is_dir() and holds_files(config.out):
        raise RunError(f"{config.out} is not empty and holds no study. Choose another --out.")
    config.out.mkdir(parents=True, exist_ok=True)


def describe_data(config: StudyConfig, source: Source, store: Store) -> DataFacts:
    """Write config.json, data.json and the sheet of sample images.

    DataError when the source has no labels to study, RunError when its images are not those the study began with.
    """
    logger.info("%s", source.description)
    offered_train, offered_val, words = labelled_split(source)
    quarantine, workers = config.out / "quarantine.csv", worker_count(config.workers)
    train = store.decodable(offered_train, quarantine, config.strict, workers)
    val = store.decodable(offered_val, quarantine, config.strict, workers)
    quarantined = len(offered_train) + len(offered_val) - len(train) - len(val)
    facts = data_facts(source, train, val, words, quarantined=quarantined)
    check_data(config.out, facts, source.train.root)
    write_config(config.out, config, "study")
    facts.save(config.out / "data.json")
    sample_sheet(train, source.classes, config.out / "samples.png")
    return facts


def bare_starts(planned: Sequence[PlannedRun]) -> list[str]:
    """Starts that name no run and so have to be pre-trained first."""
    starts = dict.fromkeys(run.start for run in planned)
    return [text for text in starts if parse_start(text).kind.startswith("ssl") and parse_start(text).value is None]


def pretrain_start(config: StudyConfig, start: str) -> PretrainedStart:
    """Pre-train a bare ``ssl`` or ``ssl+supervised`` on the study's images, under runs/pretrain."""
    out = config.out / "runs" / "pretrain" / start
    supervised = next((s for s in config.starts if parse_start(s).kind == "supervised"), "supervised")
    changes = shared_settings(config) | {
        "start": supervised if start == "ssl+supervised" else "scratch",
        "budget_minutes": config.pretrain_minutes,
    }
    if config.pretrain_epochs is not None:
        changes["epochs"] = config.pretrain_epochs
    logger.info("Pre-training the start %s.", start)
    result = pretrain(
        PretrainConfig(data=config.unlabelled or config.data, out=out, recipe=config.pretrain_recipe, **changes)
    )
    return PretrainedStart(
        start=start,
        run=out.relative_to(config.out).as_posix(),
        status=result.status,
        reason=result.reason,
        seconds=result.seconds,
    )


def shared_settings(config: StudyConfig) -> dict[str, Any]:
    """What every training of the study has in common, so that only the start differs."""
    settings = {
        "backbone": config.backbone,
        "precision": config.precision,
        "workers": config.workers,
        "strict": config.strict,
        "resume": True,
    }
    return settings | ({} if config.image_size is None else {"image_size": config.image_size})


def run_all(
    config: StudyConfig, planned: Sequence[PlannedRun], pretrained: dict[str, PretrainedStart], store: Store
) -> tuple[list[ClassifyResult], list[str]]:
    """The results of all planned runs, finished ones read back; and a line for each run that came to none."""
    results: list[ClassifyResult] = []
    left_out: list[str] = []
    told: set[str] = set()
    for i, run in enumerate(planned, 1):
        name = f"{run.setting} with {run.label_fraction:.0%} of the labels, seed {run.seed}"
        quiet = REPEATED_WORDS if run.start in told else REPEATED_WORDS[:2]
        told.add(run.start)
        try:
            with quietly(*quiet):
                result = classify(run_config(config, run, pretrained), store)
        except TrainingStopped as stopped:
            left_out.append(f"{name}: {stopped}")
            continue
        logger.info("[%d/%d] %s: accuracy %.1f %%", i, len(planned), name, 100 * result.accuracy)
        tidy(config, run)
        plain = run.start_label == parse_start(run.start).kind
        results.append(
            result.model_copy(
                update={"setting": run.setting, "start": run.start, "letter": result.letter if plain else None}
            )
        )
    return results, left_out


@contextmanager
def quietly(*names: str) -> Iterator[None]:
    """Let these loggers speak up with warnings only."""
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.WARNING)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def run_config(config: StudyConfig, run: PlannedRun, pretrained: dict[str, PretrainedStart]) -> ClassifyConfig:
    """The config of one run: the recipe, what the study shares, and what makes this run different."""
    start = run.start
    if start in pretrained:
        start = f"{start}={(config.out / pretrained[start].run).resolve()}"
    changes = shared_settings(config) | {
        "start": start,
        "frozen": run.trained == "frozen",
        "label_fraction": run.label_fraction,
        "seed": run.seed,
        "evaluations": 1,
        "save_features": keeps_model(config, run) and run.trained == "full",
    }
    changes |= {key: value for key in ("epochs", "min_steps") if (value := getattr(config, key)) is not None}
    return ClassifyConfig(data=config.data, out=config.out / run.folder, recipe=config.recipe, **changes)


def keeps_model(config: StudyConfig, run: PlannedRun) -> bool:
    """Of each setting the model of seed 0 with the most labels is kept; the others would only fill the disk."""
    return run.seed == 0 and run.label_fraction == max(config.label_fractions)


def tidy(config: StudyConfig, run: PlannedRun) -> None:
    """Delete the checkpoints of a finished run, and its model where it is not one to keep."""
    folder = config.out / run.folder
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if not keeps_model(config, run):
        shutil.rmtree(folder / "export", ignore_errors=True)


def conclude(
    config: StudyConfig,
    facts: DataFacts,
    results: Sequence[ClassifyResult],
    pretrained: dict[str, PretrainedStart],
    left_out: list[str],
) -> StudyResult:
    """Statistics and verdict. ``seconds`` is the training time of all runs and of the pre-training done here."""
    rows = rows_from(results)
    differences = paired_differences(rows)
    savings = label_savings(rows)
    return StudyResult(
        task=config.task,
        backbone=config.backbone,
        recipe=config.recipe,
        metric="accuracy",
        split=facts.split,
        n_val=results[0].n_val,
        rows=rows,
        differences=differences,
        label_savings=savings,
        verdict=make_verdict(rows, differences, savings),
        pretrained=[*pretrained.values(), *given_runs(config)],
        left_out=left_out,
        seconds=sum(run.seconds for run in results) + sum(start.seconds for start in pretrained.values()),
    )


def given_runs(config: StudyConfig) -> list[PretrainedStart]:
    """The pre-training runs that starts named, as far as their result can be read."""
    found = []
    for text in config.starts:
        start = parse_start(text)
        if start.value is None or start.kind not in ("ssl", "ssl+supervised"):
            continue
        path = Path(start.value) / "result.json"
        if path.is_file():
            result = PretrainResult.model_validate(json.loads(path.read_text(encoding="utf-8")))
            run = Path(start.value)
            inside = run.resolve().is_relative_to(config.out.resolve())
            name = run.resolve().relative_to(config.out.resolve()).as_posix() if inside else str(run.resolve())
            found.append(
                PretrainedStart(
                    start=text, run=name, status=result.status, reason=result.reason, seconds=result.seconds
                )
            )
    return found


def lay_out_features(config: StudyConfig) -> None:
    """t-SNE of every fully trained own start whose features were kept (the seed's setting C and its kin).

    Too few images for a picture are no reason to lose a study: that is only logged.
    """
    for start in {parse_start(text) for text in config.starts if parse_start(text).kind == "ssl"}:
        for features in sorted((config.out / "runs" / start_folder(start) / "full").glob("*/seed-0/features")):
            try:
                tsne_run(features.parent)
            except RunError as error:
                logger.warning("No t-SNE: %s", error)
