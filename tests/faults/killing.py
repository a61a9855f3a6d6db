"""Commands that are killed (SIGKILL) at random moments, and go on, until the kills are used up and the work is done."""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

NURSERY = Path(__file__).parent / "nursery.py"
KILLS = 30
MOMENTS = ("time", "seconds", "images_per_second", "pixels", "out")
"""What a file may say otherwise than the whole run's: when, how long, how much in this call of predict, where."""
OF_THE_PROCESS = ("checkpoints", "config.json", "report.html")
"""When a checkpoint was written is no result; config.json has --resume in it, and the page the seconds."""


@dataclass
class Nursery:
    """A process that has PyTorch loaded already, and forks a child for each command."""

    process: subprocess.Popen[str]
    log: Path
    lives: list[str] = field(default_factory=list)

    def run(self, words: list[str], seconds: float | None = None) -> int:
        """The exit code of ``headstart WORDS``, killed with all its processes after ``seconds``; -9 if it was."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"words": words, "log": str(self.log)}), file=self.process.stdin, flush=True)
        child = int(self.process.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        return int(self.process.stdout.readline())


@contextlib.contextmanager
def nursery(log: Path) -> Iterator[Nursery]:
    """A nursery that ends with the test."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(NURSERY)], text=True, env=environment, **pipes) as process:
        yield Nursery(process, log)
        process.terminate()


@dataclass
class Witness:
    """What was finished at some moment must be so ever after: neither changed nor made anew."""

    folder: Path
    kinds: tuple[str, ...]
    seen: dict[Path, tuple[int, str]] = field(default_factory=dict)

    def look(self) -> None:
        """Compare all that is finished with what was seen before, and remember it."""
        for kind in self.kinds:
            for path in self.folder.rglob(kind):
                now = path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()
                assert self.seen.setdefault(path, now) == now, f"{path} was finished, and made again"
        assert all(path.exists() for path in self.seen)


def kill_and_go_on(
    nursery: Nursery, words: list[str], again: list[str], kills: int, whole: float, witness: Witness, *, seed: int
) -> int:
    """Begin ``words``; kill it after a random part of the ``whole`` seconds that it takes; go on with ``again`` until
    it is done or ``kills`` are used up, then let it end. How often it was killed.
    """
    draw, done = random.Random(seed), 0
    for _ in range(kills):
        code = nursery.run(again if done else words, draw.uniform(0, whole))
        witness.look()
        if code == 0:
            return done
        assert code == -signal.SIGKILL, nursery.log.read_text()[-3000:]
        done += 1
    assert nursery.run(again) == 0, nursery.log.read_text()[-3000:]
    witness.look()
    return done


def without_moments(record: Any) -> Any:
    """JSON without what cannot be the same twice."""
    if isinstance(record, dict):
        return {key: without_moments(value) for key, value in record.items() if key not in MOMENTS}
    return [without_moments(value) for value in record] if isinstance(record, list) else record


def content(path: Path, root: Path) -> Any:
    """What must be equal of a file."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}
    if path.suffix not in (".json", ".jsonl"):
        return path.read_bytes()
    text = path.read_text().replace(str(root), "ROOT")
    return [without_moments(json.loads(line)) for line in (text.splitlines() if path.suffix == ".jsonl" else [text])]


def assert_same_files(folder: Path, whole: Path) -> None:
    """The same files with the same content, and nothing half-written."""
    ours, theirs = (
        {path.relative_to(root): path for path in root.rglob("*") if path.is_file()} for root in (folder, whole)
    )
    left = [str(path) for path in ours if ".part" in path.name or ".tmp" in path.name]
    assert not left, left
    assert ours.keys() == theirs.keys()
    for name, path in ours.items():
        if not {part for part in name.parts if part in OF_THE_PROCESS}:
            assert content(path, folder) == content(theirs[name], whole), name


def survive(nest: Nursery, folder: Path, words: list[str], again: list[str], kinds: tuple[str, ...]) -> None:
    """Chains of kills, each until its work is done, until there were ``KILLS``; each compared with a whole run."""
    whole = folder / "whole"
    nest.run([*words, "--out", str(folder / "first")])  # fills the caches of the files' contents
    began = time.monotonic()
    assert nest.run([*words, "--out", str(whole)]) == 0, nest.log.read_text()[-3000:]
    took, kills, chain = time.monotonic() - began, 0, 0
    while kills < KILLS:
        out = folder / f"chain-{chain}"
        there = ["--out", str(out)]
        kills += kill_and_go_on(
            nest, [*words, *there], [*again, *there], KILLS - kills, took, Witness(out, kinds), seed=chain
        )
        assert_same_files(out, whole)
        chain += 1
    assert kills == KILLS
