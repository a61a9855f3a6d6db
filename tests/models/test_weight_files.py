"""Weights files are read as data; damaged ones and those that would run code are refused in plain words."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from headstart.errors import WeightsError
from headstart.models.weight_files import read_state, write_state

STATE = {"conv.weight": torch.arange(6.0).reshape(1, 6), "conv.bias": torch.ones(1)}


def same(state: dict[str, Tensor]) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}},
        {"model": STATE, "args": {"lr": 0.1}},
        {"model_state_dict": STATE},
        {"model": {"state_dict": STATE}},
        {"student": {"conv.weight": torch.zeros(1, 6)}, "teacher": STATE, "loss": torch.tensor(0.5)},
        {"online_network_state_dict": STATE, "target_network_state_dict": {"conv.weight": torch.zeros(1, 6)}},
        {"ema": {"module": STATE}, "state_dict": {"conv.weight": torch.zeros(1, 6)}},
        {"ema": 0.999, "state_dict": STATE},
        {"what_nobody_foresaw": STATE, "small": {"step": torch.tensor(1.0)}},
    ],
    ids=lambda content: "+".join(content),
)
@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_found_in_what_tools_write(tmp_path: Path, content: dict[str, object], legacy: bool) -> None:
    file = tmp_path / "weights.any-suffix"
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    assert same(read_state(file))


def test_safetensors_are_told_by_their_content(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "weights.pth")
    assert same(read_state(tmp_path / "weights.pth"))


class Malicious:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("kind", ["torch", "torch, protocol 4", "legacy", "pickle"])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path, kind: str) -> None:
    witness, file = tmp_path / "was-run", tmp_path / "weights.pth"
    content = {"state_dict": STATE, "extra": Malicious(witness)}
    if kind == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        protocol = 4 if "4" in kind else 2
        torch.save(content, file, pickle_protocol=protocol, _use_new_zipfile_serialization=kind != "legacy")
    with pytest.raises(WeightsError) as caught:
        read_state(file)
    assert not witness.exists()
    assert "run code" in str(caught.value)
    assert "torch.save(model.state_dict()" in str(caught.value)
    assert "weights_only" not in str(caught.value)
    if kind == "pickle":
        pickle.loads(file.read_bytes())
    else:
        torch.load(file, weights_only=False)
    assert witness.exists(), "the file of this test must be one that does run code where it is let"


def test_a_pickled_module_is_refused_with_the_class_it_asks_for(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_state(tmp_path / "whole.pt")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    file = tmp_path / "weights"
    state = {f"layer{i}.weight": torch.randn(20, 20) for i in range(10)}
    if kind == "safetensors":
        safetensors.torch.save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=kind == "zip")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match=r"damaged or cut short|it is empty|not a weights file"):
        read_state(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x00\x01\x02\x03" * 100, "not a weights file"),
        (b"\x80\x04garbage", "damaged"),
        (b"PK\x03\x04garbage", "damaged"),
    ],
)
def test_what_is_no_weights_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        read_state(tmp_path / "file")


def test_a_missing_file_and_one_without_tensors_say_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read .*none\.pth"):
        read_state(tmp_path / "none.pth")
    torch.save({"epoch": 3, "config": {"lr": 0.1}}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="no tensors"):
        read_state(tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="cannot read"):
        read_state(tmp_path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_state(tmp_path / "weights.safetensors", STATE)
    assert same(read_state(tmp_path / "weights.safetensors"))
    assert same(safetensors.torch.load_file(tmp_path / "weights.safetensors"))


KILLED_WHILE_WRITING = """
import resource, signal, sys
from pathlib import Path
import torch
from headstart.models.weight_files import write_state
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # at the limit of a file's size the process dies, as by SIGKILL
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
write_state(Path(sys.argv[1]), {"weight": torch.ones(100_000)})
"""


def test_a_kill_while_writing_leaves_no_file_of_another_name(tmp_path: Path) -> None:
    """Only ``FILE.part`` is known to be half-written, and removed or written over by the next run."""
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "weights.safetensors.part")]
    assert subprocess.run(command, check=False).returncode < 0
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors.part"]
