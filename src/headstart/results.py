"""What a run hands back: the schema of result.json and of the small files beside it.

Every model here is plain data (pydantic, no torch). ``schema_version`` rises when a field changes its meaning.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Interval = tuple[float, float]
Trained = Literal["full", "frozen"]


class Record(BaseModel):
    """Base of all result records: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all (written beside, then renamed)."""
        beside = path.with_name(path.name + ".part")
        beside.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        beside.replace(path)


class WeightsReport(Record):
    """How a set of weights fitted a backbone. Counts are tensors; ``share`` is of the backbone's parameters."""

    source: str
    matched: int
    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]
    share: float

    def __str__(self) -> str:
        return (
            f"{self.source}: {self.matched} tensors matched ({self.share:.1%} of the parameters), "
            f"{len(self.missing)} missing, {len(self.unexpected)} unexpected, {len(self.reshaped)} reshaped"
        )


class DataFacts(Record):
    """What a source held: written as data.json beside every result."""

    spec: str
    kind: str
    description: str
    classes: list[str]
    train_counts: list[int]
    val_counts: list[int]
    n_train: int
    n_val: int
    n_unlabelled: int
    quarantined: int
    split: str
    provenance: str = ""
    fingerprint: str = ""


class ViewsAudit(Record):
    """What the augmentation made of a sample of images (before training)."""

    n_views: int
    near_constant_share: float
    threshold: float
    warning: str | None
    sheet: str


class PretrainResult(Record):
    """Result of ``headstart pretrain``. ``knn`` is a share in [0, 1], None where there are no labels."""

    schema_version: int = SCHEMA_VERSION
    task: Literal["pretrain"] = "pretrain"
    status: Literal["finished", "collapsed", "diverged"]
    reason: str | None = None
    warnings: list[str] = Field(default_factory=list)
    backbone: str
    start: str
    recipe: str
    feature_size: int
    image_size: int
    n_images: int
    quarantined: int
    epochs: int
    steps: int
    batch_size: int
    loss_first: float | None
    loss_last: float | None
    feature_std: float | None
    effective_rank: float | None
    knn: float | None
    knn_before: float | None
    views: ViewsAudit
    weights: WeightsReport | None
    precision: str
    seconds: float
    images_per_second: float


class ClassifyResult(Record):
    """Result of ``headstart classify``: accuracies are shares in [0, 1] on ``n_val`` validation images."""

    schema_version: int = SCHEMA_VERSION
    task: Literal["classify"] = "classify"
    setting: str
    start: str
    trained: Trained
    letter: str | None
    backbone: str
    recipe: str
    label_fraction: float
    seed: int
    metric: Literal["accuracy"] = "accuracy"
    accuracy: float
    balanced_accuracy: float
    n_train: int
    n_val: int
    classes: list[str]
    confusion: list[list[int]]
    frozen_views: int | None
    epochs: int
    steps: int
    weights: WeightsReport | None
    precision: str
    seconds: float
    quarantined: int


class StudyRow(Record):
    """One setting at one label fraction over all seeds. ``sd`` is the sample standard deviation;
    ``ci95`` the t-interval of the mean, None with one seed; ``values`` are in the order of ``seeds``.
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
    """Result of ``headstart study``."""

    schema_version: int = SCHEMA_VERSION
    task: str
    backbone: str
    recipe: str
    metric: str
    split: str
    n_val: int
    rows: list[StudyRow]
    differences: list[PairedDifference]
    label_savings: list[LabelSaving]
    verdict: Verdict
    pretrained: list[PretrainedStart]
    left_out: list[str]
    seconds: float


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
