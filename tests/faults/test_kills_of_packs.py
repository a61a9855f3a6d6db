"""Packing that is killed at random moments, and done by two processes at once: a pack is there whole, or not at all."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.faults.killing import KILLS, nursery

from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.pack import build, open_pack
from headstart.data.pack.cache import LOCKS
from headstart.data.reduced import decode_as_asked, side_for
from headstart.data.sources import open_source

IMAGES, SIZE = 60, 16
SIDE = side_for(ViewsConfig(), SIZE)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images whose packing takes long enough to be killed in."""
    folder, rng = tmp_path_factory.mktemp("many"), np.random.default_rng(0)
    for i in range(IMAGES):
        coarse = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
        coarse.resize((300 + i, 200 + i)).save(folder / f"{i:03}.jpg")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def images_of(source: Path) -> ImageSet:
    return replace(open_source(str(source)).train, side=SIDE)


def assert_whole(packs: Path, source: Path, parts: int = 0) -> None:
    """One pack with every image as it decodes, and at most ``parts`` parts beside it."""
    images = images_of(source)
    (folder,) = [path for path in packs.iterdir() if path.name != LOCKS and path.suffix != ".part"]
    pack = open_pack(folder)
    assert list(pack.reasons) == ["broken.jpg"]
    for name in images.names:
        if name != "broken.jpg":
            assert np.array_equal(pack.read(name), decode_as_asked(images, source / name)), name
    assert len(list(packs.glob("*.part"))) <= parts


def test_killed_at_any_moment(source: Path, tmp_path: Path) -> None:
    """Chains of kills, each until its pack is there, until there were 30."""
    words = ["data", "pack", str(source), "--image-size", str(SIZE), "--workers", "1", "--json"]
    kills, in_the_middle, chain, draw = 0, 0, 0, random.Random(0)
    with nursery(tmp_path / "log") as nest:
        nest.run([*words, "--out", str(tmp_path / "first")])
        began = time.monotonic()
        assert nest.run([*words, "--out", str(tmp_path / "whole")]) == 0, nest.log.read_text()[-3000:]
        took = time.monotonic() - began
        while kills < KILLS:
            packs = tmp_path / f"chain-{chain}"
            there = [*words, "--out", str(packs)]
            while kills < KILLS:
                code = nest.run(there, draw.uniform(0, took))
                if code == 0:
                    break
                assert code == -signal.SIGKILL, nest.log.read_text()[-3000:]
                kills += 1
                in_the_middle += any(packs.glob("*.part")) if packs.exists() else 0
                for folder in packs.glob("*") if packs.exists() else ():
                    if folder.name != LOCKS and folder.suffix != ".part":
                        open_pack(folder)  # what has the name of a pack is one, at any moment
            assert nest.run(there) == 0, nest.log.read_text()[-3000:]
            assert_whole(packs, source)
            chain += 1
    assert in_the_middle > 3, "the kills came too early or too late to say anything"


PACK = """
import sys
from dataclasses import replace
from pathlib import Path
from headstart.data.pack import build
from headstart.data.sources import open_source
print("ready", flush=True)
sys.stdin.readline()
images = replace(open_source(sys.argv[1]).train, side=int(sys.argv[2]))
pack = build(images, Path(sys.argv[3]))
print((pack.folder / "index.bin").stat().st_mtime_ns, len(pack))
"""


def test_two_processes_at_once_and_one_killed(source: Path, tmp_path: Path) -> None:
    """Three begin together and one of them is killed: the others end with one pack between them."""
    packs = tmp_path / "packs"
    command = [sys.executable, "-c", PACK, str(source), str(SIDE), str(packs)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with contextlib.ExitStack() as stack:
        three = [stack.enter_context(subprocess.Popen(command, text=True, **pipes)) for _ in range(3)]
        for process in three:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in three:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        deadline = time.monotonic() + 60
        while not any(packs.glob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(three[0].pid, signal.SIGKILL)
        told = [process.communicate()[0].split() for process in three]
    assert [process.returncode for process in three[1:]] == [0, 0]
    assert told[1] == told[2], "packed twice"
    assert_whole(packs, source)


def test_the_same_pack_without_and_with_kills(source: Path, tmp_path: Path) -> None:
    """A pack is a function of its images: two that were made apart are equal byte for byte."""
    one, two = (build(images_of(source), tmp_path / name).folder for name in ("one", "two"))
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in two.iterdir())
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name
    assert json.loads((one / "pack.json").read_text())["complete"] is True
