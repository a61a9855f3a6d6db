"""Rotten checkpoints: truncated, with a flipped bit, emptied or gone, they are noticed and the one before is used."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from headstart.configs.segment import SegmentConfig
from headstart.data.loaders import Batching
from headstart.training.checkpoint import (
    DamagedCheckpointError,
    load_checkpoint,
    load_soundest,
    previous_of,
    save_checkpoint,
)
from headstart.training.fit import Fitted, Job, fit
from headstart.training.loop import Batch, Look
from headstart.training.session import begin
from headstart.training.state import TrainState

STEPS = 12


class Regression:
    """A line through points; Ctrl-C after ``stop_after`` steps."""

    def __init__(self, stop_after: int | None) -> None:
        self.stop_after = stop_after

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        if step + 1 == self.stop_after:
            raise KeyboardInterrupt
        return {}

    def at_a_tenth(self, state: TrainState) -> Look | None:
        return None

    def at_epoch_end(self, state: TrainState, epoch: int) -> Look | None:
        return None


def line() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(5, 1)


def batches_of(batching: Batching, steps: range) -> Iterator[Batch]:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        points = torch.randn(8, 5, generator=generator)
        yield [points, points.sum(1, keepdim=True)]


def train(out: Path, stop_after: int | None = None) -> Fitted:
    config = SegmentConfig(
        data="x", out=out, image_size=24, batch_size=8, epochs=STEPS // 2, precision="fp32", workers=0,
        checkpoint_steps=2, resume=stop_after is None, min_steps=0,
    )  # fmt: skip
    job = Job(line(), 16, lambda plan: Regression(stop_after), batches_of)
    return fit(begin(config, "segment", line), job)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return train(tmp_path_factory.mktemp("whole") / "run")


def interrupted(out: Path) -> Path:
    """A run that was left after step 9: last.ckpt is of step 8, the one before of step 6."""
    with pytest.raises(KeyboardInterrupt):
        train(out, stop_after=9)
    return out / "checkpoints" / "last.ckpt"


def same(first: Fitted, second: Fitted) -> bool:
    ours, theirs = first.state.module.state_dict(), second.state.module.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def damages(size: int) -> dict[str, object]:
    """15 kinds of damage to a file of ``size`` bytes: cut to a length, or with a bit flipped."""
    chosen = random.Random(0)
    cuts = {f"cut-{tenths}-tenths": size * tenths // 10 for tenths in range(10)}
    return {**cuts, "cut-1-byte": size - 1, "cut-in-checksum": size - 40} | {
        f"flip-{i}": ("flip", chosen.randrange(8 * (size - 100))) for i in range(40)
    }


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    """Of each damage to the content: never a state other than the one that was saved."""
    path, state = tmp_path / "a.ckpt", {"step": 3, "module": {"w": torch.arange(300.0)}}
    save_checkpoint(path, state)
    sound = path.read_bytes()
    assert torch.equal(load_checkpoint(path)["module"]["w"], state["module"]["w"])  # type: ignore[index]
    for name, damage in damages(len(sound)).items():
        path.write_bytes(sound)
        if isinstance(damage, int):
            path.write_bytes(sound[:damage])
        else:
            flip(path, damage[1])  # type: ignore[index]
        if name in ("cut-1-byte", "cut-in-checksum"):  # the checksum alone was cut short: the content is whole
            assert torch.equal(load_checkpoint(path)["module"]["w"], state["module"]["w"])  # type: ignore[index]
        else:
            with pytest.raises(DamagedCheckpointError, match=r"a\.ckpt"):
                load_checkpoint(path)


def test_torch_alone_would_not_have_noticed(tmp_path: Path) -> None:
    """Why there is a checksum: PyTorch reads a flipped bit of a weight as another weight."""
    path = tmp_path / "a.ckpt"
    save_checkpoint(path, {"w": torch.full((300,), 7.0)})
    flip(path, 8 * path.read_bytes().index(torch.full((2,), 7.0).numpy().tobytes()) + 6)
    assert not torch.equal(torch.load(path, weights_only=True)["w"], torch.full((300,), 7.0))
    with pytest.raises(DamagedCheckpointError, match="checksum"):
        load_checkpoint(path)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied", "gone", "other"])
def test_the_one_before_is_used_and_the_result_is_the_same(
    tmp_path: Path, whole: Fitted, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headstart")
    last = interrupted(tmp_path / "run")
    assert [load_checkpoint(path)["step"] for path in (last, previous_of(last))] == [8, 6]
    content = last.read_bytes()
    if damage == "flipped":
        flip(last, 8 * (len(content) // 2))
    elif damage == "gone":
        last.unlink()
    else:
        last.write_bytes({"truncated": content[: len(content) // 2], "emptied": b"", "other": b"no zip" * 99}[damage])
    resumed = train(tmp_path / "run")
    assert resumed.state.step == STEPS
    assert same(resumed, whole)
    assert "Resuming after step 6 of 12." in caplog.text
    assert load_checkpoint(last)["step"] == STEPS
    if damage != "gone":  # a kill between two renames leaves just that, and is nothing to warn of
        assert "The one before it is used" in caplog.text
        assert last.with_name("last.ckpt.damaged").is_file()
    steps = [row.split('"step": ')[1].split(",")[0] for row in (tmp_path / "run" / "metrics.jsonl").open()]
    assert steps.count("7") == steps.count("6")


def test_with_both_gone_bad_the_training_begins_anew(
    tmp_path: Path, whole: Fitted, caplog: pytest.LogCaptureFixture
) -> None:
    last = interrupted(tmp_path / "run")
    for path in (last, previous_of(last)):
        flip(path, 8 * 400)
    resumed = train(tmp_path / "run")
    assert same(resumed, whole)
    assert "No sound checkpoint is left" in caplog.text
    assert "begins anew" in caplog.text


def test_old_checkpoints_without_a_checksum_load(tmp_path: Path, whole: Fitted) -> None:
    """Those of version 0.1.0: plain torch.save, without ``looked``, and none kept before."""
    last = interrupted(tmp_path / "run")
    state = torch.load(last, weights_only=True)
    del state["looked"]
    torch.save(state, last)
    previous_of(last).unlink()
    assert same(train(tmp_path / "run"), whole)


def test_no_sound_one_is_an_error_that_names_all(tmp_path: Path) -> None:
    paths = [tmp_path / "a.ckpt", tmp_path / "b.ckpt"]
    for path in paths:
        path.write_bytes(b"junk")
    with pytest.raises(DamagedCheckpointError, match=r"a\.ckpt.*b\.ckpt"):
        load_soundest(paths)
