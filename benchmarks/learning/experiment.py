"""One data set: every arm pre-trained for every length, judged by kNN and by one study, written down."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from benchmarks.learning.conditions import clocked, conditions, read_json, write_json
from benchmarks.learning.config import BenchConfig, Shape
from benchmarks.learning.datasets import DATASETS, BenchData, Build
from benchmarks.learning.judging import baselines_in, differences, named_rows, row_facts, study_config
from benchmarks.learning.knn import KnnJudge
from benchmarks.learning.trials import Trial, try_arm

from headstart import study
from headstart.errors import DataError, HeadstartError

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
RESULTS = "learning.json"

Entry = dict[str, Any]


def run_bench(config: BenchConfig, datasets: Mapping[str, Build] = DATASETS) -> list[str]:
    """Run what has no result yet, write ``out``/learning.json after each data set, and return what failed."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    failed = []
    for name in config.datasets:
        try:
            entry = run_dataset(config, datasets[name](config.cache))
        except HeadstartError as error:
            logger.error("%s: %s", name, error)
            failed.append(f"{name}: {error}")
            continue
        save_entry(config.out / RESULTS, entry)
    return failed


def run_dataset(config: BenchConfig, data: BenchData) -> Entry:
    """Pre-train, judge, and put together what came of it. DataError for a task that the data set does not have."""
    if config.task == "segment" and not data.segment:
        raise DataError(f"{data.name} has no masks; --task segment takes bluemarble.")
    began = conditions()
    folder = config.out / data.name
    image_size = config.image_size or data.image_size
    shape = Shape(data.unlabelled, config.backbone, image_size)
    trials = [trial for arm in config.arms for trial in try_arm(arm, shape, config.minutes, folder / "pretrain")]
    for trial in trials:
        if trial.skipped:
            logger.warning("%s: %s is left out: %s", data.name, trial.name, trial.skipped)
    entry: Entry = {
        "dataset": data.name,
        "task": config.task,
        "facts": data.facts,
        "config": config.facts() | {"image_size": image_size},
        "conditions": began,
        "trials": [asdict(trial) | {"start": None} for trial in trials],  # a start is a path on this machine
        "knn": knn_facts(KnnJudge(data.data, config.backbone, image_size), config, trials),
    }
    return entry | study_facts(config, data.data, image_size, trials, folder)


def knn_facts(judge: KnnJudge, config: BenchConfig, trials: list[Trial]) -> dict[str, Any]:
    """kNN accuracy of each trial's features, of the pixels, and on how many images. Scratch has one for each seed."""
    values = {
        trial.name: judge.of_start(trial.start, config.seeds if trial.start == "scratch" else 1)
        for trial in trials
        if trial.start is not None
    }
    return {"values": values, "pixels": judge.of_pixels(), "n_train": len(judge.train), "n_val": len(judge.val)}


def study_facts(config: BenchConfig, data: str, image_size: int, trials: list[Trial], folder: Path) -> dict[str, Any]:
    """The study of all trials, and what the bench keeps of it."""
    out = folder / ("study" if config.task == "classify" else f"study-{config.task}")
    note = folder / f"{out.name}.seconds.json"
    result = clocked(note, lambda: study(study_config(config, data, image_size, trials, out)))
    rows = named_rows(result, trials)
    return {
        "metric": result.metric_words,
        "n_val": result.n_val,
        "split": result.split,
        "rows": row_facts(rows),
        "differences": differences(rows, baselines_in(trials)),
        "verdict": result.verdict.sentence,
        "left_out": [without_paths(line, trials, config) for line in result.left_out],
        "warnings": [without_paths(line, trials, config) for line in result.warnings],
        "study": {"training_seconds": result.seconds} | read_json(note),
    }


def without_paths(words: str, trials: list[Trial], config: BenchConfig) -> str:
    """Words of the product with names of trials in place of their starts, which are folders of this machine."""
    for trial in trials:
        words = words.replace(trial.start or trial.name, trial.name)
    return words.replace(str(config.cache.resolve()), "CACHE").replace(str(config.out.resolve()), "OUT")


def save_entry(path: Path, entry: Entry) -> None:
    """Put an entry into the results, in place of an earlier one of the same data set, task and backbone."""
    known: dict[str, Any] = read_json(path) if path.is_file() else {"schema_version": SCHEMA_VERSION, "entries": []}
    others = [other for other in known["entries"] if key_of(other) != key_of(entry)]
    write_json(path, known | {"entries": [*others, entry]})


def key_of(entry: Entry) -> tuple[str, str, str]:
    """What an entry is about."""
    return entry["dataset"], entry["task"], entry["config"]["backbone"]
