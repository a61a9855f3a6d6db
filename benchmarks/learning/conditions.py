"""Under which conditions a number was made: machine, versions, commit, date, load, and the seconds it took."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch

from headstart.training.runtime import machine, versions

T = TypeVar("T")

FURTHER_PACKAGES = ("scikit-learn", "lightly")
REPOSITORY = Path(__file__).parents[2]


def conditions() -> dict[str, Any]:
    """As it is now; ``load_average`` is over 1, 5 and 15 minutes."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions() | {name: version_of(name) for name in FURTHER_PACKAGES},
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def version_of(package: str) -> str | None:
    """Version of an installed package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit that is checked out, with a plus where tracked files differ from it; None outside of a repository."""
    try:
        known = git("rev-parse", "--short=10", "HEAD")
        return known + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def git(*words: str) -> str:
    """What git prints, in this repository."""
    done = subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def clocked(note: Path, work: Callable[[], T]) -> T:
    """What ``work`` returns. Its seconds are added to those in the file ``note``, an interrupted call's too."""
    before = read_json(note) if note.is_file() else {}
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        return work()
    finally:
        seconds = before.get("wall_seconds", 0.0) + time.monotonic() - began
        write_json(note, {"wall_seconds": round(seconds, 1), "load_at_start": before.get("load_at_start", load)})


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file."""
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def write_json(path: Path, content: object) -> None:
    """Write as JSON, whole or not at all (written beside, then renamed)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
