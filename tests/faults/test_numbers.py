"""Numbers going wrong: noticed at the step, said, and the last good model kept."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.classify import ClassifyConfig
from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.configs.segment import SegmentConfig
from headstart.data.loaders import Batching
from headstart.errors import DataError, TrainingStopped
from headstart.models.byol import Byol
from headstart.tasks.classify import classify
from headstart.tasks.pretrain import pretrain
from headstart.training import loop
from headstart.training.checkpoint import load_checkpoint, load_soundest
from headstart.training.fit import Job, fit
from headstart.training.loop import Batch, Look
from headstart.training.session import begin
from headstart.training.state import TrainState

NAN, INF = math.nan, math.inf


class Wrong:
    """A regression in which one value is put wrong at a step (0-based)."""

    def __init__(self, what: str, value: float, step: int) -> None:
        self.what, self.value, self.wrong_step, self.calls = what, value, step, 0

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        loss = (model(batch[0]) - batch[1]).square().mean()
        if self.calls == self.wrong_step and self.what == "loss":
            loss = loss * self.value
        if self.calls == self.wrong_step and self.what == "gradient":
            loss.register_hook(lambda gradient: gradient * self.value)
        self.calls += 1
        return loss

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        if step == self.wrong_step and self.what == "weights":
            with torch.no_grad():
                next(module.parameters()).fill_(self.value)
        return {}

    def at_a_tenth(self, state: TrainState) -> Look | None:
        return None

    def at_epoch_end(self, state: TrainState, epoch: int) -> Look | None:
        return None


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("what", ["inputs", "loss", "gradient", "weights"])
@pytest.mark.parametrize("step", [4, 11], ids=["within", "at-the-last-step"])
def test_what_is_no_number_stops_the_training(tmp_path: Path, what: str, value: float, step: int) -> None:
    """At the last step, too, where no later loss would tell; no checkpoint ever holds what is no number."""
    config = SegmentConfig(
        data="x", out=tmp_path / "run", image_size=24, batch_size=8, epochs=6, precision="fp32", workers=0,
        checkpoint_steps=1, min_steps=0,
    )  # fmt: skip

    def batches_of(batching: Batching, steps: range) -> Any:
        for each in steps:
            points = torch.randn(8, 5, generator=torch.Generator().manual_seed(each))
            points[0, 0] = value if what == "inputs" and each == step else 0.5
            yield [points, points.sum(1, keepdim=True).nan_to_num(0, 0, 0)]

    job = Job(nn.Linear(5, 1), 16, lambda plan: Wrong(what, value, step), batches_of)
    fitted = fit(begin(config, "segment", lambda: nn.Linear(5, 1)), job)
    assert fitted.stopped is not None
    assert fitted.stopped.status == "diverged"
    begins = {"inputs": "What the network is given", "loss": "The loss", "gradient": "The gradient", "weights": "The w"}
    assert fitted.stopped.reason.startswith(begins[what])
    assert f"by step {step + 1}," in fitted.stopped.reason
    assert fitted.state.step == step
    for path in (tmp_path / "run" / "checkpoints").glob("*.ckpt"):
        saved = load_checkpoint(path)
        assert saved["step"] <= step
        assert all(torch.isfinite(tensor).all() for tensor in saved["module"].values())


def settings(data: Path, out: Path) -> dict[str, Any]:
    return {
        "data": str(data), "out": out, "backbone": "test_resnet", "image_size": 32, "batch_size": 8,
        "precision": "fp32", "workers": 0,
    }  # fmt: skip


def test_a_damaged_good_checkpoint_is_not_gone_back_to(
    gratings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pre-training that diverges, and whose good model rots meanwhile: the best one is what is kept."""
    optimise, calls = loop.optimise, [0]
    good = tmp_path / "run" / "checkpoints" / "good.ckpt"

    def struck(*arguments: Any) -> tuple[Tensor, Tensor]:
        calls[0] += 1
        if calls[0] == 9:
            good.write_bytes(good.read_bytes()[:1000])
            return optimise(*arguments)[0] * NAN, torch.tensor([True, False, True, True])
        return optimise(*arguments)

    monkeypatch.setattr(loop, "optimise", struck)
    small = {"byol": ByolConfig(hidden_size=32, projection_size=16), "watch": WatchConfig(looks=2, images=32)}
    result = pretrain(PretrainConfig(**settings(gratings, tmp_path / "run"), epochs=2, **small))
    assert result.status == "diverged"
    assert "good.ckpt" in caplog.text
    state, _ = load_soundest([good.with_name("last.ckpt")])
    assert result.steps == state["step"] == load_checkpoint(good.with_name("best.ckpt"))["step"] > 0


