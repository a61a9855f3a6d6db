"""What each section of the page says: facts turned into the words, rows and figures that the templates lay out."""

from typing import Any

from headstart.reports import class_figures, curve_figures, figures, readme, segment_tables, tables
from headstart.reports.early_words import early_word_view
from headstart.reports.facts import Facts, PretrainFacts, TsneFacts
from headstart.reports.mistakes import mistakes_of
from headstart.reports.object_page import object_head, object_view
from headstart.reports.segment_page import masks_view, segment_head, segment_view
from headstart.reports.shelf_page import shelf_view
from headstart.reports.study_page import split_verdict, study_head, study_view
from headstart.reports.view_notes import views_note
from headstart.reports.words import (
    capital,
    count,
    duration,
    number,
    part_frozen,
    part_trained,
    percent,
    plural,
    share_of_labels,
    typeset,
)
from headstart.results import ClassifyResult, MasksResult, PretrainResult, SegmentResult, StudyResult, metric_words
from headstart.training.health import COLLAPSED_STD

TITLES = {
    "segment": "The outcome",
    "outcome": "The outcome",
    "question": "The question",
    "settings": "The settings compared",
    "labels": "{metric} and the number of labels",
    "pretraining": "Pre-training",
    "features": "What the network has learned",
    "classes": "How well each class is found",
    "mistakes": "Which classes are confused",
    "masks": "Masks over the epochs",
    "shelf": "Land cover: the models side by side",
    "shelf_study": "Land cover: the starts compared",
    "objects": "Masks by Segment Anything",
    "data": "The data",
    "repeat": "How to repeat this",
    "words": "Words",
}
SECTIONS = {
    "study": ("question", "data", "settings", "labels", "pretraining", "features", "mistakes", "repeat", "words"),
    "segment study": (
        *("question", "data", "settings", "labels", "pretraining"),
        *("classes", "mistakes", "masks", "repeat", "words"),
    ),
    "pretrain": ("data", "pretraining", "repeat"),
    "classify": ("outcome", "data", "features", "mistakes", "repeat", "words"),
    "segment": ("segment", "classes", "mistakes", "masks", "data", "repeat", "words"),
    "masks": ("objects", "repeat"),
}
STATUS = {
    "finished": "finished",
    "collapsed": "stopped: the features collapsed",
    "diverged": "stopped: it diverged",
    "stopped": "stopped by the early word",
}


def page_of(facts: Facts) -> dict[str, Any]:
    """The context of the templates: one dict, whose names the sections of this kind of page use."""
    page: dict[str, Any] = {
        "sections": _sections(facts),
        "version": facts.setup.versions.get("headstart", "") if facts.setup else "",
        "provenance": readme.blocks(facts.data.provenance) if facts.data else [],
        "alerts": [],
        "study": study_view(facts.study) if facts.study else None,
        **_words(facts),
        **_pretraining(facts),
        **_features(facts),
        **_mistakes(facts),
        **_segmentation(facts),
        **_repeat(facts),
        "objects": object_view(facts.objects) if facts.objects else None,
        "object_notes": [typeset(note) for note in facts.object_notes],
    }
    if facts.study is not None:
        return page | study_head(facts.study, facts.data.spec if facts.data else "images")
    if facts.classify is not None:
        return page | _classify(facts, facts.classify)
    if facts.segment is not None:
        return page | segment_head(facts.segment.result)
    if facts.kind == "masks" and facts.objects is not None:
        return page | object_head(facts.objects.result)
    return page | _pretrain_head(facts.pretrains[0])


def _sections(facts: Facts) -> list[dict[str, str]]:
    """Name (of its template, too) and title of each section. What lies beside a study comes after what it is of."""
    study = facts.study
    names = list(SECTIONS["segment study" if study and study.task == "segment" else facts.kind])
    if facts.shelf is not None:
        parts = [("shelf", facts.shelf.models), ("shelf_study", facts.shelf.study)]
        at = names.index("repeat")
        names[at:at] = [name for name, part in parts if part]
    if study and (facts.objects or facts.object_notes):
        names.insert(names.index("repeat"), "objects")
    metric = capital(metric_words(study.metric)) if study else ""
    return [{"name": name, "title": TITLES[name].format(metric=metric)} for name in names]


def _words(facts: Facts) -> dict[str, Any]:
    """What the network is called, and which words need an explanation."""
    task = facts.study.task if facts.study else facts.kind
    kept = facts.kept.result if facts.kept else None
    backbone = facts.study.backbone if facts.study else ""
    return {
        "network": f"{kept.model} with the encoder {kept.encoder}" if kept else backbone,
        "frozen_words": f"the {part_trained(task)}; the rest of the network, the {part_frozen(task)},",
        "is_accuracy": task == "classify",
        "is_segmentation": task == "segment" or facts.shelf is not None,
    }


