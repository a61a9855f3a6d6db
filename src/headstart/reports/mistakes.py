"""Which classes are confused: a confusion matrix as a figure, a list and words."""

from dataclasses import dataclass

from headstart.reports import class_figures
from headstart.reports.figures import Figure
from headstart.reports.study_runs import Confusion
from headstart.reports.words import percent, share_of_labels, short_count


@dataclass(frozen=True)
class Mistake:
    """One class taken for another; ``share`` says how often, of how many."""

    truth: str
    given: str
    share: str


@dataclass(frozen=True)
class Mistakes:
    """What the section shows. ``most`` is the share that the strongest colour stands for, where that is not all."""

    figure: Figure
    note: str
    mistakes: list[Mistake]
    counted: str
    most: str
    unscored: str


def mistakes_of(confusion: Confusion, lead: str) -> Mistakes:
    """``lead`` begins the sentence that says what the matrix is of."""
    runs = "one run" if confusion.n_seeds == 1 else f"{confusion.n_seeds} runs, their counts added up"
    labels = share_of_labels(confusion.label_fraction)
    is_large = len(confusion.classes) > class_figures.MOST_NUMBERED
    return Mistakes(
        figure=class_figures.confusion_figure(confusion),
        note=f"{lead} {confusion.setting} with {labels} of the labels: {runs}.",
        mistakes=[
            Mistake(truth, given, _share(confusion, n, total))
            for truth, given, n, total in class_figures.worst_confusions(confusion)
        ],
        counted=confusion.counted,
        most=percent(class_figures.largest_share(confusion)) if is_large else "",
        unscored=confusion.ignored or "",
    )


def _share(confusion: Confusion, n: int, total: int) -> str:
    if confusion.counted == "images":
        return f"{n} of {total} ({percent(n / total, 0)})"
    return f"{percent(n / total)} ({short_count(n)} of {short_count(total)} pixels)"
