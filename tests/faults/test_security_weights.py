"""Weights and checkpoints of strangers: whatever reads them runs nothing that is in them, and says so."""

import builtins
import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from tests.reports import synthetic

from headstart.analysis.tsne import tsne_run
from headstart.cli import main
from headstart.errors import HeadstartError, WeightsError
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.classifier import HEAD_FILE, read_head
from headstart.models.downloads import check_hub_files, check_url_file, download
from headstart.models.exports import read_export
from headstart.models.segmenter_files import read_segmenter
from headstart.models.weight_files import read_state
from headstart.models.weights import load_start
from headstart.training.checkpoint import load_checkpoint

RESNET = "test_resnet.r160_in1k"
HUB_FOLDER = "models--timm--test_resnet.r160_in1k"
CALLS: dict[str, Callable[[Path], tuple[Any, tuple[Any, ...]]]] = {
    "a shell command": lambda witness: (os.system, (f"touch '{witness}'",)),
    "Python code": lambda witness: (builtins.exec, (f"open({str(witness)!r}, 'w').close()",)),
    "a method": lambda witness: (Path.touch, (witness,)),
}
FORMATS = ("torch", "torch, protocol 4", "torch, before 1.6", "pickle")


class Malicious:
    """Calls something when it is unpickled."""

    def __init__(self, call: tuple[Any, tuple[Any, ...]]) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def plant(file: Path, kind: str, call: tuple[Any, tuple[Any, ...]]) -> Path:
    """A file that calls when it is unpickled; sound weights are in it, too."""
    content = {"conv1.weight": torch.zeros(2), "module": {}, "step": 1, "zz": Malicious(call)}
    file.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        protocol = 4 if "4" in kind else 2
        torch.save(content, file, pickle_protocol=protocol, _use_new_zipfile_serialization="1.6" not in kind)
    return file


def described(folder: Path, what: str, facts: dict[str, Any]) -> Path:
    """The place of an export's weights; its description is written as soon as they are there."""
    file = folder / f"{what}.safetensors"
    facts = {what: "test_resnet", "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), **facts}
    (folder / f"{what}.json").write_text(json.dumps(facts))
    return folder


def hub_cache(folder: Path, name: str, content: Path, published: str | None = None) -> None:
    """``content`` as huggingface_hub keeps a file, under the sum that it was ``published`` with."""
    root = folder / HUB_FOLDER
    blob = root / "blobs" / (published or hashlib.sha256(content.read_bytes()).hexdigest())
    link = root / "snapshots" / "0123" / name
    for made in (blob, link, root / "refs" / "main"):
        made.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content.read_bytes())
    link.symlink_to(blob)
    (root / "refs" / "main").write_text("0123")


@pytest.fixture(scope="module")
def networks() -> dict[str, Backbone]:
    return {name: build_backbone(name, 64) for name in ("test_resnet", "torchvision/resnet18")}


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of the libraries that download, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def read_by(reader: str, file: Path, caches: Path, networks: dict[str, Backbone]) -> None:
    """Have ``file`` read where ``reader`` says."""
    if reader == "a start":
        read_state(file)
    elif reader == "a checkpoint":
        load_checkpoint(file)
    elif reader in ("a backbone", "a segmenter"):
        what, read = ("backbone", read_export) if reader == "a backbone" else ("model", read_segmenter)
        read(described(file.rename(file.with_name(f"{what}.safetensors")).parent, what, {}))
    elif reader == "a head":
        read_head(file.rename(file.with_name(HEAD_FILE)).parent)
    elif reader == "torchvision's cache":
        from torchvision.models import ResNet18_Weights

        cached = caches / "torch" / "hub" / "checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name
        cached.parent.mkdir(parents=True, exist_ok=True)
        file.rename(cached)
        load_start(networks["torchvision/resnet18"], "supervised")
    else:
        hub_cache(caches / "hub", "pytorch_model.bin", file)
        load_start(networks["test_resnet"], f"supervised={RESNET}")


READERS = (
    *("a start", "a checkpoint", "a backbone", "a segmenter", "a head"),
    *("torchvision's cache", "the Hugging Face cache"),
)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_in_a_file_is_not_run(
    reader: str, kind: str, call: str, caches: Path, networks: dict[str, Backbone]
) -> None:
    witness = caches / "was-run"
    file = plant(caches / "folder" / "file", kind, CALLS[call](witness))
    with pytest.raises(HeadstartError) as caught:
        read_by(reader, file, caches, networks)
    assert not witness.exists()
    assert caught.value.exit_code == 2
    assert "weights_only=False" not in str(caught.value)
    assert "`weights_only`" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", FORMATS)
