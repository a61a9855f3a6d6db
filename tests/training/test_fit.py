"""From a job to trained weights: crops as batches, a learning rate for each part, and a resume that changes nothing."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from headstart.configs.segment import CropsConfig, LossConfig, SegmentConfig
from headstart.data.crops import CropView
from headstart.data.loaders import Batching, Item, MicroBatches, training_loader
from headstart.data.seeds import derive
from headstart.models.losses import Loss, build_loss
from headstart.training.fit import Fitted, Job, fit
from headstart.training.loop import Batch, Look, Plan
from headstart.training.session import begin
from headstart.training.state import TrainState

CLASSES = 3


class Crops:
    """Crops of images that are made on the spot: three blobs of colour, each a class."""

    def __init__(self, n: int, view: CropView) -> None:
        self.n, self.view = n, view

    def __len__(self) -> int:
        return self.n

    def read(self, item: Item) -> tuple[Tensor, Tensor, int]:
        epoch, index = item
        mask = np.kron(np.random.default_rng(index).integers(0, CLASSES, (5, 5)), np.ones((6, 6))).astype(np.uint8)
        image = torch.from_numpy(np.eye(3, dtype=np.uint8)[mask] * 200).permute(2, 0, 1)
        return *self.view(image, torch.from_numpy(mask), derive(0, "crop", epoch, index), CLASSES), index

    def batch(self, found: Sequence[tuple[Tensor, Tensor, int]]) -> list[Tensor]:
        collated: list[Tensor] = default_collate(list(found))
        return collated


@dataclass
class PixelTask:
    """Loss over pixels; raises KeyboardInterrupt after ``stop_after`` steps."""

    criterion: Loss
    stop_after: int | None = None

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.criterion(model(batch[0]), batch[1])

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        if step + 1 == self.stop_after:
            raise KeyboardInterrupt
        return {}

    def at_a_tenth(self, state: TrainState) -> Look | None:
        return None

    def at_epoch_end(self, state: TrainState, epoch: int) -> Look | None:
        return None


def network() -> nn.Sequential:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(encoder, nn.Conv2d(8, CLASSES, 1))


def encoder_tenth(name: str) -> float:
    return 0.1 if name.startswith("0.") else 1.0


def run(out: Path, n: int = 10, stop_after: int | None = None, tenth: bool = True, **settings: Any) -> Fitted:
    defaults = {"batch_size": 4, "epochs": 3, "precision": "fp32", "workers": 0, "checkpoint_steps": 1, "min_steps": 0}
    config = SegmentConfig.model_validate({"data": "x", "out": out, "image_size": 24} | defaults | settings)
    session = begin(config, "segment", network)
    dataset = Crops(n, CropView(CropsConfig(), 24, (0.5,) * 3, (0.5,) * 3))
    criterion = build_loss(LossConfig(terms=("cross-entropy", "dice")), CLASSES, CLASSES, (1,) * CLASSES)

    def batches_of(batching: Batching, steps: range) -> Iterator[Batch]:
        for crops, masks, _ in training_loader(
            dataset, MicroBatches(batching, config.seed, steps, config.accumulate), 0
        ):
            yield [crops, masks]

    job = Job(
        network(), n, lambda plan: PixelTask(criterion, stop_after), batches_of, config.min_steps,
        **({"lr_scale": encoder_tenth} if tenth else {}),
    )  # fmt: skip
    return fit(session, job)


def rates(fitted: Fitted) -> dict[str, tuple[float, float]]:
    """(scale, rate) of each parameter in the optimiser."""
    groups = fitted.state.optimizer.param_groups
    held = {id(p): (group["lr_scale"], group["lr"]) for group in groups for p in group["params"]}
    return {name: held[id(p)] for name, p in fitted.state.module.named_parameters()}


def test_parts_have_their_rates_and_a_resume_keeps_them(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    peak_share = whole.plan.lr(whole.plan.steps - 1)
    for name, (scale, rate) in rates(whole).items():
        assert scale == encoder_tenth(name)
        assert rate == pytest.approx(peak_share * scale)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", stop_after=4)
    resumed = run(tmp_path / "killed", resume=True)
    assert resumed.state.step == whole.state.step == 6
    assert rates(resumed) == rates(whole)
    for name, tensor in whole.state.module.state_dict().items():
        assert torch.equal(tensor, resumed.state.module.state_dict()[name]), name


def test_what_a_kill_left_half_written_is_gone_after_a_resume(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=4)
    halves = [tmp_path / name for name in ("result.json.part", "checkpoints/last.ckpt.part", "masks/epoch-1.png.part")]
    for half in halves:
        half.parent.mkdir(exist_ok=True)
        half.write_bytes(b"half")
    run(tmp_path, resume=True)
    assert not [half for half in halves if half.exists()]


def test_a_checkpoint_without_rates_of_parts_is_taken_up(tmp_path: Path) -> None:
    """Checkpoints of version 0.1.0 have two groups, with decay and without, and no lr_scale in them."""
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", stop_after=4, tenth=False)
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    for group in state["optimizer"]["param_groups"]:
        del group["lr_scale"]
    torch.save(state, path)
    resumed, whole = run(tmp_path / "run", tenth=False, resume=True), run(tmp_path / "whole", tenth=False)
    for name, tensor in whole.state.module.state_dict().items():
        assert torch.equal(tensor, resumed.state.module.state_dict()[name]), name


@pytest.mark.parametrize(
    ("n", "batch_size", "accumulate", "min_steps", "expected"),
    [
        (10, 4, 1, 0, (3, 2, 4)),
        (3, 64, 1, 0, (3, 1, 3)),  # a batch is all there is
        (3, 64, 2, 0, (3, 1, 2)),  # rounded down to equal parts
        (10, 4, 1, 7, (4, 2, 4)),  # stretched to whole epochs
        (1, 8, 2, 0, (3, 1, 2)),  # one crop, shown twice
    ],
)
def test_the_plan_counts_crops(
    tmp_path: Path, n: int, batch_size: int, accumulate: int, min_steps: int, expected: tuple[int, int, int]
) -> None:
    fitted = run(tmp_path / "run", n, batch_size=batch_size, accumulate=accumulate, min_steps=min_steps)
    plan: Plan = fitted.plan
    assert (plan.epochs, plan.steps_per_epoch, plan.batch_size) == expected
    assert fitted.state.step == plan.steps
    assert all(math.isfinite(p.sum().item()) for p in fitted.state.module.parameters())


def test_pixels_are_learned(tmp_path: Path) -> None:
    optim = {"name": "adamw", "lr": 0.02}
    fitted = run(tmp_path / "run", epochs=15, tenth=False, optim=optim)
    crops, masks, _ = Crops(10, CropView(CropsConfig(), 24, (0.5,) * 3, (0.5,) * 3)).read((99, 0))
    fitted.state.module.eval()
    predicted = fitted.state.module(crops[None]).argmax(1)[0]
    known = masks != CLASSES
    assert (predicted == masks)[known].float().mean() > 0.95
