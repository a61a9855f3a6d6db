"""Our pre-training from a folder, an epoch a turn."""

from pathlib import Path
from typing import Any

from benchmarks.child import Turns

from headstart import pretrain
from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.optimisation import OptimConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.tasks.pretrain.verb import Pretraining
from headstart.training.loop import Look
from headstart.training.state import TrainState


def ours(
    turns: Turns, data: str, out: str, size: int, hidden: int, optim: dict[str, Any], epochs: int, **settings: Any
) -> None:
    """``headstart.pretrain`` itself. The first turn is all up to the end of the first epoch, the others an epoch each.

    ``settings`` are further fields of PretrainConfig. It looks at its model only at the very end, which no turn reaches
    where ``epochs`` is more than the turns; the look after a tenth of the steps falls into the first epoch of a
    training of up to ten.
    """
    plain = Pretraining.at_epoch_end

    def at_epoch_end(task: Pretraining, state: TrainState, epoch: int) -> Look | None:
        turns.end(task.plan.steps_per_epoch * task.plan.batch_size)
        turns.begin()
        return plain(task, state, epoch)

    Pretraining.at_epoch_end = at_epoch_end  # type: ignore[method-assign, assignment]
    turns.begin()
    pretrain(
        PretrainConfig(
            data=data,
            out=Path(out),
            image_size=size,
            epochs=epochs,
            byol=ByolConfig(hidden_size=hidden),
            watch=WatchConfig(looks=1, images=32),
            optim=OptimConfig(**optim),
            **renamed(settings),
        )
    )


def renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """The fields of PretrainConfig: a bench's ``batch`` is its batch_size."""
    return {"batch_size" if name == "batch" else name: value for name, value in settings.items()}