def test_the_planted_files_do_run_where_they_are_let(kind: str, call: str, tmp_path: Path) -> None:
    file = plant(tmp_path / "file", kind, CALLS[call](tmp_path / "was-run"))
    if kind == "pickle":
        pickle.loads(file.read_bytes())
    else:
        torch.load(file, weights_only=False)
    assert (tmp_path / "was-run").exists()


def test_features_with_objects_in_them_are_not_unpickled(tmp_path: Path) -> None:
    run = synthetic.write_classify(tmp_path / "run")
    (run / "features").mkdir(exist_ok=True)
    objects = np.array([Malicious(CALLS["a shell command"](tmp_path / "was-run"))], dtype=object)
    for epoch in (1, 2):
        np.savez(run / "features" / f"train_epoch_{epoch:04}.npz", features=objects, labels=objects, index=objects)
    with pytest.raises(HeadstartError, match="Object arrays cannot be loaded"):
        tsne_run(run)
    assert not (tmp_path / "was-run").exists()


def test_a_torchscript_archive_is_refused_for_what_it_is(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pt")
    with pytest.raises(WeightsError, match=r"would run code from the file \(it asks for TorchScript\)"):
        read_state(tmp_path / "script.pt")


def test_no_way_into_the_command_line_runs_a_checkpoint(
    flat_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, witness = tmp_path / "run", tmp_path / "was-run"
    words = f"--data {flat_images} --backbone test_resnet --image-size 32 --batch-size 8 --epochs 1 --workers 0"
    flags = [*words.split(), "--byol.hidden-size", "32", "--byol.projection-size", "16", "--watch.images", "32"]
    assert main(["pretrain", *flags, "--out", str(run)]) == 0
    (run / "result.json").unlink()
    ways = {
        "--resume": [*flags, "--out", str(run), "--resume"],
        "--init-from": [*flags, "--out", str(tmp_path / "from"), "--init-from", str(run)],
        "--start": [*flags, "--out", str(tmp_path / "to"), f"--start=supervised={run / 'checkpoints' / 'last.ckpt'}"],
    }
    for way, words_of_it in ways.items():
        for checkpoint in ("last.ckpt", "last-previous.ckpt", "good.ckpt", "best.ckpt"):
            plant(run / "checkpoints" / checkpoint, "torch", CALLS["a shell command"](witness))
        capsys.readouterr()
        code = main(["pretrain", *words_of_it])
        told = capsys.readouterr().err
        assert not witness.exists(), way
        expected = 0 if way == "--resume" else 2  # a run without a sound checkpoint says so and begins anew
        assert (code, "would run code" in told, "Traceback" in told) == (expected, True, False), (way, told)


def test_a_file_of_the_hub_is_held_against_its_sum(caches: Path, networks: dict[str, Backbone]) -> None:
    sound = caches / "sound.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), sound)
    hub_cache(caches / "hub", "model.safetensors", sound)
    report = load_start(networks["test_resnet"], f"supervised={RESNET}")
    assert report is not None
    assert report.share == 1
    (blob,) = (caches / "hub" / HUB_FOLDER / "blobs").iterdir()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(WeightsError, match=r"is not the file that was published .*delete it"):
        load_start(networks["test_resnet"], f"supervised={RESNET}")


def test_a_file_from_an_address_is_held_against_the_digits_in_its_name(caches: Path) -> None:
    folder = caches / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    digits = hashlib.sha256(b"weights").hexdigest()[:8]
    (folder / f"net-{digits}.pth").write_bytes(b"weights")
    (folder / "net-0badc0de.pth").write_bytes(b"weights")
    check_url_file(f"https://example.org/net-{digits}.pth")
    check_url_file("https://example.org/net-11111111.pth")  # not there: torch.hub itself checks what it fetches
    with pytest.raises(WeightsError, match=r"net-0badc0de\.pth is not the file that was published"):
        check_url_file("https://example.org/net-0badc0de.pth")
    check_hub_files("nobody/nothing")


@pytest.mark.parametrize("address", ["http://example.org/w.pth", "ftp://example.org/w.pth", "file:///etc/passwd"])
def test_only_https_is_fetched_from(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch() -> None:
        raise AssertionError("fetched")

    with pytest.raises(WeightsError, match="no HTTPS address"):
        download(fetch, "net", address)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    with pytest.raises(WeightsError, match="no HTTPS address"):
        download(fetch, "net", "https://huggingface.co/timm/net")
