"""The training loop: step, log, look, save. It knows no task, no data set and no loss."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.data.seeds import derive
from headstart.errors import TrainingStopped
from headstart.training.log import MetricsLog
from headstart.training.optim import clip_gradients, peak_lr, set_lr
from headstart.training.progress import Progress
from headstart.training.runtime import seed_everything
from headstart.training.saver import Saver
from headstart.training.schedules import lr_factor
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

    Raises TrainingStopped when the loss is no longer a number or a look says so; the last good checkpoint is kept.
    """
    fabric = saver.fabric
    log = MetricsLog(saver.run.metrics if fabric.is_global_zero else None, keep_until=state.step)
    if state.step == 0:
        saver.save(state)
        saver.save(state, saver.run.good)
    finite = torch.ones((), dtype=torch.bool, device=fabric.device)
    pending: list[Pending] = []
    micro_batches = iter(batches)
    with Progress(plan.steps, state.step, plan.batch_size, fabric.is_global_zero) as progress:
        for step in range(state.step, plan.steps):
            lr = plan.lr(step)
            set_lr(state.optimizer, lr)
            seed_everything(derive(plan.seed, "step", step, fabric.global_rank))
            loss = optimise(task, state, plan, list(itertools.islice(micro_batches, plan.accumulate)), fabric)
            measured = {"lr": lr, **task.after_step(state.module, step)}
            finite &= torch.isfinite(loss)
            state.step = step + 1
            epoch_ends, save = plan.ends_epoch(state.step), state.step == plan.steps or saver.due(state.step)
            early = state.step == plan.a_tenth
            if step % plan.log_every == 0 or epoch_ends:
                pending.append((state.step, loss, measured))
            if early or epoch_ends or save or len(pending) >= FLUSHED_STEPS:
                progress.loss = flush(pending, log, plan, fabric)
                stop_if_diverged(fabric, finite, state.step, lr)
            if early:
                note(task.at_a_tenth(state), state, plan, log, saver)
            if epoch_ends:
                note(task.at_epoch_end(state, plan.epoch_of(state.step)), state, plan, log, saver)
            if save:
                saver.save(state)
            progress.update(state.step)


def optimise(task: Task, state: TrainState, plan: Plan, micro_batches: list[Batch], fabric: Fabric) -> Tensor:
    """One optimiser step over the micro-batches; the mean loss of this process, detached."""
    state.model.train()
    total = torch.zeros((), device=fabric.device)
    for i, batch in enumerate(micro_batches):
        batch = [tensor.to(fabric.device, non_blocking=True) for tensor in batch]
        with fabric.no_backward_sync(state.model, enabled=i + 1 < len(micro_batches)):  # type: ignore[arg-type]
            loss = task.loss(state.model, batch) / plan.accumulate
            fabric.backward(loss)
        total += loss.detach()
    clip_gradients(state.module, plan.optim.grad_clip)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return total


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


def stop_if_diverged(fabric: Fabric, finite: Tensor, step: int, lr: float) -> None:
    """TrainingStopped on every process if any loss so far, logged or not, was no finite number on any of them."""
    if float(fabric.all_reduce(finite.float(), reduce_op="mean")) < 1:  # type: ignore[arg-type]
        raise TrainingStopped(
            "diverged",
            f"The loss is no longer a finite number (by step {step}, learning rate {lr:.3g}). "
            "Lower --optim.lr, or set --optim.grad-clip 1; the last good checkpoint is kept.",
        )


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
