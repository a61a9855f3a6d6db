"""What the page says of a study: its table, its plots and its words, whatever it is that the study compares."""

import math
from typing import Any

from headstart.reports import figures, tables
from headstart.reports.study_rates import rates_view
from headstart.reports.words import capital, part_frozen, part_trained, percent, plural, typeset
from headstart.results import StudyResult


def study_head(study: StudyResult, spec: str) -> dict[str, Any]:
    """Title and verdict of a study of the images ``spec``. Warnings are told apart from details."""
    return {
        "title": "How much of a head start do the unlabelled images give?",
        "eyebrow": f"headstart study of {spec}: {study.backbone}, recipe {study.recipe}",
        **split_verdict(typeset(study.verdict.sentence)),
        "alerts": [typeset(warning) for warning in study.warnings],
        "details": [typeset(detail) for detail in study.verdict.details if detail not in study.warnings],
    }


def study_view(study: StudyResult) -> dict[str, Any]:
    """The table of the settings with its plots, and the label efficiency."""
    fractions = sorted({row.label_fraction for row in study.rows})
    curves = [figures.efficiency(study, trained) for trained in ("full", "frozen")]
    seeds = {len(row.seeds) for row in study.rows}
    colours = figures.start_colours([figures.start_of(row) for row in study.rows])
    named = dict.fromkeys(figures.start_of(row) for row in study.rows)
    target = next((r.mean for r in study.rows if (r.setting, r.label_fraction) == (figures.BASELINE, 1.0)), None)
    one = "one seed, and so without an interval" if seeds == {1} else "the 95 % interval over the seeds"
    return {
        "task": study.task,
        "metric": study.metric_words,
        "metric_title": capital(study.metric_words),
        "part_trained": part_trained(study.task),
        "part_frozen": part_frozen(study.task),
        "n_val": study.n_val,
        "left_out": study.left_out,
        "seeds_note": one,
        "intervals": any(row.ci95 is not None for row in study.rows),
        "sampling_note": _sampling_note(study),
        "groups": tables.setting_groups(study),
        "rates": rates_view(study),
        "dots": [figures.study_dots(study, fraction) for fraction in fractions],
        "starts": [tables.Pair(start, colours[start]) for start in named],
        "efficiency": [curve for curve in curves if curve is not None],
        "target": percent(target) if target is not None else "",
        "savings": tables.saving_sentences([s for s in study.label_savings if s.setting != figures.BASELINE]),
    }


def split_verdict(text: str) -> dict[str, str]:
    """The first sentence, which is set large, and the rest."""
    first, stop, rest = text.partition(". ")
    return {"verdict": first + stop.strip(), "verdict_rest": rest}


def _sampling_note(study: StudyResult) -> str:
    """How far a share measured on n images may be off by the choice of images: of an accuracy, a binomial interval."""
    alike = "Differences suffer less, since all settings meet the same images."
    if study.metric != "accuracy":
        return f"these intervals do not say how much. {alike}"
    best = max((row.mean for row in study.rows), default=0.5)
    half = 1.96 * math.sqrt(max(best * (1 - best), 0.0) / max(study.n_val, 1)) * 100
    images = plural(study.n_val, "image")
    return (
        f"with {images}, the {study.metric_words} of {percent(best)} is uncertain by about \u00b1 {half:.1f} points "
        f"for that reason. {alike}"
    )
