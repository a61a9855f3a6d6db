"""What each section of the page says: facts turned into the words, rows and figures that the templates lay out."""

import math
from typing import Any

from headstart.reports import class_figures, figures, readme, tables
from headstart.reports.facts import Facts, PretrainFacts, TsneFacts
from headstart.reports.words import count, duration, metric_name, number, percent, plural, share_of_labels, typeset
from headstart.results import ClassifyResult, DataFacts, PretrainResult, StudyResult
from headstart.training.health import COLLAPSED_STD

TITLES = {
    "outcome": "The outcome",
    "question": "The question",
    "settings": "The settings compared",
    "labels": "Accuracy and the number of labels",
    "pretraining": "Pre-training",
    "features": "What the network has learned",
    "mistakes": "Which classes are confused",
    "data": "The data",
    "repeat": "How to repeat this",
    "words": "Words",
}
SECTIONS = {
    "study": ("question", "data", "settings", "labels", "pretraining", "features", "mistakes", "repeat", "words"),
    "pretrain": ("data", "pretraining", "repeat"),
    "classify": ("outcome", "data", "features", "mistakes", "repeat", "words"),
}
STATUS = {"finished": "finished", "collapsed": "stopped: the features collapsed", "diverged": "stopped: it diverged"}


def page_of(facts: Facts) -> dict[str, Any]:
    """The context of the templates: one dict, whose names the sections of this kind of page use."""
    page: dict[str, Any] = {
        "sections": [{"name": name, "title": TITLES[name]} for name in SECTIONS[facts.kind]],
        "version": facts.setup.versions.get("headstart", "") if facts.setup else "",
        "classes": tables.class_rows(facts.data) if facts.data else [],
        "provenance": readme.blocks(facts.data.provenance) if facts.data else [],
        **_pretraining(facts),
        **_features(facts),
        **_mistakes(facts),
        **_repeat(facts),
    }
    if facts.study is not None:
        return page | _study(facts.study, facts.data)
    if facts.classify is not None:
        return page | _classify(facts, facts.classify)
    return page | _pretrain_head(facts.pretrains[0])


def _study(study: StudyResult, data: DataFacts | None) -> dict[str, Any]:
    fractions = sorted({row.label_fraction for row in study.rows})
    curves = [figures.efficiency(study, trained) for trained in ("full", "frozen")]
    seeds = {len(row.seeds) for row in study.rows}
    colours = figures.start_colours([figures.start_of(row) for row in study.rows])
    named = dict.fromkeys(figures.start_of(row) for row in study.rows)
    target = next((r.mean for r in study.rows if (r.setting, r.label_fraction) == (figures.BASELINE, 1.0)), None)
    one = "one seed, and so without an interval" if seeds == {1} else "the 95 % interval over the seeds"
    return {
        "title": "How much of a head start do the unlabelled images give?",
        "eyebrow": f"headstart study of {data.spec if data else 'images'}: {study.backbone}, recipe {study.recipe}",
        **_verdict(typeset(study.verdict.sentence)),
        "details": [typeset(detail) for detail in study.verdict.details],
        "backbone": study.backbone,
        "metric": metric_name(study.metric),
        "seeds_note": one,
        "intervals": any(row.ci95 is not None for row in study.rows),
        "sampling_note": _sampling_note(study),
        "groups": tables.setting_groups(study),
        "dots": [figures.study_dots(study, fraction) for fraction in fractions],
        "starts": [tables.Pair(start, colours[start]) for start in named],
        "efficiency": [curve for curve in curves if curve is not None],
        "target": percent(target) if target is not None else "",
        "savings": tables.saving_sentences([s for s in study.label_savings if s.setting != figures.BASELINE]),
    }


def _verdict(text: str) -> dict[str, str]:
    """The first sentence, which is set large, and the rest."""
    first, stop, rest = text.partition(". ")
    return {"verdict": first + stop.strip(), "verdict_rest": rest}


