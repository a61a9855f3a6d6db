"""A study over all trials of a data set, and what the bench keeps of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learning.arms import ARMS
from benchmarks.learning.config import BenchConfig
from benchmarks.learning.trials import Trial, trial_name

from headstart import StudyConfig, StudyResult
from headstart.configs.starts import parse_start
from headstart.results import StudyRow
from headstart.studies.statistics import paired_difference


def study_config(config: BenchConfig, data: str, image_size: int, trials: Sequence[Trial], out: Path) -> StudyConfig:
    """All trials that have weights as the starts of one study; what the bench was not told is the product's default."""
    told = {key: getattr(config, key) for key in ("lr_grid", "tune_folds", "epochs", "min_steps")}
    return StudyConfig(
        data=data,
        out=out,
        task=config.task,
        starts=tuple(trial.start for trial in trials if trial.start is not None),
        trained=config.trained,
        seeds=config.seeds,
        label_fractions=config.label_fractions,
        backbone=config.backbone,
        image_size=image_size,
        **{key: value for key, value in told.items() if value is not None},
    )


def named_rows(result: StudyResult, trials: Sequence[Trial]) -> list[tuple[str, StudyRow]]:
    """The study's rows with the name of their trial: a start in the words of a study is not the name of an arm."""
    names = {str(parse_start(trial.start)): trial.name for trial in trials if trial.start is not None}
    return [(names.get(row.start, row.start), row) for row in result.rows]


def row_facts(rows: Sequence[tuple[str, StudyRow]]) -> list[dict[str, Any]]:
    """All that a study says of a row; ``trial`` in place of its start, which names a folder of the machine."""
    return [
        {"trial": name} | {key: value for key, value in row.model_dump(mode="json").items() if key != "start"}
        for name, row in rows
    ]


def differences(
    rows: Sequence[tuple[str, StudyRow]], baselines_of: Callable[[str], Sequence[str]]
) -> list[dict[str, Any]]:
    """Every trial minus each of its baselines (names of trials), trained in the same way on the same share of the
    labels; paired by seed, with 95 % intervals.
    """
    found = {(name, row.trained, row.label_fraction): row for name, row in rows}
    pairs = []
    for (name, trained, fraction), row in found.items():
        for baseline in baselines_of(name):
            other = found.get((baseline, trained, fraction))
            pair = paired_difference(row, other) if other is not None and baseline != name else None
            if pair is not None:
                pairs.append(
                    {"trial": name, "against": baseline, "trained": trained, "label_fraction": fraction}
                    | pair.model_dump(mode="json", include={"values", "mean", "ci95"})
                )
    return pairs


def baselines_in(trials: Sequence[Trial]) -> Callable[[str], Sequence[str]]:
    """Scratch for every trial, and supervised as well for one that went on from supervised weights."""
    arms = {trial.name: ARMS[trial.arm] for trial in trials}
    return lambda name: list(dict.fromkeys(["scratch", *([arms[name].baseline] if name in arms else [])]))


def gain_of(entry: dict[str, Any], trial: str, baseline: str, trained: str) -> str | None:
    """What the study found at the label fraction nearest to 10 %: "gain" or "loss" where the 95 % interval of the
    difference to the baseline, ``trained`` in the same way, leaves zero out, else "no difference"; None where nothing
    was found.
    """
    pairs = [
        pair
        for pair in entry["differences"]
        if (pair["trial"], pair["against"], pair["trained"]) == (trial, baseline, trained)
    ]
    if not pairs:
        return None
    ci95 = min(pairs, key=lambda pair: abs(pair["label_fraction"] - 0.1))["ci95"]
    if ci95 is None:
        return None
    return "gain" if ci95[0] > 0 else "loss" if ci95[1] < 0 else "no difference"


def early_words(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """For each pre-training that had an early word: the word, and what the study found afterwards by each way."""
    words = []
    for told in entry["trials"]:
        word = told["facts"].get("early_word")
        if not word:
            continue
        baseline = ARMS[told["arm"]].baseline
        name = trial_name(told["arm"], told["minutes"])
        found = {way: gain_of(entry, name, baseline, way) for way in ("full", "frozen")}
        words.append({"trial": name, "verdict": word["verdict"], "found": found})
    return words
