"""When a checkpoint is due, and who writes it."""

import time

from lightning_fabric import Fabric

from headstart.configs.run import RunConfig
from headstart.training.checkpoint import save_checkpoint
from headstart.training.rundir import RunDir
from headstart.training.state import TrainState


class Saver:
    """Writes the checkpoint when it is due: by the clock, or by the step where the config says so."""

    def __init__(self, run: RunDir, config: RunConfig, fabric: Fabric) -> None:
        self.run, self.config, self.fabric = run, config, fabric
        self.last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether to save after ``step`` finished steps; the first process decides for all."""
        by_clock = time.monotonic() - self.last > 60 * self.config.checkpoint_minutes
        by_step = self.config.checkpoint_steps is not None and step % self.config.checkpoint_steps == 0
        return bool(self.fabric.broadcast(by_clock or by_step)) if self.fabric.world_size > 1 else by_clock or by_step

    def save(self, state: TrainState, best: bool = False) -> None:
        """Save from the first process; the others wait."""
        if self.fabric.is_global_zero:
            save_checkpoint(self.run.best if best else self.run.checkpoint, state.state_dict())
        self.fabric.barrier()
        if not best:
            self.last = time.monotonic()
