"""Running a study: pre-train what is bare, choose learning rates, train every planned run that has no result yet, then
count.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.analysis.store import Store
from headstart.analysis.tsne import tsne_run
from headstart.configs.run import RunConfig
from headstart.configs.starts import parse_start
from headstart.configs.study import StudyConfig
from headstart.errors import DataError, RunError, TrainingStopped
from headstart.results import DataFacts, PretrainedStart, StudyResult, metric_words
from headstart.studies.leaks import find_leaks
from headstart.studies.plan import PlannedRun, bare_starts, keeps_model, plan, run_settings, start_folder
from headstart.studies.quiet import REPEATED_WORDS, WORDS_ON_WEIGHTS, quietly, tidy
from headstart.studies.starts import check_starts, given_runs, pretrain_start
from headstart.studies.statistics import ScoredRun, label_savings, paired_differences, rows_from
from headstart.studies.tasks import TASKS, StudyData, StudyTask
from headstart.studies.tuning import Rates, choose_rates, with_rate
from headstart.studies.verdict import make_verdict
from headstart.training.rundir import check_same, holds_files, read_config, refuse_file, remove_run, write_config

logger = logging.getLogger(__name__)

# What may change between two calls of one study: more can be compared, but nothing that was measured may change.
MAY_GROW = {"out", "json_output", "overwrite", "workers", "file_seconds", "strict"} | {
    "pack_limit",
    "starts",
    "trained",
    "seeds",
    "label_fractions",
}

# What a study from before there was a choice of learning rates had.
BEFORE_RATES = {"lr_grid": [1.0]}

Task = StudyTask[RunConfig, Any]
Configs = Mapping[PlannedRun, RunConfig]


def run_study(config: StudyConfig) -> StudyResult:
    """Run everything that the study's directory has no result of yet, and write its result.json.

    Each run is resumable by itself and a finished one is never repeated, so the same command goes on where it was
    interrupted, and more seeds, fractions or starts can be added. Raises ConfigError, DataError, WeightsError or
    RunError; a run that comes to no result is left out and named in the study's.
    """
    task = TASKS[config.task]
    configs = {run: run_config(config, task, run) for run in plan(config)}
    planned = list(configs)
    source = task.open(config.data)
    check_starts(config, task, configs)
    open_study(config)
    store = Store(shared=True)
    data = take_in_data(config, task, source, store)
    leaks = find_leaks(config, planned, data.val)
    pretrained = [pretrain_start(config, start) for start in bare_starts(planned)]
    rates = choose_rates(config, task, configs, data.part_sizes, store)
    results, left_out = run_all(config, task, at_rates(configs, rates), store)
    if not results:
        raise RunError("No run of the study came to a result:\n  " + "\n  ".join(left_out))
    warnings = leaks + [f"In {n} of {len(results)} runs: {words}" for words, n in run_warnings(results).items()]
    result = conclude(config, data.facts, results, pretrained, rates, left_out=left_out, warnings=warnings)
    result.save(config.out / "result.json")
    if task.has_features:
        lay_out_features(config)
    return result


def run_config(config: StudyConfig, task: Task, run: PlannedRun) -> RunConfig:
    """The config of one run. ConfigError where the task cannot be run so."""
    settings = run_settings(config, run)
    if task.has_features:
        settings["save_features"] = keeps_model(config, run) and run.trained == "full"
    return task.config_for(config, settings)


def open_study(config: StudyConfig) -> None:
    """Make the study's directory, or go on in it.

    RunError when it holds something that is not this study: another kind of run, or one with other settings.
    """
    refuse_file(config.out)
    begun = (config.out / "config.json").is_file()
    if begun and config.overwrite:
        remove_run(config.out, "study")
    elif begun:
        record = read_config(config.out)
        record["config"] = BEFORE_RATES | record["config"]
        check_same(record, config, "study", MAY_GROW)
    elif config.out.is_dir() and holds_files(config.out):
        raise RunError(f"{config.out} is not empty and holds no study. Choose another --out.")
    config.out.mkdir(parents=True, exist_ok=True)


def take_in_data(config: StudyConfig, task: Task, source: Any, store: Store) -> StudyData:
    """Write data.json, config.json and the sheet of samples.

    DataError when the source does not fit the task, RunError when its images are not those the study began with.
    """
    data = task.take_in(config, source, store)
    write_config(config.out, config, "study")
    data.draw_samples(config.out / "samples.png")
    return data


def run_all(config: StudyConfig, task: Task, configs: Configs, store: Store) -> tuple[list[ScoredRun], list[str]]:
    """The results of all planned runs, finished ones read back; and a line for each run that came to none: its loss
    diverged, or the share of the labels it was given cannot be learned from.
    """
    results: list[ScoredRun] = []
    left_out: list[str] = []
    told: set[str] = set()
    ready = run_together(config, task, configs, store)
    for i, (run, settings) in enumerate(configs.items(), 1):
        name = f"{run.setting} with {run.label_fraction:.0%} of the labels, seed {run.seed}"
        quiet = REPEATED_WORDS | (WORDS_ON_WEIGHTS if run.start in told else {})
        try:
            with quietly(quiet):
                result = ready.get(settings.out) or task.run(settings, store)
        except (TrainingStopped, DataError) as stopped:
            left_out.append(f"{name}: {stopped}")
            logger.warning("[%d/%d] Left out: %s", i, len(configs), left_out[-1])
            continue
        for new in sorted(set(result.warnings) - told):
            logger.warning("%s", new)
        told |= {run.start, *result.warnings}
        words = metric_words(result.metric, protocol_of(config))
        logger.info("[%d/%d] %s: %s %.1f %%", i, len(configs), name, words, 100 * result.score)
        tidy(settings.out, task.leftovers if not keeps_model(config, run) else ())
        plain = run.start_label == parse_start(run.start).kind
        named = {"setting": run.setting, "start": run.start, "letter": result.letter if plain else None}
        results.append(result.model_copy(update=named))
    return results, left_out


def run_together(config: StudyConfig, task: Task, configs: Configs, store: Store) -> Mapping[Path, ScoredRun]:
    """The results, by run directory, of the planned runs that are done together."""
    keep = {settings.out for run, settings in configs.items() if keeps_model(config, run)}
    with quietly(REPEATED_WORDS):
        return task.run_together(list(configs.values()), store, keep)


def at_rates(configs: Configs, rates: Rates) -> Configs:
    """The configs of the planned runs at the learning rates of their settings."""
    return {run: with_rate(each, rates[run.setting, run.label_fraction].chosen) for run, each in configs.items()}


def protocol_of(config: StudyConfig) -> str | None:
    """What the scores of the study's task are counted by, where that can differ."""
    return config.protocol if config.task == "segment" else None


