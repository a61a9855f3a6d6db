"""What a run directory says of a run, in a form that can be laid beside another's."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import RunError
from headstart.models.exports import file_sha256
from headstart.training.log import read_lines
from headstart.training.rundir import read_config

Flat = dict[str, Any]
Curves = dict[tuple[str, str], dict[int, float | None]]

CLOCK = {"seconds", "images_per_second"}
ECHOES = {"start", "source", "run"}
"""Fields of a result that repeat settings which are paths."""
TOLD_BY_SETTINGS = {"spec", "description", "provenance"}
"""Fields of data.json that repeat the setting ``data``, or describe it in words."""
NAMES = ("setting", "start", "name", "label_fraction", "epoch")
"""Fields that tell the records of a list apart, whatever their place in it."""
PRETRAINED = "/runs/pretrain/"


@dataclass(frozen=True)
class RunRecord:
    """One run, by names: its settings (``optim.lr``), what they came to, versions, machine and data."""

    folder: Path
    verb: str
    settings: Flat
    versions: Flat
    machine: Flat
    data: Flat

    @property
    def result(self) -> Flat | None:
        """result.json by names, without clock readings; None while the run has not finished."""
        raw = read_json(self.folder / "result.json")
        return None if raw is None else dict(flat(raw, leave_out=CLOCK | ECHOES))

    @property
    def weights(self) -> dict[str, str]:
        """SHA-256 of each exported file of weights."""
        files = sorted((self.folder / "export").glob("*.safetensors"))
        return {f"export/{path.name}": file_sha256(path) for path in files}

    @property
    def curves(self) -> Curves:
        """Measured values by (split, name), then by the number of finished steps; None for no finite number."""
        path, curves = self.folder / "metrics.jsonl", Curves()
        try:
            for row in map(json.loads, read_lines(path)):
                value = None if row["value"] is None else float(row["value"])
                curves.setdefault((str(row["split"]), str(row["name"])), {})[int(row["step"])] = value
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error!r}): restore it, or repeat the run.") from None
        return curves


def read_record(folder: Path, study: Path | None = None) -> RunRecord:
    """The record of the run in ``folder``, which may be one of those of ``study``. RunError where that is no run."""
    raw = read_config(folder)
    parts = {name: raw.get(name) or {} for name in ("config", "resolved", "versions", "machine")}
    if not all(isinstance(part, dict) for part in parts.values()):
        raise RunError(f"{folder} is not a run directory: its config.json is not headstart's.")
    settings = dict(flat(parts["config"])) | {f"resolved.{name}": value for name, value in flat(parts["resolved"])}
    if study is not None and isinstance(settings.get("start"), str):
        settings["start"] = within(study, settings["start"])
    return RunRecord(
        folder=folder,
        verb=str(raw["verb"]),
        settings=settings,
        versions=dict(flat(parts["versions"])),
        machine=dict(flat(parts["machine"])),
        data=dict(flat(read_json(folder / "data.json") or {}, leave_out=TOLD_BY_SETTINGS)),
    )


def within(study: Path, start: str) -> str:
    """A start that the study pre-trained itself, relative to the study: the place of the study is no setting."""
    before, found, name = start.partition(PRETRAINED)
    if not (found and (study / PRETRAINED.strip("/") / name).is_dir()):
        return start
    return f"{before.partition('=')[0]}={PRETRAINED.strip('/')}/{name}"


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file. RunError where it is something else."""
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): restore it, or repeat the run.") from None
    if not isinstance(raw, dict):
        raise RunError(f"{path} does not hold a record of headstart: restore it, or repeat the run.")
    return raw


def flat(
    record: Mapping[str, Any], prefix: str = "", leave_out: frozenset[str] | set[str] = frozenset()
) -> Iterator[tuple[str, Any]]:
    """The values of nested records by dotted names; a list of plain values is one value."""
    for name, value in record.items():
        if name in leave_out:
            continue
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            value = dict(zip(labels(value), value, strict=True))
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.", leave_out)
        else:
            yield prefix + name, value


def labels(items: list[dict[str, Any]]) -> list[str]:
    """A name for each record of a list: what tells it apart, or, where that does not, its place."""
    names = [
        " ".join(str(item[key]) for key in NAMES if isinstance(item.get(key), str | int | float)) for item in items
    ]
    return names if len(set(names)) == len(names) else [str(place) for place in range(len(items))]
