"""When a checkpoint is due, and who writes it."""

import time
from pathlib import Path

from lightning_fabric import Fabric

from headstart.configs.run import RunConfig
from headstart.training.checkpoint import save_checkpoint
from headstart.training.rundir import RunDir
from headstart.training.state import TrainState


class Saver:
    """Writes the checkpoint when it is due: by the clock, or by the step where the config says so."""

    def __init__(self, run: RunDir, config: RunConfig, fabric: Fabric) -> None:
        self.run, self.config, self.fabric = run, config, fabric
        self.last = self.counted = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether to save after ``step`` finished steps; the first process decides for all."""
        by_clock = time.monotonic() - self.last > 60 * self.config.checkpoint_minutes
        by_step = self.config.checkpoint_steps is not None and step % self.config.checkpoint_steps == 0
        return bool(self.fabric.broadcast(by_clock or by_step)) if self.fabric.world_size > 1 else by_clock or by_step

    def save(self, state: TrainState, path: Path | None = None) -> None:
        """Save to ``path``, or as the checkpoint to go on from; the first process writes, the others wait.

        ``state.memory["seconds"]`` is the time trained so far, over all sessions.
        """
        now = time.monotonic()
        state.memory["seconds"] = state.memory.get("seconds", 0.0) + now - self.counted
        self.counted = now
        if self.fabric.is_global_zero:
            save_checkpoint(path or self.run.checkpoint, state.state_dict())
        self.fabric.barrier()
        if path is None:
            self.last = time.monotonic()
