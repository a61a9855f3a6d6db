"""The run directory: opened new, resumed or overwritten, and never mixed up with another run."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.configs.base import OutputConfig
from headstart.configs.run import RunConfig
from headstart.errors import RunError
from headstart.results import SCHEMA_VERSION
from headstart.training.runtime import machine, versions

# Settings that may differ between an interrupted run and its continuation: none of them changes a number.
FREE_ON_RESUME = {"out", "json_output", "resume", "overwrite", "strict", "workers", "checkpoint_minutes"} | {
    "checkpoint_steps",
    "devices",
}

# What a run writes before config.json: a directory with nothing else was never begun, and is as good as new.
LEFT_BEFORE_TRAINING = {"quarantine.csv", "data.json", "views.png"}


@dataclass(frozen=True)
class RunDir:
    """Paths of one run (the contract of docs/architecture.md)."""

    root: Path
    resumed: bool

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.root / "checkpoints" / "best.ckpt"

    @property
    def export(self) -> Path:
        return self.root / "export"

    @property
    def features(self) -> Path:
        return self.root / "features"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine.csv"


def open_run(config: RunConfig, verb: str) -> RunDir:
    """The directory in ``config.out``: new, or an interrupted run of the same config with ``--resume``.

    Raises RunError when the directory holds something else and neither --resume nor --overwrite was given, or when
    the settings differ from those the run was begun with.
    """
    root = config.out
    if config.overwrite and not config.resume and (root / "config.json").is_file():
        shutil.rmtree(root)
    begun = (root / "config.json").is_file()
    occupied = begun or holds_files(root)
    if occupied and not config.resume:
        raise RunError(f"{root} is not empty. Use --resume to go on, --overwrite to replace a run, or another --out.")
    if occupied and not begun:
        raise RunError(f"{root} holds no run to resume (no config.json in it). Choose another --out.")
    run = RunDir(root, resumed=begun)
    if begun:
        check_same(read_config(root), config, verb)
    else:
        root.mkdir(parents=True, exist_ok=True)
    run.checkpoint.parent.mkdir(exist_ok=True)
    return run


def holds_files(root: Path) -> bool:
    """Whether ``root`` holds any file that a run which never began training could not have left behind."""
    return any(path.is_file() and path.name not in LEFT_BEFORE_TRAINING for path in root.rglob("*"))


def write_config(root: Path, config: OutputConfig, verb: str, **facts: Any) -> None:
    """Write config.json: the resolved config with the versions and the machine that made the run."""
    record = {
        "schema_version": SCHEMA_VERSION,
        "verb": verb,
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "machine": machine(),
        **facts,
    }
    beside = root / "config.json.part"
    beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    beside.replace(root / "config.json")


def read_config(root: Path) -> dict[str, Any]:
    """config.json of a run. RunError when it is missing, unreadable, or of a newer headstart."""
    try:
        record: dict[str, Any] = json.loads((root / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{root} is not a run directory: it has no config.json.") from None
    except ValueError as error:
        raise RunError(f"{root}/config.json is damaged: {error}") from None
    if record.get("schema_version", 0) > SCHEMA_VERSION:
        raise RunError(
            f"{root} was written by a newer headstart (schema {record['schema_version']}). Upgrade to read it."
        )
    return record


def check_same(record: dict[str, Any], config: RunConfig, verb: str) -> None:
    """RunError, with every difference, unless ``config`` continues the run that ``record`` describes."""
    if record["verb"] != verb:
        raise RunError(f"{config.out} is a {record['verb']} run, not a {verb} run. Choose another --out.")
    now, then = config.model_dump(mode="json"), record["config"]
    differences = [
        f"{key}: begun with {then.get(key)!r}, now {now[key]!r}"
        for key in now
        if key not in FREE_ON_RESUME and now[key] != then.get(key)
    ]
    if differences:
        raise RunError(
            f"Cannot resume {config.out} with other settings:\n  " + "\n  ".join(differences) + "\n"
            "Resume with the settings it was begun with, or start a new run (--init-from takes over its weights)."
        )
