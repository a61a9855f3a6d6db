"""The run directory: opened new, resumed or overwritten, and never mixed up with another run."""

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.configs.base import OutputConfig
from headstart.configs.run import RunConfig
from headstart.errors import RunError
from headstart.files import make_folder, written_beside
from headstart.results import SCHEMA_VERSION, DataFacts
from headstart.training.checkpoint import previous_of
from headstart.training.runtime import machine, versions

# Settings that may differ between an interrupted run and its continuation: none of them changes a number.
FREE_ON_RESUME = {"out", "json_output", "resume", "overwrite", "strict", "workers", "checkpoint_minutes"} | {
    "file_seconds",
    "checkpoint_steps",
    "devices",
    "grad_checkpointing",
    "save_features",
    "pack_limit",
}

# What a run writes before config.json: a directory with nothing else was never begun, and is as good as new.
LEFT_BEFORE_TRAINING = {"quarantine.csv", "data.json", "views.png", "crops.png", "config.json"}


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
    def to_go_on_from(self) -> tuple[Path, ...]:
        """Checkpoints that hold all that going on needs, the newest first."""
        return self.checkpoint, previous_of(self.checkpoint), self.good

    @property
    def best(self) -> Path:
        return self.root / "checkpoints" / "best.ckpt"

    @property
    def good(self) -> Path:
        return self.root / "checkpoints" / "good.ckpt"

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
    refuse_file(root)
    if config.overwrite and (root / "config.json").is_file():
        remove_run(root, verb)
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
        make_folder(root)
    make_folder(run.checkpoint.parent)
    return run


def refuse_file(root: Path) -> None:
    """RunError when ``root`` is a file."""
    if root.exists() and not root.is_dir():
        raise RunError(f"{root} is a file; --out takes a directory.")


def remove_run(root: Path, verb: str) -> None:
    """Delete a run or a study to make room for another of the same kind. RunError when it is anything else."""
    found = read_config(root).get("verb")
    if found != verb:
        raise RunError(
            f"{root} does not hold a {verb} of headstart, so --overwrite leaves it alone. Choose another --out."
        )
    shutil.rmtree(root)


def check_data(root: Path, facts: DataFacts, source_root: Path) -> None:
    """RunError unless the data are those that the run in ``root`` began with, and ``root`` lies outside of them."""
    if root.resolve().is_relative_to(source_root.resolve()):
        raise RunError(f"--out {root} lies in the folder of images {source_root}, and would become part of them.")
    known = root / "data.json"
    if not (known.is_file() and (root / "config.json").is_file()):
        return
    then = DataFacts.model_validate_json(known.read_text(encoding="utf-8"))
    if then.fingerprint != facts.fingerprint:
        raise RunError(
            f"The images of {facts.spec} are not those that {root} began with ({then.n_train} training and "
            f"{then.n_val} validation images then, {facts.n_train} and {facts.n_val} now). Start anew with another "
            "--out, or --overwrite."
        )


def holds_files(root: Path) -> bool:
    """Whether ``root`` holds any file that a run which never began training could not have left behind."""
    return any(
        path.is_file() and path.name.removesuffix(".part") not in LEFT_BEFORE_TRAINING for path in root.rglob("*")
    )


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
    with written_beside(root / "config.json") as beside:
        beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_config(root: Path) -> dict[str, Any]:
    """config.json of a run. RunError when it is missing, unreadable, or of a newer headstart."""
    try:
        record: Any = json.loads((root / "config.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{root} is not a run directory: it has no config.json.") from None
    except (IsADirectoryError, PermissionError) as error:
        raise RunError(f"{root} is not a run directory that can be read: {error.strerror}. Check the path.") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{root}/config.json is damaged: {error}. Restore it, or choose another run.") from None
    if not _is_record(record):
        raise RunError(f"{root} is not a run directory: its config.json is not headstart's.")
    if record["schema_version"] > SCHEMA_VERSION:
        raise RunError(
            f"{root} was written by a newer headstart (schema {record['schema_version']}). Upgrade to read it."
        )
    settings: dict[str, Any] = record
    return settings


def _is_record(record: Any) -> bool:
    kinds = {"schema_version": int, "verb": str, "config": dict}
    return isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in kinds.items())


def filled_in(known: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings of an older run with the defaults of those that are newer than it, within groups, too."""
    filled = defaults | known
    for key, default in defaults.items():
        if isinstance(default, dict) and isinstance(filled[key], dict):
            filled[key] = filled_in(filled[key], default)
    return filled


def check_same(record: dict[str, Any], config: OutputConfig, verb: str, free: Collection[str] = FREE_ON_RESUME) -> None:
    """RunError, with every difference, unless ``config`` continues what ``record`` describes; ``free`` may differ."""
    if record["verb"] != verb:
        raise RunError(f"{config.out} is a {record['verb']} run, not a {verb} run. Choose another --out.")
    now = config.model_dump(mode="json")
    then = filled_in(record["config"], type(config).model_construct().model_dump(mode="json"))
    differences = [
        f"{key}: begun with {then.get(key)!r}, now {now[key]!r}"
        for key in now
        if key not in free and now[key] != then.get(key)
    ]
    if differences:
        raise RunError(
            f"Cannot go on in {config.out} with other settings:\n  " + "\n  ".join(differences) + "\n"
            "Go on with the settings it was begun with, or choose another --out (--overwrite replaces what is there)."
        )