def _sampling_note(study: StudyResult) -> str:
    """How far a share measured on n images may be off by the choice of images: a binomial 95 % interval."""
    best = max((row.mean for row in study.rows), default=0.5)
    half = 1.96 * math.sqrt(max(best * (1 - best), 0.0) / max(study.n_val, 1)) * 100
    return (
        f"with {plural(study.n_val, 'image')}, the {metric_name(study.metric)} of {percent(best)} is uncertain "
        f"by about \u00b1 {half:.1f} points for that reason. Differences suffer less, "
        "since all settings meet the same images."
    )


def _pretraining(facts: Facts) -> dict[str, Any]:
    runs = facts.pretrains
    study = facts.study
    known = figures.start_colours([figures.start_of(row) for row in study.rows] if study else [])
    own = figures.start_colours([run.start for run in runs]) | {"scratch": figures.COLOURS[0]}
    colours = {run.start: known.get(run.start, own[run.start]) if study else own[run.start] for run in runs}
    return {
        "pretrains": [
            {
                "facts": run,
                "status": STATUS.get(run.status, run.status),
                "pairs": tables.pretrain_pairs(run),
                "warnings": _warnings(run),
                "views_note": _views_note(run.result) if run.result else "",
            }
            for run in runs
        ],
        "pretrain_starts": [tables.Pair(start, colour) for start, colour in colours.items()],
        "curves": figures.pretrain_curves(runs, colours),
        "has_knn": any(("watch", "knn") in run.curves for run in runs),
        "loss_averaged": any(figures.is_thinned(run.curves.get(("train", "loss"))) for run in runs),
        "collapse_limit": number(COLLAPSED_STD),
    }


def _warnings(run: PretrainFacts) -> list[str]:
    if run.result is None:
        return []
    result = run.result
    found = [result.views.warning] if result.views.warning else []
    found += result.warnings
    if result.knn is not None and result.knn_before is not None and result.knn < result.knn_before:
        found.append(
            f"The kNN accuracy fell from {percent(result.knn_before)} to {percent(result.knn)}: by this reading, "
            "pre-training has made the features worse for these classes."
        )
    return list(dict.fromkeys(found))


def _views_note(result: PretrainResult) -> str:
    views = result.views
    return (
        f"{percent(views.near_constant_share)} of {count(views.n_views)} views drawn before training are nearly one "
        f"colour (standard deviation of the grey values below {number(views.threshold)} of 255), and teach nothing."
    )


def _pretrain_head(run: PretrainFacts) -> dict[str, Any]:
    result = run.result
    assert result is not None
    outcome = {
        "finished": "Pre-training finished.",
        "collapsed": "Pre-training was stopped, because the features collapsed: all images look alike to the network.",
        "diverged": "Pre-training was stopped, because its numbers diverged.",
    }[result.status]
    details = [run.reason] if run.reason else []
    if result.knn is not None and result.knn_before is not None:
        change = f"from {percent(result.knn_before)} to {percent(result.knn)}"
        verb = "rose" if result.knn > result.knn_before else "fell" if result.knn < result.knn_before else "stayed"
        details.append(f"The kNN accuracy of the features {verb} {change}.")
    else:
        details.append("The images have no labels, so there is no kNN accuracy to tell what the features are worth.")
    if result.status == "finished":
        details.append("What it is worth for a task shows in a study: headstart study --starts scratch ssl=RUN.")
    return {
        "title": f"Pre-training of {result.backbone}",
        "eyebrow": f"headstart pretrain, start {run.start}, recipe {result.recipe}",
        **_verdict(outcome),
        "details": details,
    }


