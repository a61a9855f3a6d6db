"""A contestant in a process of its own (``benchmarks/apart.py``): a line to it is a turn, its answer what that took.

Standard output is kept for the answers; what the measured code prints goes to standard error.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TextIO

from benchmarks.harness import Turn, peak_mb, processor_seconds, timed


class Over(BaseException):
    """There are no more turns. No Exception, so that nothing on the way takes it for a mistake."""


class Turns:
    """For work that cannot be called again and again, such as the epochs of one training: it asks for each turn.

    ``begin`` waits for the turn and starts the clock; ``end`` stops it and reports. ``begin`` raises Over at the end.
    """

    def __init__(self, answers: TextIO) -> None:
        self.answers = answers
        self.began: tuple[float, float] | None = None

    def say(self, told: dict[str, Any]) -> None:
        """Answer the parent."""
        print(json.dumps(told), file=self.answers, flush=True)

    def waited(self) -> Iterator[None]:
        """One item for each turn."""
        for _ in sys.stdin:
            yield

    def begin(self) -> None:
        """Wait for the turn."""
        if not sys.stdin.readline():
            raise Over
        self.began = processor_seconds(), time.perf_counter()

    def end(self, units: float) -> None:
        """Report the turn, in which ``units`` were done."""
        assert self.began is not None, "end without begin"
        processor, began = self.began
        seconds = time.perf_counter() - began
        self.say(asdict(Turn(seconds, units, processor_seconds() - processor, peak_mb())))
        self.began = None


def main() -> None:
    """Build what the first word names, say that it is ready, and work at each turn."""
    asked = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, function = asked["target"].split(":")
    build = getattr(importlib.import_module(module), function)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(asked["threads"])
        torch.manual_seed(0)
    turns = Turns(answers)
    if asked["takes_turns"]:
        turns.say({"ready": True})
        build(turns, **asked["options"])
        return
    way = build(**asked["options"])
    turns.say({"ready": True})
    for _ in turns.waited():
        turns.say(asdict(timed(way)))


if __name__ == "__main__":
    with suppress(Over):
        main()
