"""What changes while a run trains, and how it is put away and taken up again."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer


@dataclass
class TrainState:
    """Model, optimiser and position. ``module`` is the plain module; ``model`` is what Fabric made of it.

    ``step`` counts finished optimiser steps. ``memory`` holds the plain values that a task carries from one look
    at its model to the next. ``looked`` is false where the looks that are due after ``step`` were put off by a stop.
    The random generators are not part of it: they are seeded anew for each step.
    """

    module: nn.Module
    model: nn.Module
    optimizer: Optimizer
    step: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    looked: bool = True

    def state_dict(self) -> dict[str, Any]:
        """Everything that continuing needs."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "memory": self.memory,
            "looked": self.looked,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` put away."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.memory = state["step"], state["memory"]
        self.looked = state.get("looked", True)  # checkpoints of version 0.1.0 were written after the looks
