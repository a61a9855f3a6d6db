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

NURSERY = Path(__file__).parent / "nursery.py"


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
