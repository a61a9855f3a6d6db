"""How soon the command answers: ``headstart --help`` and ``import headstart``, each in a new process.

    python -m benchmarks.start

The ratio is the time allowed over the time taken. The first is a whole process; of the second only the import is timed.
"""

import os
import subprocess
import sys
from statistics import median

from benchmarks.apart import environment
from benchmarks.harness import Row, Sample, Way, measure_here
from benchmarks.learning.conditions import REPOSITORY
from benchmarks.report import parsed, parser, publish

HELP_SECONDS, IMPORT_SECONDS = 0.5, 0.2
IMPORT = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def command(*words: str) -> Way:
    """Run Python with ``words``."""

    def way() -> None:
        output_of(*words)

    return way


def output_of(*words: str) -> str:
    """What Python prints, called with ``words``."""
    done = subprocess.run(
        [sys.executable, *words], check=True, capture_output=True, text=True, env=environment(1), cwd=REPOSITORY
    )
    return done.stdout


def import_seconds(package: str) -> float:
    """Seconds that the import takes in a new process, without the start of Python."""
    return float(output_of("-c", IMPORT.format(package)))


def limit(seconds: float, rounds: int) -> Sample:
    """A sample that took what is allowed, every time."""
    return Sample(seconds=[seconds] * rounds, units=[1.0] * rounds)


def main() -> None:
    """Measure, and write the table."""
    asked = parsed(parser(__doc__))
    found = measure_here({"help": command("-m", "headstart", "--help"), "bare": command("-c", "")}, asked.rounds)
    import_seconds("headstart")  # what the disk has to bring is there from here on
    imported = Sample(seconds=[import_seconds("headstart") for _ in range(asked.rounds)], units=[1.0] * asked.rounds)
    rows = [
        Row("headstart --help", "0.5 s", found["help"], limit(HELP_SECONDS, asked.rounds), 1.0, "s"),
        Row("import headstart", "0.2 s", imported, limit(IMPORT_SECONDS, asked.rounds), 1.0, "s"),
    ]
    notes = [f"A Python that does nothing takes {median(found['bare'].seconds):.3f} s of the first line."]
    publish("start", rows, asked, {"cores": os.cpu_count()}, notes)


if __name__ == "__main__":
    main()