def _subject(facts: Facts) -> StudyResult | ClassifyResult | SegmentResult | PretrainResult | MasksResult | None:
    """The result that the page is of."""
    segment = facts.segment.result if facts.segment else None
    objects = facts.objects.result if facts.objects and facts.kind == "masks" else None
    return facts.study or facts.classify or segment or objects or facts.pretrains[0].result


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
                "word": early_word_view(run.result.early_word) if run.result and run.result.early_word else None,
                "views_note": views_note(run.result) if run.result else "",
            }
            for run in runs
        ],
        "pretrain_starts": [tables.Pair(start, colour) for start, colour in colours.items()],
        "curves": curve_figures.pretrain_curves(runs, colours),
        "has_knn": any(("watch", "knn") in run.curves for run in runs),
        "has_retrieval": any(("watch", "retrieval") in run.curves for run in runs),
        "loss_averaged": any(curve_figures.is_thinned(run.curves.get(("train", "loss"))) for run in runs),
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


def _pretrain_head(run: PretrainFacts) -> dict[str, Any]:
    result = run.result
    assert result is not None
    outcome = {
        "finished": "Pre-training finished.",
        "collapsed": "Pre-training was stopped, because the features collapsed: all images look alike to the network.",
        "diverged": "Pre-training was stopped, because its numbers diverged.",
        "stopped": "Pre-training was stopped early: after a tenth of it, going on did not look worth it.",
    }[result.status]
    details = [run.reason] if run.reason else []
    if result.knn is not None and result.knn_before is not None:
        change = f"from {percent(result.knn_before)} to {percent(result.knn)}"
        verb = "rose" if result.knn > result.knn_before else "fell" if result.knn < result.knn_before else "stayed"
        details.append(f"The kNN accuracy of the features {verb} {change}.")
    else:
        details.append("The images have no labels, so there is no kNN accuracy to tell what the features are worth.")
    if result.early_word is not None:
        word = result.early_word
        details.append(f"The early word, after step {word.step} of {word.steps}, was: {word.verdict}.")
    if result.status == "finished":
        details.append("What it is worth for a task shows in a study: headstart study --starts scratch ssl=RUN.")
    return {
        "title": f"Pre-training of {result.backbone}",
        "eyebrow": f"headstart pretrain, start {run.start}, recipe {result.recipe}",
        **split_verdict(outcome),
        "details": details,
    }


def _classify(facts: Facts, result: ClassifyResult) -> dict[str, Any]:
    labels = share_of_labels(result.label_fraction)
    what = "the classifier on the frozen backbone" if result.trained == "frozen" else "everything"
    letter = f" ({result.letter})" if result.letter else ""
    outcome = [
        tables.Pair(f"Accuracy on {count(result.n_val)} {result.judged_images}", percent(result.accuracy)),
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
        **split_verdict(
            f"{percent(result.accuracy)} of {count(result.n_val)} {result.judged_images} get their right class."
        ),
        "details": [f"Trained: {what}, with {labels} of the labels, in one run."],
        "alerts": result.warnings,
        "outcome": outcome,
        "curves": curve_figures.classify_curves(facts.classify_curves),
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
    lead = "Of the setting with the highest mean," if facts.study else "Of"
    return {"mistakes": mistakes_of(facts.confusion, lead) if facts.confusion else None}


def _segmentation(facts: Facts) -> dict[str, Any]:
    """The classes, and the masks of the run, or of the best setting's run; the models beside a study."""
    run = facts.segment or facts.kept
    study = facts.study
    colours = segment_tables.css_colours(run.result) if run else {}
    compared = segment_tables.compare_settings(facts.classes, colours, study.metric_words) if study else None
    return {
        "segment": segment_view(facts.segment) if facts.segment else None,
        "masks": masks_view(run) if run else None,
        "masks_run": run if facts.study else None,
        "comparison": compared if facts.classes else None,
        "crops": facts.segment.crops if facts.segment else None,
        "shelf": shelf_view(facts.shelf) if facts.shelf else None,
        "classes": tables.class_rows(facts.data, colours) if facts.data else [],
    }


def _repeat(facts: Facts) -> dict[str, Any]:
    setup = facts.setup
    if setup is None:
        return {"command": []}
    result = _subject(facts)
    machine = [tables.Pair("Time taken", duration(result.seconds))] if result else []
    machine += [tables.Pair(name.capitalize(), str(value)) for name, value in setup.machine.items()]
    return {
        "command": tables.command(setup),
        "timed": any(setup.config.get(name) for name in ("budget_minutes", "pretrain_minutes", "minutes")),
        "machine": machine,
        "versions": [tables.Pair(name, str(value)) for name, value in setup.versions.items()],
        "settings": tables.flat(setup.config),
    }