def _classify(facts: Facts, result: ClassifyResult) -> dict[str, Any]:
    labels = share_of_labels(result.label_fraction)
    what = "the classifier on the frozen backbone" if result.trained == "frozen" else "everything"
    letter = f" ({result.letter})" if result.letter else ""
    outcome = [
        tables.Pair(f"Accuracy on {plural(result.n_val, 'validation image')}", percent(result.accuracy)),
        tables.Pair("Balanced accuracy (mean over the classes)", percent(result.balanced_accuracy)),
        tables.Pair("Start", result.start),
        tables.Pair("Labels used", f"{labels}: {plural(result.n_train, 'training image')}, seed {result.seed}"),
        tables.Pair("Length", f"{plural(result.epochs, 'epoch')}, {plural(result.steps, 'step')}"),
        tables.Pair("Time", duration(result.seconds)),
    ]
    if result.weights is not None:
        outcome.append(tables.Pair("Weights it began from", str(result.weights)))
    if result.trained == "frozen":
        copies = plural(result.frozen_views, "altered copy", "altered copies") if result.frozen_views else ""
        outcome.append(tables.Pair("Features trained on", (copies and f"{copies} of each image") or "the plain images"))
    return {
        "title": f"Classification with {result.backbone}",
        "eyebrow": f"headstart classify, setting {result.setting}{letter}, recipe {result.recipe}",
        **_verdict(f"{percent(result.accuracy)} of {plural(result.n_val, 'validation image')} get their right class."),
        "details": [f"Trained: {what}, with {labels} of the labels, in one run."],
        "outcome": outcome,
        "curves": figures.classify_curves(facts.classify_curves),
    }


def _features(facts: Facts) -> dict[str, Any]:
    return {"tsne": [_tsne(f"tsne-{i}", found) for i, found in enumerate(facts.tsne)]}


def _tsne(group: str, found: TsneFacts) -> dict[str, Any]:
    result = found.result
    shown = class_figures.shown_points(result)
    marks = class_figures.class_marks(result, shown)
    largest = max(result.labels.count(label) for label in marks) / len(result.labels)
    drawn = "" if len(shown) == result.n_images else f", of which {count(len(shown))} are drawn"
    where = "" if found.run == "." else f" Run {found.run}."
    note = (
        f"{count(result.n_images)} of {count(result.n_total)} training images{drawn}; the largest class holds "
        f"{percent(largest)} of them. Perplexity {result.perplexity:g}.{where}"
    )
    pictures = [
        {
            "figure": class_figures.tsne_figure(group, result, picture, marks, shown),
            "knn": percent(picture.knn),
            "silhouette": f"{picture.silhouette:.2f}".replace("-", "\u2212"),
        }
        for picture in result.layouts
    ]
    return {
        "group": group,
        "heading": result.setting,
        "note": note,
        "pictures": pictures,
        "marks": list(marks.values()),
    }


def _mistakes(facts: Facts) -> dict[str, Any]:
    confusion = facts.confusion
    if confusion is None:
        return {"confusion": None}
    runs = "one run" if confusion.n_seeds == 1 else f"{confusion.n_seeds} runs, their counts added up"
    which = "Of the setting with the highest mean, " if facts.study else "Of "
    note = f"{which}{confusion.setting} with {share_of_labels(confusion.label_fraction)} of the labels: {runs}."
    is_large = len(confusion.classes) > class_figures.MOST_NUMBERED
    mistakes = [
        {"truth": truth, "given": given, "n": n, "total": total, "share": percent(n / total, 0)}
        for truth, given, n, total in class_figures.worst_confusions(confusion)
    ]
    return {
        "confusion": class_figures.confusion_figure(confusion),
        "confusion_note": note,
        "confusion_most": percent(class_figures.largest_share(confusion)) if is_large else "",
        "mistakes": mistakes,
    }


def _repeat(facts: Facts) -> dict[str, Any]:
    setup = facts.setup
    if setup is None:
        return {"command": []}
    result = facts.study or facts.classify or facts.pretrains[0].result
    machine = [tables.Pair("Time taken", duration(result.seconds))] if result else []
    machine += [tables.Pair(name.capitalize(), str(value)) for name, value in setup.machine.items()]
    return {
        "command": tables.command(setup),
        "timed": any(setup.config.get(name) for name in ("budget_minutes", "pretrain_minutes", "minutes")),
        "machine": machine,
        "versions": [tables.Pair(name, str(value)) for name, value in setup.versions.items()],
        "settings": tables.flat(setup.config),
    }
