"""The training loop: step, log, look, save. It knows no task, no data set and no loss."""

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.data.seeds import derive
from headstart.errors import StopRequested, TrainingStopped
from headstart.training.log import MetricsLog
from headstart.training.numbers import NOT_FINITE, all_finite, judge_numbers, weights_finite
from headstart.training.optim import clip_gradients, peak_lr, set_lr
from headstart.training.progress import Progress
from headstart.training.runtime import seed_everything
from headstart.training.saver import Saver
from headstart.training.schedules import lr_factor
from headstart.training.signals import STOP
from headstart.training.state import TrainState

Batch = list[Tensor]
Pending = tuple[int, Tensor, dict[str, float]]
LOGGED_STEPS = 2000
FLUSHED_STEPS = 20


@dataclass(frozen=True)
class Plan:
    """Length and pace of a training: everything the loop needs to know beside the task."""

    steps: int
    steps_per_epoch: int
    batch_size: int
    accumulate: int
    seed: int
    optim: OptimConfig
    schedule: ScheduleConfig

    def lr(self, step: int) -> float:
        """Learning rate of a step."""
        factor = lr_factor(self.schedule, step, self.steps, self.steps_per_epoch)
        return peak_lr(self.optim, self.batch_size) * factor

    def epoch_of(self, step: int) -> int:
        """Epoch, from 1, that the ``step``-th finished step belongs to."""
        return max(0, step - 1) // self.steps_per_epoch + 1

    def ends_epoch(self, step: int) -> bool:
        return step % self.steps_per_epoch == 0 or step == self.steps

    def looks_after(self, step: int) -> bool:
        """Whether the task may take a look after ``step`` finished steps."""
        return step == self.a_tenth or self.ends_epoch(step)

    @property
    def a_tenth(self) -> int:
        """Finished steps at which a tenth of the training is over; 0 where it has fewer than ten."""
        return self.steps // 10

    @property
    def epochs(self) -> int:
        return self.steps // self.steps_per_epoch

    @property
    def log_every(self) -> int:
        return max(1, self.steps // LOGGED_STEPS)


@dataclass(frozen=True)
class Look:
    """What a look at the model found: measurements by split.

    The model with the highest ``score`` is kept as best, the last one that was ``healthy`` as good; ``stop`` ends the
    training.
    """

    measured: dict[str, dict[str, float]]
    score: float | None = None
    healthy: bool = False
    stop: TrainingStopped | None = None


class Task(Protocol):
    """What is trained. Each method is a function of its arguments; the loop does the rest."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scalar loss of a micro-batch."""

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        """What follows an optimiser step (0-based), such as an EMA update; measurements to log."""

    def at_a_tenth(self, state: TrainState) -> Look | None:
        """A look at the model after ``plan.a_tenth`` steps, if the task takes one; before that of the epoch."""

    def at_epoch_end(self, state: TrainState, epoch: int) -> Look | None:
        """A look at the model after an epoch (from 1), if one is due."""


def train(task: Task, state: TrainState, plan: Plan, batches: Iterable[Batch], saver: Saver) -> None:
    """Train from ``state.step`` to ``plan.steps``. ``batches`` are the micro-batches of those steps, in order.

    Raises TrainingStopped when the numbers are no longer finite or a look says so, the last good checkpoint being kept;
    and StopRequested when a signal asked for it, after the step and its checkpoint.
    """
    fabric = saver.fabric
    log = MetricsLog(saver.run.metrics if fabric.is_global_zero else None, keep_until=state.step, looked=state.looked)
    if state.step == 0:
        saver.begin(state)
    if not state.looked:
        take_looks(task, state, plan, log, saver)
        saver.save(state)
    finite = torch.ones(len(NOT_FINITE), dtype=torch.bool, device=fabric.device)
    pending: list[Pending] = []
    micro_batches = iter(batches)
    with Progress(plan.steps, state.step, plan.batch_size, fabric.is_global_zero) as progress:
        for step in range(state.step, plan.steps):
            lr = plan.lr(step)
            set_lr(state.optimizer, lr)
            seed_everything(derive(plan.seed, "step", step, fabric.global_rank))
            loss, sound = optimise(task, state, plan, list(itertools.islice(micro_batches, plan.accumulate)), fabric)
            measured = {"lr": lr, **task.after_step(state.module, step)}
            finite &= sound
            state.step = step + 1
            save, stop = saver.due(state.step)
            save, look = save or state.step == plan.steps, plan.looks_after(state.step)
            if step % plan.log_every == 0 or plan.ends_epoch(state.step):
                pending.append((state.step, loss, measured))
            if look or save or stop or len(pending) >= FLUSHED_STEPS:
                progress.loss = flush(pending, log, plan, fabric)
                stop_if_diverged(fabric, finite, state, lr)
            if stop:
                put_off(state, saver, plan, stop, looked=not look)
            if look:
                take_looks(task, state, plan, log, saver)
            if save:
                saver.save(state)
            progress.update(state.step)


def put_off(state: TrainState, saver: Saver, plan: Plan, signal_name: str, looked: bool) -> None:
    """Save, and raise StopRequested; with ``looked`` false the looks after this step are taken on resuming."""
    state.looked = looked
    saver.save(state)
    raise StopRequested(signal_name, f"after step {state.step} of {plan.steps}; checkpoint {saver.run.checkpoint}")


def optimise(
    task: Task, state: TrainState, plan: Plan, micro_batches: list[Batch], fabric: Fabric
) -> tuple[Tensor, Tensor]:
    """One optimiser step over the micro-batches: the mean loss of this process, detached, and which of ``NOT_FINITE``
    was sound, bool (4,); of the weights that is only known later.
    """
    state.model.train()
    total = torch.zeros((), device=fabric.device)
    inputs_sound = torch.ones((), dtype=torch.bool, device=fabric.device)
    for i, batch in enumerate(micro_batches):
        batch = [tensor.to(fabric.device, non_blocking=True) for tensor in batch]
        inputs_sound &= all_finite(batch, fabric.device)
        with fabric.no_backward_sync(state.model, enabled=i + 1 < len(micro_batches)):  # type: ignore[arg-type]
            loss = task.loss(state.model, batch) / plan.accumulate
            fabric.backward(loss)
        total += loss.detach()
    norm = clip_gradients(state.module, plan.optim.grad_clip)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    flags = [inputs_sound, torch.isfinite(total), torch.isfinite(norm), torch.ones_like(inputs_sound)]
    return total, torch.stack(flags)


def flush(
    pending: list[tuple[int, Tensor, dict[str, float]]], log: MetricsLog, plan: Plan, fabric: Fabric
) -> float | None:
    """Write the losses (means over the processes) that wait in ``pending``; the last of them."""
    if not pending:
        return None
    losses = torch.stack([loss for _, loss, _ in pending])
    values = fabric.all_reduce(losses, reduce_op="mean").tolist()  # type: ignore[union-attr]
    for (step, _, measured), value in zip(pending, values, strict=True):
        log.write(step, plan.epoch_of(step), "train", {"loss": value, **measured})
    pending.clear()
    return float(values[-1])


def stop_if_diverged(fabric: Fabric, finite: Tensor, state: TrainState, lr: float) -> None:
    """TrainingStopped on every process if anything so far, logged or not, was no finite number on any of them."""
    finite[-1] = weights_finite(state.module, fabric.device)
    share: Tensor = fabric.all_reduce(finite.float(), reduce_op="mean")  # type: ignore[assignment]
    sound = dict(zip(NOT_FINITE, (share == 1).tolist(), strict=True))
    if stop := judge_numbers(sound, state.step, lr):
        raise stop


def take_looks(task: Task, state: TrainState, plan: Plan, log: MetricsLog, saver: Saver) -> None:
    """Take the looks that are due after ``state.step``. A signal puts them off, all together, until the run is resumed:
    StopRequested. Several processes finish them first, and go by what the first of them found.
    """
    before, epoch = dict(state.memory), plan.epoch_of(state.step)
    looks: list[Callable[[], Look | None]] = []
    if state.step == plan.a_tenth:
        looks.append(lambda: task.at_a_tenth(state))
    if plan.ends_epoch(state.step):
        looks.append(lambda: task.at_epoch_end(state, epoch))
    state.looked = True
    try:
        for take in looks:
            with STOP.obeyed(here=saver.fabric.world_size == 1):
                look = saver.fabric.broadcast(take())  # what it leads to is saved together
            note(look, state, plan, log, saver)
    except StopRequested as request:
        state.memory = before | {"seconds": state.memory["seconds"]}
        put_off(state, saver, plan, request.signal_name, looked=False)


def note(look: Look | None, state: TrainState, plan: Plan, log: MetricsLog, saver: Saver) -> None:
    """Log a look, and keep the model as the best where it is."""
    if look is None:
        return
    for split, values in look.measured.items():
        log.write(state.step, plan.epoch_of(state.step), split, values)
    if look.score is not None and look.score > state.memory.get("best", float("-inf")):
        state.memory["best"] = look.score
        saver.save(state, saver.run.best)
    if look.healthy:
        saver.save(state, saver.run.good)
    if look.stop is not None:
        raise look.stop


def looks_at(epochs: int, looks: int) -> frozenset[int]:
    """The epochs (from 1) after which to look: ``looks`` of them, evenly spaced, the last one included."""
    count = min(looks, epochs)
    return frozenset(math.ceil(epochs * (i + 1) / count) for i in range(count))
