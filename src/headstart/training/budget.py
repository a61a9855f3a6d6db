"""How many epochs fit into the minutes given: measured, then fixed, so that a resumed run keeps its length."""

import itertools
import logging
import statistics
import time
from collections.abc import Iterable, Sequence

from lightning_fabric import Fabric

from headstart.training.loop import Batch, Plan, Task, optimise
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)

UNTIMED_STEPS = 2
LEAST_TIMED, MOST_TIMED, STRETCHES = 7, 100, 4
"""Steps that are timed, unless they are slow."""
TIMED_SHARE = 0.02
"""Share of a budget after which no more than ``LEAST_TIMED`` steps are timed."""
TRIAL_SHARE = 0.1
"""Share of a budget after which no more than two steps are timed."""
RESERVE = 0.12
"""Share of a budget kept for the trial, looks and checkpoints."""


def seconds_per_step(
    task: Task, state: TrainState, plan: Plan, batches: Iterable[Batch], fabric: Fabric, minutes: float
) -> float:
    """Seconds of an optimiser step with its loading, as ``usual`` tells them; ``state`` is spent on it. ``minutes`` is
    the budget.
    """
    micro_batches = iter(batches)
    began, ends = time.monotonic(), []
    for step in range(UNTIMED_STEPS + MOST_TIMED):
        optimise(task, state, plan, list(itertools.islice(micro_batches, plan.accumulate)), fabric)
        task.after_step(state.module, step)
        ends.append(time.monotonic())
        if fabric.broadcast(is_enough(step + 1 - UNTIMED_STEPS, (ends[-1] - began) / (60 * minutes))):
            break
    return usual([after - before for before, after in itertools.pairwise(ends[UNTIMED_STEPS - 1 :])])


def usual(seconds: Sequence[float]) -> float:
    """The second least mean of four stretches of steps, so that a moment in which the machine was busy with something
    else does not shorten the whole training, and steps that wait for a loader count beside those that do not. Of fewer
    than 16 steps, the median.
    """
    if len(seconds) < 4 * STRETCHES:
        return statistics.median(seconds)
    length = len(seconds) // STRETCHES
    return sorted(statistics.fmean(seconds[i * length : (i + 1) * length]) for i in range(STRETCHES))[1]


def is_enough(timed: int, share: float) -> bool:
    """Whether ``timed`` steps, after a ``share`` of the budget, are enough."""
    return timed >= (2 if share > TRIAL_SHARE else LEAST_TIMED if share > TIMED_SHARE else MOST_TIMED)


def epochs_in(minutes: float, step_seconds: float, steps_per_epoch: int) -> int:
    """Whole epochs, at least one, in ``minutes`` less the reserve."""
    epochs = max(1, int(60 * minutes * (1 - RESERVE) / (step_seconds * steps_per_epoch)))
    logger.info("A step takes %.3f s: %g minutes are %d epochs.", step_seconds, minutes, epochs)
    return epochs
