"""Work for the children that the harness starts."""

import time
from pathlib import Path

from benchmarks.child import Turns
from benchmarks.harness import Way


def sleeps(seconds: float, units: float = 1.0) -> Way:
    def way() -> float:
        print("what is printed must not get among the answers")
        time.sleep(seconds)
        return units

    return way


def notes(path: str, name: str) -> Way:
    """Appends its name to a file."""

    def way() -> None:
        with Path(path).open("a") as file:
            file.write(f"{name}\n")

    return way


def breaks(after: int) -> Way:
    left = iter(range(after))

    def way() -> None:
        if next(left, None) is None:
            raise RuntimeError("out of order")

    return way


def takes_turns(turns: Turns, units: float) -> None:
    while True:
        time.sleep(0.1)  # between the turns: not counted
        turns.begin()
        turns.end(units)
