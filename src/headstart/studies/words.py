"""The verdict's building blocks: shares, differences and settings in words. Every number comes with its unit."""

from collections.abc import Sequence

from headstart.results import PairedDifference, StudyRow

NOTHING = 1e-9
"""Differences of shares up to here are rounding errors."""

FROZEN = {
    "accuracy": "train the classifier only, the backbone frozen",
    "miou": "train the decoder only, the encoder frozen",
}
"""Metric of a row -> what is done in its frozen setting."""


def measured(difference: PairedDifference | None, over: str = "") -> str:
    """A difference in percentage points with its interval: +12.3 points (95 % interval 8.1 to 16.5, n=3 seeds)."""
    if difference is None:
        return "no common seed"
    mean = f"{'+' if difference.mean > NOTHING else ''}{points(difference.mean)} points{over}"
    n = len(difference.values)
    if difference.ci95 is None:
        return f"{mean} (one common seed, so no interval)"
    low, high = difference.ci95
    return f"{mean} (95 % interval {points(low)} to {points(high)}, n={n} seeds)"


def points(share: float) -> str:
    """A difference of shares in percentage points, to one decimal; smaller ones keep a figure, so that 0.0 is zero."""
    number = 100 * share
    if abs(share) <= NOTHING:
        return "0.0"
    return f"{number:.1f}" if abs(number) >= 0.05 else f"{number:.1g}"


def percent(share: float) -> str:
    """A share in per cent, to one decimal."""
    return f"{100 * share:.1f} %"


def label_share(fraction: float) -> str:
    """A share of the labels: whole per cents from ten up, two figures below."""
    percents = 100 * fraction
    return f"{percents:.0f} %" if percents >= 10 else f"{percents:.2g} %"


def share_words(row: StudyRow) -> str:
    """10 % of the labels, or all labels."""
    return "all labels" if row.label_fraction == 1 else f"{100 * row.label_fraction:.3g} % of the labels"


def labels_of(row: StudyRow) -> str:
    """10 % of the labels (101 images)."""
    return f"{share_words(row)} ({row.n_labels} images)"


def start_of(row: StudyRow) -> str:
    """The start's name within the study."""
    return row.setting.rpartition("/")[0] or row.start


def training_of(row: StudyRow) -> str:
    """What to train, in the imperative."""
    return "train everything" if row.trained == "full" else FROZEN.get(row.metric, FROZEN["accuracy"])


def kind_of(row: StudyRow) -> str:
    """The kind of start of a row, whose start may be written with its value or as a label."""
    return row.start.partition("=")[0].partition(" (")[0].strip()


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
