"""Our BYOL training step on random tensors: what the loop does with a batch, with no images to read or to augment."""

from pathlib import Path
from typing import Any, Literal

import torch
from benchmarks.harness import Way
from torch import Tensor, nn

from headstart.configs.byol import ByolConfig
from headstart.configs.optimisation import OptimConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol
from headstart.training.loop import Plan, optimise
from headstart.training.optim import build_optimizer
from headstart.training.runtime import choose_precision, make_fabric
from headstart.training.schedules import tau_at
from headstart.training.state import TrainState

STEPS = 1000
"""Length of the training that the steps are taken from: for the schedules of learning rate and momentum."""


class ByolTask:
    """BYOL's loss and the target's move after each step, as pre-training has them; no looks at the model."""

    def __init__(self, config: ByolConfig) -> None:
        self.config = config

    def loss(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
        loss: Tensor = model(batch[0])
        return loss

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        assert isinstance(module, Byol)
        tau = tau_at(step, STEPS, self.config.tau_base, self.config.tau_end)
        module.update_target(tau)
        return {"tau": tau}

    def at_a_tenth(self, state: TrainState) -> None:
        return None

    def at_epoch_end(self, state: TrainState, epoch: int) -> None:
        return None


def ours(
    backbone: str,
    size: int,
    batch: int,
    hidden: int = 4096,
    optim: dict[str, Any] | None = None,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    steps: int = 1,
) -> Way:
    """Steps of ``batch`` pairs of random views; a turn is ``steps`` of them and its units are images.

    ``hidden`` are the units of projector and predictor, ``optim`` the fields of OptimConfig that differ.
    """
    config = PretrainConfig(
        data="none",
        out=Path("none"),
        backbone=backbone,
        image_size=size,
        batch_size=batch,
        precision=precision,
        byol=ByolConfig(hidden_size=hidden),
        optim=OptimConfig(**(optim or {})),
    )
    network = build_backbone(backbone, size)
    fabric = make_fabric(config, choose_precision(precision, lambda: network))
    byol = Byol(network, config.byol).to(memory_format=torch.channels_last)
    model, ready = fabric.setup(byol, build_optimizer(byol, config.optim, batch))
    state, plan = TrainState(byol, model, ready), Plan(STEPS, STEPS, batch, 1, 0, config.optim, config.schedule)
    task, views = ByolTask(config.byol), torch.randn(batch, 2, 3, size, size)
    no_labels = torch.full((batch,), -1)

    def way() -> float:
        for _ in range(steps):
            optimise(task, state, plan, [[views, no_labels, no_labels]], fabric)
            task.after_step(byol, state.step)
            state.step += 1
        return batch * steps

    return way