def run_warnings(results: Sequence[ScoredRun]) -> Counter[str]:
    """What the runs warned of, and how many of them."""
    return Counter(words for result in results for words in result.warnings)


def conclude(
    config: StudyConfig,
    facts: DataFacts,
    results: Sequence[ScoredRun],
    pretrained: Sequence[PretrainedStart],
    rates: Rates,
    *,
    left_out: list[str],
    warnings: list[str],
) -> StudyResult:
    """Statistics and verdict. ``seconds`` is the training time of all runs, of the choice of learning rates and of the
    pre-training done here.
    """
    rows = [row.model_copy(update={"lr": rates[row.setting, row.label_fraction]}) for row in rows_from(results)]
    differences = paired_differences(rows)
    savings = label_savings(rows)
    took = [*(each.seconds for each in results), *(each.seconds for each in rates.values())]
    took += [each.seconds for each in pretrained]
    verdict = make_verdict(rows, differences, savings, protocol_of(config))
    return StudyResult(
        task=config.task,
        backbone=config.backbone,
        recipe=config.recipe,
        metric=results[0].metric,
        protocol=protocol_of(config),
        split=facts.split,
        n_val=results[0].n_val,
        rows=rows,
        differences=differences,
        label_savings=savings,
        verdict=verdict.model_copy(update={"details": [*warnings, *verdict.details]}),
        pretrained=[*pretrained, *given_runs(config)],
        left_out=left_out,
        warnings=warnings,
        seconds=sum(took),
    )


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
