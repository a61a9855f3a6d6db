"""Weights that do not fit, or are none: refused with what, where and the remedy; the backbone stays as it was."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from headstart.errors import ConfigError, HeadstartError, WeightsError
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.exports import export_backbone
from headstart.models.weights import load_start

State = dict[str, Tensor]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("test_resnet", 32)


@pytest.fixture
def state(backbone: Backbone) -> State:
    return {key: tensor.clone() + 1 for key, tensor in backbone.network.state_dict().items()}


def of_floats(change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: {key: change(t) if t.is_floating_point() else t for key, t in state.items()}


def of_itself(state: State) -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    return content


def quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


UNFIT: dict[str, tuple[Callable[[State], Any], str]] = {
    "half the keys": (lambda s: dict(list(s.items())[1::2]), "at least 90% are needed"),
    "first half of the keys": (lambda s: dict(list(s.items())[: len(s) // 2]), "missing in the file"),
    "wrong shapes": (lambda s: {k: torch.zeros([n + 1 for n in t.shape]) for k, t in s.items()}, "at least 90%"),
    "one number each": (lambda s: {k: torch.tensor(1.0) for k in s}, "at least 90%"),
    "empty tensors": (lambda s: {k: torch.zeros(0) for k in s}, "at least 90%"),
    "names without order": (lambda s: {f"w{i}": t for i, t in enumerate(s.values())}, "unknown to the backbone"),
    "numbers as names": (lambda s: dict(enumerate(s.values())), "unknown to the backbone"),
    "reversed names": (lambda s: {k[::-1]: t for k, t in s.items()}, "at least 90%"),
    "prefix without a dot": (lambda s: {"x" + k: t for k, t in s.items()}, "at least 90%"),
    "another architecture": (lambda s: build_backbone("test_vit", 160).network.state_dict(), "at least 90%"),
    "a convnext": (lambda s: build_backbone("test_convnext", 32).network.state_dict(), "at least 90%"),
    "buffers only": (lambda s: {k: t for k, t in s.items() if "running" in k or "num" in k}, "at least 90%"),
    "NaN": (of_floats(lambda t: t * float("nan")), "NaN or infinity"),
    "infinity": (of_floats(lambda t: t / 0), "NaN or infinity"),
    "too large for float32": (of_floats(lambda t: t.double() + 1e300), "NaN or infinity"),
    "complex": (of_floats(lambda t: t.to(torch.complex64)), "at least 90%"),
    "integers": (of_floats(lambda t: t.int()), "at least 90%"),
    "sparse": (of_floats(lambda t: t.to_sparse()), "Save dense tensors"),
    "on the meta device": (of_floats(lambda t: t.to("meta")), "Save dense tensors"),
    "quantised": (of_floats(quantised), "Save dense tensors"),
    "a list": (lambda s: list(s.values()), "no tensors by name"),
    "one tensor": (lambda s: torch.zeros(3), "no tensors by name"),
    "nothing": (lambda s: None, "no tensors by name"),
    "an empty dictionary": (lambda s: {}, "no tensors by name"),
    "a dictionary of itself": (of_itself, "no tensors by name"),
    "numbers only": (lambda s: {"epoch": 3, "lr": 0.1}, "no tensors by name"),
}
FIT: dict[str, Callable[[State], Any]] = {
    "module.": lambda s: {f"module.{k}": t for k, t in s.items()},
    "a foreign prefix": lambda s: {f"a.b.c.{k}": t for k, t in s.items()},
    "within three dictionaries": lambda s: {"a": {"b": {"c": s}}},
    "half precision": of_floats(lambda t: t.bfloat16()),
    "double precision": of_floats(lambda t: t.double()),
    "float8": of_floats(lambda t: t.to(torch.float8_e4m3fn)),
    "parameters": of_floats(lambda t: torch.nn.Parameter(t)),
}


def is_unchanged(backbone: Backbone, before: State) -> bool:
    return all(torch.equal(tensor, before[key]) for key, tensor in backbone.network.state_dict().items())


@pytest.mark.parametrize("case", UNFIT)
def test_refused(tmp_path: Path, case: str, backbone: Backbone, state: State) -> None:
    before = {key: tensor.clone() for key, tensor in backbone.network.state_dict().items()}
    change, pattern = UNFIT[case]
    torch.save(change(state), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=pattern) as caught:
        load_start(backbone, f"supervised={tmp_path / 'w.pth'}")
    assert "w.pth" in str(caught.value)
    assert is_unchanged(backbone, before)


@pytest.mark.parametrize("case", FIT)
def test_odd_and_taken(tmp_path: Path, case: str, state: State) -> None:
    torch.save(FIT[case](state), tmp_path / "w.pth")
    report = load_start(build_backbone("test_resnet", 32), f"supervised={tmp_path / 'w.pth'}")
    assert report is not None
    assert report.share == 1.0


def header(dtype: str, shape: list[int], end: int) -> bytes:
    text = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


FILES = {
    "no tensors": struct.pack("<Q", 2) + b"{}",
    "beyond its end": header("F32", [100], 400),
    "unknown numbers": header("X9", [1], 4),
    "negative shape": header("F32", [-1], 4),
    "overflowing shape": header("F32", [2**62, 2**62], 4),
    "no JSON": struct.pack("<Q", 10) + b"{bad json!",
    "header larger than the file": struct.pack("<Q", 2**60) + b"{}",
    "empty": b"",
    "text": b"weights",
    "zeros": bytes(1000),
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "a gzip": b"\x1f\x8b\x08" + bytes(40),
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "a web page": b"<!DOCTYPE html><html></html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_hold_no_weights(tmp_path: Path, case: str, backbone: Backbone) -> None:
    (tmp_path / "w").write_bytes(FILES[case])
    with pytest.raises(WeightsError, match=r"/w\b"):
        load_start(backbone, f"supervised={tmp_path / 'w'}")


STARTS = ["https://x.org/w.pth", "hf-hub:a/b", "local-dir:/etc", "/dev/zero", "/nowhere/w.pth", ".", "torchvision/nope"]


@pytest.mark.parametrize("value", [*STARTS, "resnet50.no_such_tag"])
def test_starts_that_name_nothing(value: str, backbone: Backbone) -> None:
    with pytest.raises(HeadstartError) as caught:
        load_start(backbone, f"supervised={value}")
    assert caught.value.exit_code == 2


FACTS: dict[str, dict[str, Any]] = {
    "no mean": {"mean": None},
    "a word for the mean": {"mean": "abc"},
    "two channels": {"std": [1.0, 1.0]},
    "std of zero": {"std": [0.0, 0.0, 0.0]},
    "NaN in the mean": {"mean": [float("nan")] * 3},
    "another sum": {"sha256": "0" * 64},
    "no sum": {"sha256": None},
    "another backbone": {"backbone": "resnet50"},
    "a number for the backbone": {"backbone": 5},
    "a classification's": {"classes": ["cat"]},
    "begun from supervised weights": {"start": "supervised"},
}


@pytest.mark.parametrize("case", FACTS)
def test_exports_that_contradict_themselves(tmp_path: Path, case: str, backbone: Backbone) -> None:
    export_backbone(backbone, tmp_path / "export", {"start": "scratch"})
    file = tmp_path / "export" / "backbone.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | FACTS[case]))
    with pytest.raises(WeightsError, match=str(tmp_path)):
        load_start(backbone, f"ssl={tmp_path}")


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{", "{}", "[" * 100_000, "\udcff"])
def test_exports_whose_facts_are_damaged(tmp_path: Path, text: str, backbone: Backbone) -> None:
    export_backbone(backbone, tmp_path / "export", {})
    (tmp_path / "export" / "backbone.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WeightsError, match=r"backbone\.json.*export"):
        load_start(backbone, f"ssl={tmp_path}")


@pytest.mark.parametrize("start", ["", "=", "ssl", "ssl=", "scratch=1", "magic", "ssl=/nowhere", "ssl+supervised=."])
def test_starts_out_of_grammar_or_place(start: str, backbone: Backbone) -> None:
    with pytest.raises((ConfigError, WeightsError)):
        load_start(backbone, start)


def test_a_sound_safetensors_file_is_taken(tmp_path: Path, state: State) -> None:
    """The control: what the refusals above are compared with."""
    save_file(state, tmp_path / "w")
    report = load_start(build_backbone("test_resnet", 32), f"supervised={tmp_path / 'w'}")
    assert report is not None
    assert report.matched == len(state)
