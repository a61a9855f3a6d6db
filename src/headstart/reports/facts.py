"""Everything a report says, read from the files of a run directory. Reads JSON and images, never tensors."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headstart.errors import RunError
from headstart.reports.files import Curve, Curves, Setup, optional, parse, read_curves, read_result, read_setup
from headstart.reports.object_facts import (
    FOLDER,
    ObjectFacts,
    read_object_notes,
    read_objects,
    read_objects_beside,
)
from headstart.reports.pictures import Picture, read_picture
from headstart.reports.segment_facts import MASK_BYTES, SegmentFacts, Shelf, read_segment, read_shelf
from headstart.reports.study_runs import (
    ClassIous,
    Confusion,
    best_row,
    class_ious,
    images_confused,
    pixels_confused,
    read_runs,
    rows_with_most_labels,
    runs_of,
)
from headstart.results import (
    ClassifyResult,
    DataFacts,
    MasksResult,
    PretrainedStart,
    PretrainResult,
    SegmentResult,
    StudyResult,
    TsneResult,
)

LOG = logging.getLogger(__name__)


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
class Facts:
    """All that a page is made of. Exactly one of ``study``, ``classify``, ``segment``, ``pretrains[0].result`` and, for
    the kind masks, ``objects`` is its subject. Of a study of segmentations, ``classes`` are the settings with most
    labels, and ``kept`` is the run of the best of them whose masks were kept. Beside a study, ``shelf`` are the
    segmentations and ``objects`` the automatic masks.
    """

    kind: Literal["study", "pretrain", "classify", "segment", "masks"]
    directory: str
    study: StudyResult | None = None
    classify: ClassifyResult | None = None
    classify_curves: Curves = field(default_factory=dict)
    segment: SegmentFacts | None = None
    pretrains: tuple[PretrainFacts, ...] = ()
    data: DataFacts | None = None
    samples: Picture | None = None
    tsne: tuple[TsneFacts, ...] = ()
    confusion: Confusion | None = None
    classes: tuple[ClassIous, ...] = ()
    kept: SegmentFacts | None = None
    shelf: Shelf | None = None
    objects: ObjectFacts | None = None
    object_notes: tuple[str, ...] = ()
    setup: Setup | None = None


def read_facts(run_dir: Path) -> Facts:
    """The facts of a study, a pre-training, a classification or a segmentation run in ``run_dir``.

    RunError when result.json is missing, damaged or of a newer headstart; other files may be absent.
    """
    raw, path = read_result(run_dir), run_dir / "result.json"
    shared: dict[str, Any] = {
        "directory": run_dir.resolve().name,
        "data": optional(DataFacts, run_dir / "data.json"),
        "samples": read_picture(run_dir / "samples.png"),
        "tsne": _read_tsne(run_dir),
        "setup": read_setup(run_dir),
    }
    if "rows" in raw:
        study = parse(StudyResult, raw, path)
        pretrains = tuple(_pretrain_of_study(run_dir, start) for start in study.pretrained)
        shelf = read_shelf(run_dir / "segmentation")
        own = _of_segmentations(run_dir, study) if study.task == "segment" else _of_classifiers(run_dir, study)
        own["objects"] = read_objects_beside(run_dir / FOLDER)
        own["object_notes"] = read_object_notes(run_dir / FOLDER)
        return Facts("study", study=study, pretrains=pretrains, shelf=shelf, **own, **shared)
    if raw.get("task") == "pretrain":
        pretrained = parse(PretrainResult, raw, path)
        return Facts("pretrain", pretrains=(_pretrain(run_dir, pretrained.start, ".", pretrained),), **shared)
    if raw.get("task") == "classify":
        result = parse(ClassifyResult, raw, path)
        confusion = images_confused([result], result.setting)
        curves = read_curves(run_dir / "metrics.jsonl")
        return Facts("classify", classify=result, classify_curves=curves, confusion=confusion, **shared)
    if raw.get("task") == "segment":
        segment = read_segment(run_dir, parse(SegmentResult, raw, path))
        return Facts("segment", segment=segment, confusion=segment.confusion, **shared)
    if raw.get("task") == "masks":
        return Facts("masks", objects=read_objects(run_dir, parse(MasksResult, raw, path)), **shared)
    raise RunError(
        f"{run_dir}/result.json is of the task {raw.get('task')!r}, which has no report. "
        "Name the directory of a study, a pre-training, a classification or a segmentation run, or of masks."
    )


def _of_classifiers(run_dir: Path, study: StudyResult) -> dict[str, Any]:
    row = best_row(study)
    if row is None:
        return {}
    best = runs_of(row, read_runs(run_dir, ClassifyResult))
    return {"confusion": images_confused([result for _, result in best], row.setting)}


def _of_segmentations(run_dir: Path, study: StudyResult) -> dict[str, Any]:
    row = best_row(study)
    if row is None:
        return {}
    runs = read_runs(run_dir, SegmentResult)
    best = runs_of(row, runs)
    compared = [(each, [result for _, result in runs_of(each, runs)]) for each in rows_with_most_labels(study)]
    with_masks = (read_segment(path, result, MASK_BYTES // 2) for path, result in best if result.samples)
    return {
        "confusion": pixels_confused([result for _, result in best], row.setting),
        "classes": tuple(class_ious(each, results) for each, results in compared if results),
        "kept": next((run for run in with_masks if run.samples), None),
    }


def _pretrain_of_study(run_dir: Path, start: PretrainedStart) -> PretrainFacts:
    folder = run_dir / start.run
    result = optional(PretrainResult, folder / "result.json")
    facts = _pretrain(folder, start.start, start.run, result)
    status, reason = start.status, start.reason or facts.reason
    return PretrainFacts(**{**vars(facts), "status": status, "reason": reason, "seconds": start.seconds})


def _pretrain(folder: Path, start: str, run: str, result: PretrainResult | None) -> PretrainFacts:
    setup = read_setup(folder)
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
