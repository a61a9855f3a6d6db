"""How many epochs fit into the minutes given: measured, then fixed, so that a resumed run keeps its length."""

import itertools
import logging
import statistics
import time
from collections.abc import Iterable

from lightning_fabric import Fabric

from headstart.training.loop import Batch, Plan, Task, optimise
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)

TIMED_STEPS = 7
UNTIMED_STEPS = 2
TRIAL_SHARE = 0.1
"""Share of a budget that timing the steps may take."""
RESERVE = 0.15


def seconds_per_step(
    task: Task, state: TrainState, plan: Plan, batches: Iterable[Batch], fabric: Fabric, allowed: float
) -> float:
    """Median seconds of an optimiser step with its loading, so that one disturbed step does not count; ``state`` is
    spent on it. Slow steps are timed fewer times, at least twice, once they took ``allowed`` seconds.
    """
    micro_batches = iter(batches)
    began, ends = time.monotonic(), []
    for step in range(UNTIMED_STEPS + TIMED_STEPS):
        optimise(task, state, plan, list(itertools.islice(micro_batches, plan.accumulate)), fabric)
        task.after_step(state.module, step)
        ends.append(time.monotonic())
        if step >= UNTIMED_STEPS + 1 and fabric.broadcast(ends[-1] - began > allowed):
            break
    return statistics.median(after - before for before, after in itertools.pairwise(ends[UNTIMED_STEPS - 1 :]))


def epochs_in(minutes: float, step_seconds: float, steps_per_epoch: int) -> int:
    """Whole epochs, at least one, in ``minutes`` less a reserve of 15 % for looks and checkpoints."""
    epochs = max(1, int(60 * minutes * (1 - RESERVE) / (step_seconds * steps_per_epoch)))
    logger.info("A step takes %.3f s: %g minutes are %d epochs.", step_seconds, minutes, epochs)
    return epochs
