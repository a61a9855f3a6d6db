"""Ways that live in processes of their own: the parent's side. The child's is ``benchmarks/child.py``.

A child is started once, builds what it measures, and then works only when it has the turn; all others wait. A peer's
child runs in the peers' environment (``make peers``) with the same torch, the same threads and the same environment.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.harness import WARM_UPS, Sample, Turn, turns
from benchmarks.learning.conditions import REPOSITORY
from benchmarks.peers import interpreter, why_missing


@dataclass(frozen=True)
class Contestant:
    """A way in a process of its own.

    ``target`` is MODULE:FUNCTION: a function of ``options`` (words that JSON knows) that builds the work and returns a
    ``harness.Way``; or, where ``takes_turns``, one of (``child.Turns``, options) that asks for its turns by itself.
    ``peer`` names the package of ``peers.txt`` that it needs; it then runs in the peers' environment.
    """

    name: str
    target: str
    options: dict[str, Any] = field(default_factory=dict)
    peer: str | None = None
    takes_turns: bool = False


class Child:
    """A running contestant. ``turn`` returns None once it has failed; ``failed`` then says why."""

    def __init__(self, contestant: Contestant, threads: int, errors: IO[str]) -> None:
        self.errors, self.failed = errors, why_missing(contestant.peer) if contestant.peer else None
        self.process: subprocess.Popen[str] | None = None
        if self.failed is None:
            words = {"target": contestant.target, "options": contestant.options, "threads": threads}
            self.process = subprocess.Popen(
                [
                    str(interpreter()) if contestant.peer else sys.executable,
                    *("-m", "benchmarks.child", json.dumps(words | {"takes_turns": contestant.takes_turns})),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(threads),
                cwd=REPOSITORY,
            )
            self.answer()

    def turn(self) -> Turn | None:
        """Let it work once."""
        if self.process is None or self.failed:
            return None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("turn\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # what it answered last, or its errors, say why
        told = self.answer()
        return None if told is None else Turn(**told)

    def answer(self) -> dict[str, Any] | None:
        """What it says next; None, and ``failed`` set, where it ended instead."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            told: dict[str, Any] = json.loads(line)
            return told
        code = self.process.wait()
        self.errors.seek(0)
        last = [words.strip() for words in self.errors.read().splitlines() if words.strip()]
        self.failed = last[-1] if last else f"ended with exit code {code}"
        return None

    def end(self) -> None:
        """Close its input, which ends it; and wait, ten seconds at most."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                continue
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment(threads: int) -> dict[str, str]:
    """This process's, with the repository to import from and the number of threads."""
    path = [str(REPOSITORY), str(REPOSITORY / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": str(threads)}


def measure_apart(
    contestants: Sequence[Contestant], rounds: int, threads: int = 2, warm_ups: int = WARM_UPS
) -> dict[str, Sample]:
    """``rounds`` turns of each contestant, interleaved, each in a process of its own. One that fails is left out of the
    further rounds; its sample says why. All of them are resident at once.
    """
    samples = {contestant.name: Sample() for contestant in contestants}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        children: dict[str, Child] = {}
        for number, contestant in enumerate(contestants):
            errors = stack.enter_context((folder / f"{number}.txt").open("w+", encoding="utf-8"))
            child = children[contestant.name] = Child(contestant, threads, errors)
            stack.callback(child.end)
        for counted, name in turns(children, rounds, warm_ups):
            turn = children[name].turn()
            if turn is not None and counted:
                samples[name].add(turn)
        for name, child in children.items():
            samples[name].failed = child.failed
    return samples
