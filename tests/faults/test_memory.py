"""Memory that runs out: the error says what to lower, and ``--batch-size auto`` finds what fits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from headstart.configs.classify import ClassifyConfig
from headstart.configs.optimisation import OptimConfig
from headstart.data.loaders import Batching
from headstart.errors import ConfigError, MachineError
from headstart.models.classifier import Classifier
from headstart.tasks.classify import classify
from headstart.training.memory import (
    ProcessorMemory,
    images_that_fit,
    is_out_of_memory,
    shortage_explained,
    sizes_to_try,
)

GIB = 2.0**30


class Counted:
    """A machine on which n images need ``fixed`` + n bytes."""

    def __init__(self, free: float, fixed: float = 10.0) -> None:
        self.fixed, self.space, self.now, self.tried = fixed, free, 0, list[int]()

    def step(self, images: int) -> None:
        self.now = images
        self.tried.append(images)

    def reset(self) -> None:
        self.now = 0

    def peak(self) -> float:
        return self.fixed + self.now

    def used(self) -> float:
        return self.fixed

    def free(self) -> float:
        return self.space


def config(data: Path, out: Path, **changes: object) -> ClassifyConfig:
    settings: dict[str, object] = {"backbone": "test_resnet", "image_size": 32, "precision": "fp32", "workers": 0}
    length: dict[str, object] = {"epochs": 1, "min_steps": 0, "evaluations": 1, "save_features": False}
    return ClassifyConfig.model_validate({"data": str(data), "out": out, **settings, **length, **changes})


@pytest.mark.parametrize(("free", "fits"), [(1000, 64), (80, 64), (79, 32), (20, 16), (10, 8), (3, 2), (0, 2)])
def test_the_largest_part_that_fits_is_found_without_trying_one_that_does_not(free: float, fits: int) -> None:
    machine = Counted(free)
    assert images_that_fit(64, machine.step, machine) == fits
    assert max(machine.tried) == fits


@pytest.mark.parametrize("share", [2, 3, 24, 32, 61, 64, 100, 4096])
def test_parts_divide_the_batch_and_leave_batch_norm_two_images(share: int) -> None:
    sizes = sizes_to_try(share)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == share
    assert all(share % size == 0 and size >= 2 for size in sizes)


REFUSALS: dict[str, Callable[[], object]] = {
    "torch's CPU allocator": lambda: torch.empty(10**15),
    "Python": lambda: bytearray(10**18),
    "numpy": lambda: __import__("numpy").empty(10**16),
    "an accelerator": lambda: _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")),
}


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("who", REFUSALS)
def test_the_error_names_the_setting_the_need_and_a_value(who: str, tmp_path: Path) -> None:
    meter = Counted(2 * GIB, fixed=3 * GIB)
    with (
        pytest.raises(MachineError) as caught,
        shortage_explained(config(tmp_path, tmp_path / "run"), Batching(640, 64, 2), meter),
    ):
        REFUSALS[who]()
    text = str(caught.value)
    assert "Out of memory with 32 images of 32 pixels at a time" in text
    assert "3.0 GiB in use, 2.0 GiB are free" in text
    assert "Lower --batch-size (now 64)" in text
    assert "--accumulate 4 makes that 16" in text
    if who == "an accelerator":
        assert "at least 23.0 GiB were needed (20.0 GiB beside" in text


def test_two_images_at_a_time_leave_only_the_size_to_lower(tmp_path: Path) -> None:
    shortage = shortage_explained(config(tmp_path, tmp_path / "run"), Batching(8, 8, 4), Counted(1))
    with pytest.raises(MachineError, match=r"Lower --image-size \(now 32\)"), shortage:
        raise MemoryError


def test_other_errors_are_not_taken_for_it(tmp_path: Path) -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    shortage = shortage_explained(config(tmp_path, tmp_path / "run"), Batching(8, 8), Counted(1))
    with pytest.raises(RuntimeError, match="mat1"), shortage:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_the_processor_meter_sees_what_is_taken_and_given_back() -> None:
    meter = ProcessorMemory()
    meter.reset()
    before = meter.peak()
    taken = torch.ones(2**26)  # 256 MiB
    del taken
    assert 0.9 * 2**28 < meter.peak() - before < 1.5 * 2**28
    meter.reset()
    assert meter.peak() < before + 2**27
    assert meter.free() > 0


def forward_of_at_most(images: int) -> Callable[[Classifier, Tensor], Tensor]:
    """A forward pass on an accelerator that holds so many images."""
    whole = Classifier.forward

    def forward(self: Classifier, batch: Tensor) -> Tensor:
        if self.training and len(batch) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return whole(self, batch)

    return forward


def test_auto_splits_the_batch_so_that_it_fits_and_trains_the_same(
    gratings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 images a step on a machine that holds 10: as with --accumulate 4, bit for bit, and so after a resume."""
    by_hand = classify(config(gratings, tmp_path / "hand", accumulate=4))
    monkeypatch.setattr(Classifier, "forward", forward_of_at_most(10))
    with pytest.raises(MachineError, match="--batch-size auto"):
        classify(config(gratings, tmp_path / "plain"))
    auto = config(gratings, tmp_path / "auto", batch_size="auto")
    assert (auto.batch_size, auto.accumulate) == (32, "auto")
    found = classify(auto)
    assert json.loads((tmp_path / "auto" / "config.json").read_text())["resolved"]["accumulate"] == 4
    assert (found.steps, found.confusion, found.accuracy) == (by_hand.steps, by_hand.confusion, by_hand.accuracy)
    weights = [(tmp_path / run / "export" / "backbone.safetensors").read_bytes() for run in ("hand", "auto")]
    assert weights[0] == weights[1]


def test_an_interrupted_auto_run_keeps_its_parts(
    gratings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, object] = {"batch_size": "auto", "epochs": 2, "optim": OptimConfig(lr=1e-3)}
    with monkeypatch.context() as machine:
        machine.setattr(Classifier, "forward", forward_of_at_most(10))
        whole = classify(config(gratings, tmp_path / "run", **settings))
    (tmp_path / "run" / "result.json").unlink()
    monkeypatch.setattr(Classifier, "forward", forward_of_at_most(64))
    assert classify(config(gratings, tmp_path / "run", resume=True, **settings)).confusion == whole.confusion
    resolved = json.loads((tmp_path / "run" / "config.json").read_text())["resolved"]
    assert resolved["accumulate"] == 4


def test_auto_beside_parts_is_refused(tmp_path: Path) -> None:
    from headstart.configs.flags import parse

    words = ["--data", "x", "--out", str(tmp_path), "--batch-size", "auto", "--accumulate", "4"]
    with pytest.raises(ConfigError, match="leave --accumulate 4 out"):
        parse(ClassifyConfig, words, ())


KEEPING = """
import torch
from headstart.allocator import keep_freed_memory
from headstart.training.memory import ProcessorMemory, images_that_fit

class Short(ProcessorMemory):
    def free(self):
        return 100e6

def step(images):
    print(images)
    torch.ones(images, 1_000_000)

keep_freed_memory()  # True, unless the allocator was set from outside
for _ in range(10):
    torch.ones(2, 1_000_000)
assert images_that_fit(122, step, Short()) == 2
"""


def test_memory_that_the_process_keeps_is_not_taken_for_what_it_has_anyway() -> None:
    """2, 61 and 122 images of 4 MB each: 61 would not fit into 100 MB, and must not be tried."""
    done = subprocess.run([sys.executable, "-c", KEEPING], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == {"2"}