def test_without_predictor_and_with_tau_0_the_collapse_is_called(
    flat_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps BYOL from collapsing is taken out: within 240 steps all images have one projection."""
    collapse = {
        "epochs": 80,
        "optim": OptimConfig(name="adamw", lr=0.1),
        "schedule": ScheduleConfig(name="constant", warmup_fraction=0.0),
        "watch": WatchConfig(looks=20, images=32),
    }
    sizes = {"hidden_size": 32, "projection_size": 16}
    init = Byol.__init__

    def without_predictor(self: Byol, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        self.predictor = nn.Identity()  # type: ignore[assignment]

    monkeypatch.setattr(Byol, "__init__", without_predictor)
    byol = ByolConfig(**sizes, tau_base=0.0, tau_end=0.0)
    result = pretrain(PretrainConfig(**settings(flat_images, tmp_path / "bad"), **collapse, byol=byol))
    assert result.status == "collapsed"
    assert "nearly the same vector" in str(result.reason)
    saved = load_checkpoint(tmp_path / "bad" / "checkpoints" / "last.ckpt")
    assert saved["step"] == result.steps < 240


def write_set(root: Path, counts: dict[str, int]) -> None:
    """Random images of 40 pixels: so many in each class folder."""
    rng = np.random.default_rng(len(counts))
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(root / name / f"{i}.png")


def classified(data: Path, out: Path, **changes: Any) -> Any:
    common = settings(data, out) | {"start": "scratch", "epochs": 1, "min_steps": 0}
    return classify(ClassifyConfig(**(common | changes)))


def test_a_class_without_training_images_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All training files of a class are broken: the class stays among the outputs, and the result says so."""
    for side, count in (("train", 4), ("val", 2)):
        write_set(tmp_path / "data" / side, {"bog": count, "fen": count, "mire": count})
    for path in (tmp_path / "data" / "train" / "mire").iterdir():
        path.write_bytes(b"broken")
    result = classified(tmp_path / "data", tmp_path / "run")
    words = "No training image of mire, which the validation images have: it cannot be learned."
    assert result.warnings == [words]
    assert words in caplog.text
    assert len(result.classes) == 3
    for path in (tmp_path / "data" / "train" / "fen").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"all of one class \(bog\)"):
        classified(tmp_path / "data", tmp_path / "two")


def test_the_smallest_fraction_has_every_class(tmp_path: Path) -> None:
    for side in ("train", "val"):
        write_set(tmp_path / "data" / side, {"bog": 9, "fen": 3, "mire": 2})
    result = classified(tmp_path / "data", tmp_path / "run", label_fraction=0.01)
    assert (result.n_train, result.warnings) == (3, [])


def test_a_batch_of_one_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """Three labelled images in two micro-batches: batch norm over one image's single value."""
    for side in ("train", "val"):
        write_set(tmp_path / "data" / side, {"bog": 2, "fen": 1})
    with pytest.raises(DataError, match=r"Batch norm needs two images at a time.*3 training images.*--accumulate"):
        classified(tmp_path / "data", tmp_path / "run", accumulate=2, backbone="resnet18")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["verb"] == "classify"


def test_diverged_classifications_keep_their_last_checkpoint(gratings: Path, tmp_path: Path) -> None:
    """Not that of step 0, as before: what was learned until then is there to look at."""
    with pytest.raises(TrainingStopped, match="no longer"):
        classified(gratings, tmp_path / "run", epochs=9, checkpoint_steps=1, optim=OptimConfig(name="sgd", lr=1e12))
    saved = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert all(torch.isfinite(tensor).all() for tensor in saved["module"].values())
