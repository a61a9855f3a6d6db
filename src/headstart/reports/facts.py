"""Everything a report says, read from the files of a run directory. Reads JSON and images, never tensors."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from headstart.errors import RunError
from headstart.reports.pictures import Picture, read_picture
from headstart.results import (
    SCHEMA_VERSION,
    ClassifyResult,
    DataFacts,
    PretrainedStart,
    PretrainResult,
    Record,
    StudyResult,
    StudyRow,
    TsneResult,
)

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
class PretrainFacts:
    """A pre-training run. ``result`` is None where its directory is not at hand."""

    start: str
    run: str
    status: str
    reason: str | None
    seconds: float
    result: PretrainResult | None
    curves: Curves
    sheet: Picture | None
    init_from: str | None


@dataclass(frozen=True)
class TsneFacts:
    """The t-SNE pictures of one run; ``run`` is relative to the report's directory."""

    run: str
    result: TsneResult


@dataclass(frozen=True)
class Confusion:
    """Counts (truth x prediction) of one setting, summed over its seeds."""

    setting: str
    label_fraction: float
    n_seeds: int
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Setup:
    """What config.json holds: enough to repeat the run."""

    verb: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """All that a page is made of. Exactly one of ``study``, ``classify``, ``pretrains[0].result`` is its subject."""

    kind: Literal["study", "pretrain", "classify"]
    directory: str
    study: StudyResult | None = None
    classify: ClassifyResult | None = None
    classify_curves: Curves = field(default_factory=dict)
    pretrains: tuple[PretrainFacts, ...] = ()
    data: DataFacts | None = None
    samples: Picture | None = None
    tsne: tuple[TsneFacts, ...] = ()
    confusion: Confusion | None = None
    setup: Setup | None = None


def read_facts(run_dir: Path) -> Facts:
    """The facts of a study, a pre-training or a classification run in ``run_dir``.

    RunError when result.json is missing, damaged or of a newer headstart; other files may be absent.
    """
    raw = read_result(run_dir)
    shared: dict[str, Any] = {
        "directory": run_dir.resolve().name,
        "data": optional(DataFacts, run_dir / "data.json"),
        "samples": read_picture(run_dir / "samples.png"),
        "tsne": _read_tsne(run_dir),
        "setup": _read_setup(run_dir),
    }
    if "rows" in raw:
        study = parse(StudyResult, raw, run_dir / "result.json")
        pretrains = tuple(_pretrain_of_study(run_dir, start) for start in study.pretrained)
        return Facts("study", study=study, pretrains=pretrains, confusion=_best_confusion(run_dir, study), **shared)
    if raw.get("task") == "pretrain":
        pretrained = parse(PretrainResult, raw, run_dir / "result.json")
        return Facts("pretrain", pretrains=(_pretrain(run_dir, pretrained.start, ".", pretrained),), **shared)
    if raw.get("task") == "classify":
        result = parse(ClassifyResult, raw, run_dir / "result.json")
        confusion = _confusion([result], result.setting, result.label_fraction)
        curves = read_curves(run_dir / "metrics.jsonl")
        return Facts("classify", classify=result, classify_curves=curves, confusion=confusion, **shared)
    raise RunError(
        f"{run_dir}/result.json is of the task {raw.get('task')!r}, which has no report. "
        "Name the directory of a study, a pre-training run or a classification run."
    )


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
    except (OSError, ValueError) as error:
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
        places = [".".join(str(part) for part in problem["loc"]) for problem in error.errors()[:3]]
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


def _pretrain_of_study(run_dir: Path, start: PretrainedStart) -> PretrainFacts:
    folder = run_dir / start.run
    result = optional(PretrainResult, folder / "result.json")
    facts = _pretrain(folder, start.start, start.run, result)
    status, reason = start.status, start.reason or facts.reason
    return PretrainFacts(**{**vars(facts), "status": status, "reason": reason, "seconds": start.seconds})


def _pretrain(folder: Path, start: str, run: str, result: PretrainResult | None) -> PretrainFacts:
    setup = _read_setup(folder)
    init_from = setup.config.get("init_from") if setup else None
    return PretrainFacts(
        start=start,
        run=run,
        status=result.status if result else "unknown",
        reason=result.reason if result else None,
        seconds=result.seconds if result else 0.0,
        result=result,
        curves=_with_start(read_curves(folder / "metrics.jsonl"), result),
        sheet=read_picture(folder / (Path(result.views.sheet).name if result else "views.png")),
        init_from=str(init_from) if init_from else None,
    )


def _with_start(curves: Curves, result: PretrainResult | None) -> Curves:
    """The curves with the kNN accuracy before the first step, which the log does not have."""
    knn = curves.get(("watch", "knn"))
    if knn is None or result is None or result.knn_before is None or knn.steps[0] <= 0:
        return curves
    return {**curves, ("watch", "knn"): Curve((0, *knn.steps), (result.knn_before, *knn.values))}


def _read_tsne(run_dir: Path) -> tuple[TsneFacts, ...]:
    found = []
    for path in (run_dir / "tsne.json", *sorted((run_dir / "runs").glob("**/tsne.json"))):
        result = optional(TsneResult, path)
        if result is None or not result.layouts:
            continue
        if any(len(layout.points) != len(result.labels) for layout in result.layouts):
            LOG.warning("%s is left out of the report: it has not as many labels as points", path)
            continue
        found.append(TsneFacts(path.parent.relative_to(run_dir).as_posix(), result))
    return tuple(found)


def _read_setup(folder: Path) -> Setup | None:
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict):
        return None
    parts = {name: raw.get(name) for name in ("config", "versions", "machine")}
    dicts = {name: part if isinstance(part, dict) else {} for name, part in parts.items()}
    if "headstart" in raw:
        dicts["versions"] = {"headstart": raw["headstart"], **dicts["versions"]}
    return Setup(str(raw.get("verb", "")), **dicts)


def best_row(study: StudyResult) -> StudyRow | None:
    """The setting with the highest mean at the largest share of labels."""
    largest = max((row.label_fraction for row in study.rows), default=0.0)
    rows = [row for row in study.rows if row.label_fraction == largest]
    return max(rows, key=lambda row: row.mean, default=None)


def _best_confusion(run_dir: Path, study: StudyResult) -> Confusion | None:
    row = best_row(study)
    if row is None or study.task != "classify":
        return None
    paths = sorted((run_dir / "runs").glob("*/*/labels-*/seed-*/result.json"))
    results = [result for path in paths if (result := optional(ClassifyResult, path)) is not None]
    same = [
        result
        for result in results
        if (result.trained, result.label_fraction) == (row.trained, row.label_fraction)
        and (result.start == row.start or result.start.endswith(f"/runs/pretrain/{row.start}"))
        and result.seed in row.seeds
    ]
    return _confusion(same, row.setting, row.label_fraction)


def _confusion(results: list[ClassifyResult], setting: str, label_fraction: float) -> Confusion | None:
    """Sum of the confusion matrices; None where there are none or their classes differ."""
    if not results or any(result.classes != results[0].classes for result in results):
        return None
    size = len(results[0].classes)
    if any(len(result.confusion) != size or any(len(row) != size for row in result.confusion) for result in results):
        return None
    counts = tuple(
        tuple(sum(result.confusion[truth][guess] for result in results) for guess in range(size))
        for truth in range(size)
    )
    return Confusion(setting, label_fraction, len(results), tuple(results[0].classes), counts)
