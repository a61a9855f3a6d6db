"""Disks that are full, read-only or gone: one clear error, the last checkpoint sound, nothing half-written left."""

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.analysis.features import save_features
from headstart.cli import main
from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.data.decode import check_images, quarantine
from headstart.data.imageset import ImageSet
from headstart.data.masks import read_labels
from headstart.data.pack import build, cache, readable
from headstart.data.sources import open_source
from headstart.errors import DataError, HeadstartError, MachineError
from headstart.inference.pictures import save_picture
from headstart.models.byol import Byol
from headstart.models.exports import write_described
from headstart.tasks.pretrain import pretrain
from headstart.training.checkpoint import load_checkpoint, save_checkpoint
from headstart.training.log import MetricsLog
from headstart.training.rundir import write_config

SIZE = "size=24m"


def config(data: Path, out: Path, **changes: object) -> PretrainConfig:
    settings = {"backbone": "test_resnet", "image_size": 32, "batch_size": 8, "epochs": 3, "precision": "fp32"}
    parts = {"byol": ByolConfig(hidden_size=32, projection_size=16), "watch": WatchConfig(looks=1, images=32)}
    often = {"workers": 0, "checkpoint_steps": 1}
    return PretrainConfig.model_validate({"data": str(data), "out": out, **settings, **parts, **often, **changes})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own (tmpfs, 24 MB); skipped where mounting is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", SIZE, "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (2**16, 1):
            try:
                while True:
                    file.write(b"\0" * block)
            except OSError:  # full, up to blocks of this size
                continue
    return ballast


@contextmanager
def at_step(monkeypatch: pytest.MonkeyPatch, step: int, fault: Callable[[], object]) -> Iterator[None]:
    """Let ``fault`` happen in the midst of a training's step (from 1)."""
    update, done = Byol.update_target, list[int]()

    def update_target(self: Byol, tau: float) -> None:
        update(self, tau)
        done.append(1)
        if len(done) == step:
            fault()

    with monkeypatch.context() as patch:
        patch.setattr(Byol, "update_target", update_target)
        yield


def assert_kept(run: Path, steps: int) -> None:
    assert load_checkpoint(run / "checkpoints" / "last.ckpt")["step"] >= steps
    assert not list(run.rglob("*.part"))
    assert not (run / "result.json").exists()


