"""The learning rate of every setting, chosen on labelled training images that are held out; validation stays unseen.

Every setting at every label fraction gets the same grid, on the same held-out parts of the labelled images of seed 0,
for the same number of steps. Each training is a run of its own, and one that is finished is not repeated.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from headstart.analysis.store import Store
from headstart.configs.run import RunConfig
from headstart.configs.study import StudyConfig
from headstart.errors import DataError, TrainingStopped
from headstart.results import LearningRate
from headstart.studies.plan import PlannedRun, tuning_folder
from headstart.studies.quiet import REPEATED_WORDS, WORDS_ON_WEIGHTS, quietly, tidy
from headstart.studies.rates import Scores, best_multiple, mean_scores, parts_to_hold_out
from headstart.studies.tasks import StudyTask
from headstart.studies.words import percent

logger = logging.getLogger(__name__)

TUNED_SEED = 0
"""The seed whose labelled images the rates are chosen on, for the runs of all seeds."""
NOTHING_TO_HOLD_OUT = "no image could be held out, because no class has two labelled ones"

C = TypeVar("C", bound=RunConfig)
Rates = Mapping[tuple[str, float], LearningRate]
"""(setting, label fraction) -> its learning rate."""


@dataclass(frozen=True)
class Judged:
    """What a training scored on the part that was held out from it; None where it diverged, and so took no time."""

    score: float | None
    seconds: float


def choose_rates(
    config: StudyConfig,
    task: StudyTask[RunConfig, Any],
    configs: Mapping[PlannedRun, RunConfig],
    part_sizes: Callable[[float], list[int]],
    store: Store,
) -> Rates:
    """The learning rate of every setting at every label fraction of the planned runs ``configs``.

    ``part_sizes`` gives the images in each part of the labelled images of seed 0 at a label fraction. Raises what a
    training raises, but for data that cannot be learned from and numbers that diverge.
    """
    tuned = {run: settings for run, settings in configs.items() if run.seed == TUNED_SEED}
    try_together(config, task, tuned, part_sizes, store)
    rates: dict[tuple[str, float], LearningRate] = {}
    for i, (run, settings) in enumerate(tuned.items(), 1):
        rate = choose_rate(config, task, run, settings, part_sizes(run.label_fraction), store)
        rates[run.setting, run.label_fraction] = rate
        if len(rate.grid) > 1:
            name = f"{run.setting} with {run.label_fraction:.0%} of the labels"
            logger.info("[%d/%d] Learning rate of %s: %s", i, len(tuned), name, told(rate))
    return rates


def try_together(
    config: StudyConfig,
    task: StudyTask[RunConfig, Any],
    tuned: Mapping[PlannedRun, RunConfig],
    part_sizes: Callable[[float], list[int]],
    store: Store,
) -> None:
    """Do those trainings that are done together; they are read back one by one."""
    tries = [
        held_out(config, settings, run, multiple, part)
        for run, settings in tuned.items()
        for part in parts_of(config, part_sizes(run.label_fraction))
        for multiple in sorted(set(config.lr_grid))
    ]
    with quietly(REPEATED_WORDS | WORDS_ON_WEIGHTS):
        task.run_together(tries, store, ())


def parts_of(config: StudyConfig, sizes: list[int]) -> list[int]:
    """The parts that the learning rates of a setting are tried on; none where there is nothing to choose."""
    return parts_to_hold_out(sizes, config.tune_folds) if len(set(config.lr_grid)) > 1 else []


def choose_rate(
    config: StudyConfig,
    task: StudyTask[RunConfig, Any],
    run: PlannedRun,
    settings: RunConfig,
    sizes: list[int],
    store: Store,
) -> LearningRate:
    """The learning rate of one setting at one label fraction, whose run of seed 0 has ``settings``."""
    grid = sorted(set(config.lr_grid))
    parts = parts_of(config, sizes)
    note = NOTHING_TO_HOLD_OUT if len(grid) > 1 and not parts else None
    by_part: dict[int, list[Judged]] = {}
    for part in parts:
        tries = [held_out(config, settings, run, multiple, part) for multiple in grid]
        try:
            by_part[part] = [train(task, each, store) for each in tries]
        except DataError as error:
            note = str(error)
    n_held_out = sum(sizes[part] for part in by_part)
    scores: Scores = [None] * len(grid)
    if by_part:
        scores = mean_scores({part: [each.score for each in judged] for part, judged in by_part.items()}, sizes)
    chosen = best_multiple(grid, scores, one_image=1 / n_held_out if task.counts_images and by_part else 0.0)
    return LearningRate(
        grid=grid,
        scores=scores,
        chosen=chosen,
        lr=with_rate(settings, chosen).optim.lr,
        folds=len(by_part),
        n_held_out=n_held_out,
        trainings=len(by_part) * len(grid),
        seconds=sum(each.seconds for judged in by_part.values() for each in judged),
        note=note,
    )


def held_out(config: StudyConfig, settings: RunConfig, run: PlannedRun, multiple: float, part: int) -> RunConfig:
    """The training of ``run`` at a multiple of its rate, judged on a part of its labelled images."""
    changes: dict[str, Any] = {"out": config.out / tuning_folder(run, multiple, part), "held_out": part}
    if "save_features" in type(settings).model_fields:
        changes["save_features"] = False
    return with_rate(settings, multiple).model_copy(update=changes)


def with_rate(settings: C, multiple: float) -> C:
    """The same training at a multiple of its learning rate."""
    optim = settings.optim
    return settings.model_copy(update={"optim": optim.model_copy(update={"lr": optim.lr * multiple})})


def train(task: StudyTask[RunConfig, Any], settings: RunConfig, store: Store) -> Judged:
    """One training, or what it came to before; only its numbers are kept."""
    try:
        with quietly(REPEATED_WORDS | WORDS_ON_WEIGHTS):
            result = task.run(settings, store)
        judged = Judged(result.score, result.seconds)
    except TrainingStopped:
        judged = Judged(None, 0.0)
    tidy(settings.out, task.leftovers)
    return judged


def told(rate: LearningRate) -> str:
    """The scores with the choice, or why there is none: x 0.3 61.2 %, x 1 64.0 %; chosen: x 1."""
    if not rate.was_chosen:
        return f"x {rate.chosen:g}, because {rate.note or 'all trainings diverged'}"
    scores = [
        f"x {multiple:g} {'diverged' if score is None else percent(score)}"
        for multiple, score in zip(rate.grid, rate.scores, strict=True)
    ]
    return f"{', '.join(scores)}; chosen: x {rate.chosen:g}"
