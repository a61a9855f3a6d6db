"""What the page says of the segmentations beside a study: the models side by side, and the study of their starts."""

from collections.abc import Sequence
from typing import Any

from headstart.reports import segment_tables, tables
from headstart.reports.mistakes import mistakes_of
from headstart.reports.segment_facts import Shelf
from headstart.reports.segment_page import masks_view
from headstart.reports.study_page import study_head, study_view
from headstart.reports.words import listed, percent, typeset
from headstart.results import SegmentResult, metric_words


def shelf_view(shelf: Shelf) -> dict[str, Any]:
    """The models side by side; ``study`` is None where there is no study of segmentations."""
    models, study = shelf.models, shelf.study
    stopped = [start for start in study.pretrained if start.status != "finished"] if study else []
    results = [model.result for model in models]
    titles = [f"{column.name}, {column.beneath}" for column in segment_tables.model_columns(models)]
    first = models[0] if models else None
    unknown = any(segment_tables.has_unknown(result.scores) for result in results)
    protocols = [name for name in segment_tables.PROTOCOLS if any(name in r.miou_by_protocol for r in results)]
    return {
        "lead": _lead(results, titles),
        "notes": [typeset(note) for note in shelf.notes],
        "doubts": _doubts(results),
        "unfinished": shelf.unfinished,
        "alerts": [f"{title}: {said}" for title, r in zip(titles, results, strict=True) for said in r.warnings],
        "comparison": segment_tables.compare_models(models) if models else None,
        "protocols": segment_tables.protocol_sentence(protocols, unknown),
        "absent": any(result.scores.absent for result in results),
        "data": first.data if first else None,
        "classes": tables.class_rows(first.data, segment_tables.css_colours(first.result))
        if first and first.data
        else [],
        "models": [
            {
                "title": title,
                "mistakes": mistakes_of(model.confusion, "Of") if model.confusion else None,
                "masks": masks_view(model),
            }
            for title, model in zip(titles, models, strict=True)
        ],
        "study": study_view(study) if study else None,
        "study_head": study_head(study, shelf.study_data.spec if shelf.study_data else "images") if study else {},
        "stopped": stopped,
    }


def _lead(results: Sequence[SegmentResult], titles: Sequence[str]) -> str:
    """How far the best model is before the others. Nothing to say of one model, or of different protocols."""
    if len(results) < 2 or len({result.protocol for result in results}) > 1:
        return ""
    ranked = sorted(zip(results, titles, strict=True), key=lambda model: -model[0].score)
    (best, name), others = ranked[0], ranked[1:]
    behind = [
        f"{(best.score - other.score) * 100:.1f} points more than {title} ({percent(other.miou)})"
        for other, title in others
    ]
    return (
        f"{name} has the highest {metric_words('miou', best.protocol)}: {percent(best.miou)}, {listed(behind)}. "
        "One run each, so without an interval."
    )


def _doubts(results: Sequence[SegmentResult]) -> list[str]:
    """What makes the models hard to compare."""
    differences: dict[str, set[Any]] = {
        "are scored by different protocols, and so their mean IoUs cannot be compared": {r.protocol for r in results},
        "were validated on different numbers of images": {r.n_val for r in results},
        "were trained on different numbers of images": {r.n_train for r in results},
        "know different classes": {tuple(r.classes) for r in results},
    }
    return [f"The models {words}." for words, values in differences.items() if len(values) > 1]