def weights(run: Path) -> bytes:
    return (run / "export" / "backbone.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(flat_images: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a training that nothing happened to."""
    run = tmp_path_factory.mktemp("whole") / "run"
    pretrain(config(flat_images, run))
    return weights(run)


def test_a_disk_that_fills_up_costs_nothing(
    flat_images: Path, whole: bytes, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_disk / "run"
    with at_step(monkeypatch, 5, lambda: fill(small_disk)), pytest.raises(MachineError, match="the disk is full"):
        pretrain(config(flat_images, run))
    assert_kept(run, 4)
    (small_disk / "ballast").unlink()
    pretrain(config(flat_images, run, resume=True))
    assert weights(run) == whole


def test_a_disk_that_becomes_read_only_costs_nothing(
    flat_images: Path, whole: bytes, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how},{SIZE}", str(small_disk)], check=True)

    run = small_disk / "run"
    with at_step(monkeypatch, 5, lambda: remount("ro")), pytest.raises(MachineError, match="the disk is read-only"):
        pretrain(config(flat_images, run))
    assert_kept(run, 4)
    remount("rw")
    pretrain(config(flat_images, run, resume=True))
    assert weights(run) == whole


def test_a_read_only_output_is_said_at_once(
    flat_images: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", f"remount,ro,{SIZE}", str(small_disk)], check=True)
    words = ["pretrain", "--data", str(flat_images), "--out", str(small_disk / "run"), "--backbone", "test_resnet"]
    assert main(words) == 1
    said = capsys.readouterr().err.splitlines()
    assert "the disk is read-only" in said[-1]
    assert str(small_disk / "run") in said[-1]
    assert not any("Traceback" in line for line in said)


def everything(folder: Path, images: Path) -> dict[str, Callable[[], object]]:
    """What writes each kind of file of a run."""
    backbone = {"weight": torch.zeros(1000)}
    known = open_source(str(images)).train
    return {
        "checkpoint": lambda: save_checkpoint(folder / "last.ckpt", backbone),
        "config.json": lambda: write_config(folder, config(images, folder), "pretrain"),
        "quarantine.csv": lambda: quarantine(folder / "quarantine.csv", known, {known.names[0]: "damaged"}),
        "features": lambda: save_features(folder, 1, np.zeros((9, 99)), np.zeros(9)),
        "export": lambda: write_described(folder, "backbone", backbone, {"name": "x"}),
        "picture": lambda: save_picture(np.zeros((99, 99, 3), np.uint8), folder / "a.png"),
        "metrics.jsonl": lambda: MetricsLog(folder / "metrics.jsonl", keep_until=9).write(1, 1, "train", {"loss": 1.0}),
    }


KINDS = ("checkpoint", "config.json", "quarantine.csv", "features", "export", "picture", "metrics.jsonl")


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_run_is_left_half_written_by_a_full_disk(kind: str, flat_images: Path, small_disk: Path) -> None:
    folder = small_disk / "run"
    folder.mkdir()
    write = everything(folder, flat_images)[kind]
    write()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    fill(small_disk)
    with pytest.raises(MachineError, match=r"Cannot write .*: the disk is full \(0\.0 MB free"):
        write()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_size_limit_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """As a full disk where none can be mounted: RLIMIT_FSIZE, which ``ulimit -f`` sets."""
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    try:
        with pytest.raises(MachineError, match="ulimit -f"):
            save_checkpoint(path, {"step": 2, "weight": torch.zeros(2**16)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.fixture
def own_images(flat_images: Path, tmp_path: Path) -> Path:
    """A copy of the images that a test may take away."""
    images = tmp_path / "images"
    images.mkdir()
    for path in flat_images.iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    return images


@pytest.mark.parametrize(("what", "workers"), [("the disk", 0), ("a file", 0), ("a file", 1), ("its bytes", 0)])
def test_images_that_go_while_training_end_it_and_come_back(
    own_images: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, workers: int
) -> None:
    run, away = tmp_path / "run", tmp_path / "away"
    victim = own_images / "007.png"
    content = victim.read_bytes()
    faults = {
        "the disk": lambda: own_images.rename(away),
        "a file": victim.unlink,
        "its bytes": lambda: victim.write_bytes(content[:99]),
    }
    with at_step(monkeypatch, 1, faults[what]), pytest.raises(DataError, match="It could be read when") as caught:
        pretrain(config(own_images, run, workers=workers, pack_limit=0))
    assert str(own_images) in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert_kept(run, 1)
    if what == "the disk":
        away.rename(own_images)
    victim.write_bytes(content)
    pretrain(config(own_images, run, workers=workers, resume=True, pack_limit=0))
    assert weights(run) == whole


def test_images_that_were_packed_may_go_while_training(
    own_images: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_step(monkeypatch, 1, lambda: own_images.rename(tmp_path / "away")):
        pretrain(config(own_images, tmp_path / "run"))
    assert weights(tmp_path / "run") == whole


def test_a_full_disk_costs_the_pack_and_not_the_training(
    own_images: Path, whole: bytes, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk that is full from the start, and of one that fills up while the pack is written."""
    monkeypatch.setenv("HEADSTART_PACKS", str(small_disk / "packs"))
    images = open_source(str(own_images)).train
    needed = build(images, tmp_path / "packs").facts.n_bytes
    for left, spare in ((0, cache.SPARE_BYTES), (0, -(2**40)), (needed // 2, -(2**40))):
        monkeypatch.setattr(cache, "SPARE_BYTES", spare)  # far below 0: as if others filled it after the look
        ballast = fill(small_disk)
        os.truncate(ballast, ballast.stat().st_size - left)
        assert readable(images, tmp_path / "q.csv", False, 1, limit=1).decoded is None
        assert not list(small_disk.glob("packs/*.part"))
        ballast.unlink()
    fill(small_disk)
    pretrain(config(own_images, tmp_path / "run"))
    assert weights(tmp_path / "run") == whole


def test_a_disk_that_goes_while_images_are_checked_is_not_taken_for_bad_images(
    own_images: Path, tmp_path: Path
) -> None:
    images = open_source(str(own_images)).train

    def progress(done: int, _: int) -> None:
        if done == 1:
            own_images.rename(tmp_path / "away")

    with pytest.raises(MachineError, match="went away while its images were checked"):
        check_images(images, tmp_path / "quarantine.csv", False, 1, progress=progress)
    assert not (tmp_path / "quarantine.csv").exists()


READERS: dict[str, Callable[[ImageSet, Path], object]] = {
    "images": lambda images, file: check_images(images, file, False, 2),
    "masks": lambda images, file: read_labels(images.path(0)),
}


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.EMFILE, errno.ENOMEM])
@pytest.mark.parametrize("reader", READERS)
def test_a_stale_handle_is_the_share_s_fault_and_not_the_image_s(
    flat_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reader: str
) -> None:
    """Simulated: what the kernel says of a file on a network share that went stale, and the like."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "as the system says")

    images = open_source(str(flat_images)).train
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(MachineError, match=r"Cannot read .*as the system says"):
        READERS[reader](images, tmp_path / "q.csv")
    assert not (tmp_path / "q.csv").exists()


def test_memory_that_is_short_while_an_image_is_checked_does_not_quarantine_it(
    flat_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(HeadstartError, match="not enough free memory"):
        check_images(open_source(str(flat_images)).train, tmp_path / "q.csv", False, 1)
    assert not (tmp_path / "q.csv").exists()
