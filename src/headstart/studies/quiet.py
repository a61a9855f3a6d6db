"""The trainings of a study say only what is new, and leave behind only what is of use."""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# What every run of a study would say again; how weights were loaded is said once for each start. What a task warns of
# stands in the run's result too, and is told from there, once.
REPEATED_WORDS = {
    "headstart.data": logging.WARNING,
    "headstart.tasks": logging.ERROR,
    "headstart.training": logging.WARNING,
}
WORDS_ON_WEIGHTS = {"headstart.models": logging.WARNING}


@contextmanager
def quietly(levels: Mapping[str, int]) -> Iterator[None]:
    """Let these loggers speak up from their level on only."""
    before = {name: logging.getLogger(name).level for name in levels}
    try:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def tidy(folder: Path, leftovers: Sequence[str]) -> None:
    """Delete the checkpoints of a finished run, and ``leftovers`` where its model is not one to keep."""
    for path in (folder / name for name in ("checkpoints", *leftovers)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
