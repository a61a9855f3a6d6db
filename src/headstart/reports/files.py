"""What the files of a run directory hold: its result, the records beside it, its measurements, its configuration."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from headstart.errors import RunError
from headstart.results import SCHEMA_VERSION, Record

LOG = logging.getLogger(__name__)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Curve:
    """One measurement over the optimiser steps; a value that was not finite is None."""

    steps: tuple[int, ...]
    values: tuple[float | None, ...]


Curves = Mapping[tuple[str, str], Curve]
"""Curves by (split, name), as metrics.jsonl has them."""


@dataclass(frozen=True)
class Setup:
    """What config.json holds: enough to repeat the run."""

    verb: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]


def read_result(run_dir: Path) -> dict[str, Any]:
    """result.json as a dict. RunError when it is missing, damaged or newer than this program."""
    path = run_dir / "result.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not run_dir.is_dir():
            raise RunError(f"{run_dir} is not a directory. Name the one a study or a run was written to.") from None
        begun = "The run has not finished: start it again with --resume, or a study with the same --out."
        other = "Name the directory that --out was given."
        hint = begun if (run_dir / "config.json").is_file() else other
        raise RunError(f"{run_dir} has no result.json, so there is nothing to report. {hint}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error}). Restore it, or repeat the run.") from None
    if not isinstance(raw, dict):
        raise RunError(f"{path} is not a result of headstart. Name the directory of a study or a run.")
    if isinstance(raw.get("schema_version"), int) and raw["schema_version"] > SCHEMA_VERSION:
        raise RunError(f"{path} was written by a newer headstart (schema {raw['schema_version']}). Upgrade to read it.")
    return raw


def parse(record: type[R], raw: Mapping[str, Any], path: Path) -> R:
    """``raw`` as a record. RunError naming the first fields that do not fit."""
    try:
        return record.model_validate(raw)
    except ValidationError as error:
        places = [".".join(str(part) for part in problem["loc"]) or "all of it" for problem in error.errors()[:3]]
        raise RunError(
            f"{path} does not have the form of a {record.__name__} (see {', '.join(places)}). "
            "It was changed by hand, or written by another version: repeat the run, or use that version."
        ) from None


def optional(record: type[R], path: Path) -> R | None:
    """The record in ``path``; None, with a warning where the file is there but damaged, if it cannot be had."""
    try:
        return parse(record, json.loads(path.read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RunError) as error:
        LOG.warning("%s is left out of the report: %s", path, error)
        return None


def read_curves(path: Path) -> Curves:
    """All curves of a metrics.jsonl, by (split, name). Lines that are torn or not measurements are passed over."""
    if not path.is_file():
        return {}
    gathered: dict[tuple[str, str], dict[int, float | None]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            value = float(row["value"]) if row["value"] is not None else float("nan")
            key, step = (str(row["split"]), str(row["name"])), int(row["step"])
        except (ValueError, TypeError, KeyError):
            continue
        finite = value if value - value == 0 else None
        gathered.setdefault(key, {})[step] = finite
    return {
        key: Curve(tuple(sorted(points)), tuple(points[step] for step in sorted(points)))
        for key, points in gathered.items()
    }


def read_setup(folder: Path) -> Setup | None:
    """config.json; None where it is missing or damaged."""
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    parts = {name: raw.get(name) for name in ("config", "versions", "machine")}
    dicts = {name: part if isinstance(part, dict) else {} for name, part in parts.items()}
    if "headstart" in raw:
        dicts["versions"] = {"headstart": raw["headstart"], **dicts["versions"]}
    return Setup(str(raw.get("verb", "")), **dicts)


def read_notes(path: Path) -> tuple[str, ...]:
    """The texts in a JSON list; none, with a warning, where the file is something else."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        LOG.warning("%s is left out of the report: %s", path, error)
        return ()
    if not isinstance(raw, list) or not all(isinstance(note, str) for note in raw):
        LOG.warning("%s is left out of the report: it is not a list of texts", path)
        return ()
    return tuple(note for note in raw if note.strip())
