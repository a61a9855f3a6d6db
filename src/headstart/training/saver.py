"""When a checkpoint is due, when to stop, and who writes."""

import signal
import time
from pathlib import Path

import torch
from lightning_fabric import Fabric

from headstart.configs.run import RunConfig
from headstart.training.checkpoint import save_checkpoint
from headstart.training.rundir import RunDir
from headstart.training.signals import STOP
from headstart.training.state import TrainState


class Saver:
    """Writes the checkpoint when it is due: by the clock, or by the step where the config says so.

    ``keeps_good``: the task's looks say which model is good, and until the first of them it is the untrained one.
    """

    def __init__(self, run: RunDir, config: RunConfig, fabric: Fabric, keeps_good: bool) -> None:
        self.run, self.config, self.fabric, self.keeps_good = run, config, fabric, keeps_good
        self.last = self.counted = time.monotonic()

    def begin(self, state: TrainState) -> None:
        """Save what training begins with."""
        self.save(state)
        if self.keeps_good:
            self.save(state, self.run.good)

    def due(self, step: int) -> tuple[bool, str | None]:
        """Whether to save after ``step`` finished steps, and the signal to stop at, if any came.

        All processes get the same answer: the first one's clock and steps, and a signal that any of them got.
        """
        by_clock = time.monotonic() - self.last > 60 * self.config.checkpoint_minutes
        by_step = self.config.checkpoint_steps is not None and step % self.config.checkpoint_steps == 0
        due, asked = by_clock or by_step, STOP.asked or 0
        if self.fabric.world_size > 1:
            mine = torch.tensor([due and self.fabric.is_global_zero, asked], device=self.fabric.device)
            due, asked = self.fabric.all_reduce(mine, reduce_op="max").tolist()  # type: ignore[union-attr]
        return bool(due), signal.Signals(asked).name if asked else None

    def save(self, state: TrainState, path: Path | None = None) -> None:
        """Save to ``path``, or as the checkpoint to go on from; the first process writes, the others wait.

        ``state.memory["seconds"]`` is the time trained so far, over all sessions.
        """
        now = time.monotonic()
        state.memory["seconds"] = state.memory.get("seconds", 0.0) + now - self.counted
        self.counted = now
        if self.fabric.is_global_zero:
            save_checkpoint(path or self.run.checkpoint, state.state_dict(), keep_previous=path is None)
        self.fabric.barrier()
        if path is None:
            self.last = time.monotonic()
