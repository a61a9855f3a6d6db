"""Results of studies, and the pictures of features."""

from typing import Literal

from pydantic import Field

from headstart.results.base import SCHEMA_VERSION, Interval, Record, Trained


def metric_words(metric: str, protocol: str | None = None) -> str:
    """A metric in words, a mean IoU with the protocol that defines it: accuracy, mean IoU (protocol ignore)."""
    words = {"accuracy": "accuracy", "miou": "mean IoU"}.get(metric, metric)
    return words if protocol is None else f"{words} (protocol {protocol})"


class LearningRate(Record):
    """How the learning rate of a setting at one label fraction came about. ``chosen`` is a multiple of the recipe's
    rate, ``lr`` the rate itself.

    ``grid`` are the multiples offered, ascending; ``scores`` the mean score of each over ``n_held_out`` images in all
    that were held out of the labelled training images in ``folds`` parts: None where a training diverged, and for
    all where nothing was chosen, because the grid has one value or for the reason in ``note``. The choice took
    ``trainings``, those of them that ended ``seconds``.
    """

    grid: list[float]
    scores: list[float | None]
    chosen: float
    lr: float
    folds: int = 0
    n_held_out: int = 0
    trainings: int = 0
    seconds: float = 0.0
    note: str | None = None

    @property
    def was_chosen(self) -> bool:
        """Whether there was a choice, made by held-out scores."""
        return any(score is not None for score in self.scores)

    @property
    def at_edge(self) -> bool:
        """Whether the choice is the smallest or the largest multiple, so that a better one may lie beyond."""
        return self.was_chosen and self.chosen in (self.grid[0], self.grid[-1])


class StudyRow(Record):
    """One setting at one label fraction over all seeds. ``sd`` is the sample standard deviation;
    ``ci95`` the t-interval of the mean, None with one seed; ``values`` are in the order of ``seeds``;
    ``lr`` how the learning rate of them all came about, None in results of before rates were chosen.
    """

    setting: str
    start: str
    trained: Trained
    letter: str | None
    label_fraction: float
    n_labels: int
    metric: str
    seeds: list[int]
    values: list[float]
    mean: float
    sd: float | None
    ci95: Interval | None
    seconds: float
    lr: LearningRate | None = None


class PairedDifference(Record):
    """``setting`` minus ``baseline`` at one label fraction, paired by seed."""

    setting: str
    baseline: str
    label_fraction: float
    values: list[float]
    mean: float
    ci95: Interval | None


class LabelSaving(Record):
    """The share of the labels with which ``setting`` reaches what scratch/full reaches with all of them.

    ``status``: reached (``label_fraction`` interpolated), at_most (already reached at the smallest fraction tried),
    not_reached (``label_fraction`` is None).
    """

    setting: str
    target: float
    status: Literal["reached", "at_most", "not_reached"]
    label_fraction: float | None


class Verdict(Record):
    """The sentence, and the settings it rests on. ``winner`` is None where the intervals do not separate."""

    sentence: str
    details: list[str]
    winner: str | None
    label_fraction: float


class PretrainedStart(Record):
    """A start that was pre-trained within, or handed to, the study. ``run`` is relative to the study where inside."""

    start: str
    run: str
    status: str
    reason: str | None
    seconds: float


class StudyResult(Record):
    """Result of ``headstart study``: shares in [0, 1] of ``metric``, under ``protocol`` where the metric has one.

    ``seconds`` is the training time of all runs, of the choice of learning rates and of the pre-training done here.
    ``warnings``: pre-trainings that have seen images the study validates on, and what its runs warned of.
    """

    schema_version: int = SCHEMA_VERSION
    task: str
    backbone: str
    recipe: str
    metric: str
    protocol: str | None = None
    split: str
    n_val: int
    rows: list[StudyRow]
    differences: list[PairedDifference]
    label_savings: list[LabelSaving]
    verdict: Verdict
    pretrained: list[PretrainedStart]
    left_out: list[str]
    warnings: list[str] = Field(default_factory=list)
    seconds: float

    @property
    def metric_words(self) -> str:
        """What the numbers are: accuracy, or mean IoU (protocol ignore)."""
        return metric_words(self.metric, self.protocol)

    @property
    def rates(self) -> list[LearningRate]:
        """How the learning rates of the rows came about; none in results of before rates were chosen."""
        return [row.lr for row in self.rows if row.lr is not None]


class Layout(Record):
    """One t-SNE picture. ``points`` is (n, 2); ``knn`` (leave-one-out accuracy, k = 20) and ``silhouette``
    are of the features, not of the picture.
    """

    epoch: int
    points: list[tuple[float, float]]
    knn: float
    silhouette: float


class TsneResult(Record):
    """Result of ``headstart tsne``: layouts of the same images, each started from the one before."""

    schema_version: int = SCHEMA_VERSION
    task: Literal["tsne"] = "tsne"
    setting: str
    n_images: int
    n_total: int
    perplexity: float
    labels: list[int]
    classes: list[str]
    layouts: list[Layout]
    seconds: float
