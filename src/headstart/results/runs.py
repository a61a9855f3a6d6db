"""Results of single runs, and what stands beside them."""

from typing import Literal

from pydantic import Field

from headstart.results.base import SCHEMA_VERSION, Record, Trained, judged_images
from headstart.results.watch import EarlyWord


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
    """What a source held: written as data.json beside every result. The counts are of ``counted``, for each class."""

    spec: str
    kind: str
    description: str
    classes: list[str]
    train_counts: list[int]
    val_counts: list[int]
    counted: Literal["images", "pixels"] = "images"
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


CHANGES_IN_WORDS = {"left_right": "mirrored", "up_down": "upside down", "quarter_turn": "turned by a quarter"}
"""What ``Symmetry`` calls a change -> how a person is told of it."""


class Symmetry(Record):
    """Whether images look the same flipped and turned, where the views' chances were ``auto``: how often a classifier
    tells ``n_images`` changed images from those as they are (0.5: by chance), and the chances that follow. Nothing is
    ``told_apart`` where there were too few images to measure it.
    """

    n_images: int
    told_apart: dict[str, float]
    alike: float
    chances: dict[str, float]


class PretrainResult(Record):
    """Result of ``headstart pretrain``. ``knn`` is a share in [0, 1], None where there are no labels. ``early_word`` is
    None where a training had fewer than ten steps, or ended before a tenth of them.
    """

    schema_version: int = SCHEMA_VERSION
    task: Literal["pretrain"] = "pretrain"
    status: Literal["finished", "collapsed", "diverged", "stopped"]
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
    early_word: EarlyWord | None = None
    views: ViewsAudit
    symmetry: Symmetry | None = None
    weights: WeightsReport | None
    precision: str
    seconds: float
    images_per_second: float


class ClassifyResult(Record):
    """Result of ``headstart classify``: accuracies are shares in [0, 1] on ``n_val`` images.

    ``split`` says what these images are where they are not the validation images: held out of the labelled training
    images (part 1 of 5).
    """

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
    split: str = ""
    classes: list[str]
    confusion: list[list[int]]
    frozen_views: int | None
    epochs: int
    steps: int
    weights: WeightsReport | None
    precision: str
    seconds: float
    symmetry: Symmetry | None = None
    quarantined: int
    warnings: list[str] = Field(default_factory=list)

    @property
    def score(self) -> float:
        """The number that studies compare."""
        return self.accuracy

    @property
    def judged_images(self) -> str:
        """What the ``n_val`` images are: validation images, or images held out of ..."""
        return judged_images(self.n_val, self.split)


class EvaluateResult(Record):
    """Result of ``headstart evaluate`` for a classification run, on ``n`` images of ``data``."""

    schema_version: int = SCHEMA_VERSION
    task: Literal["evaluate"] = "evaluate"
    run: str
    data: str
    accuracy: float
    balanced_accuracy: float
    n: int
    classes: list[str]
    confusion: list[list[int]]
    left_out: list[str]
