"""Results of segmentation: scores under a named protocol, a run, and what was predicted."""

from typing import Literal

from pydantic import Field

from headstart.results.base import SCHEMA_VERSION, Record, Trained, judged_images
from headstart.results.runs import WeightsReport

Chosen = Literal["best", "median", "worst", "asked"]
Protocol = Literal["deepglobe6", "ignore", "per-image"]


class ClassScore(Record):
    """One class. ``iou`` and ``dice`` are shares in [0, 1], None where neither truth nor prediction has a pixel;
    ``boundary_f1`` is None where neither has a boundary. Pixels are counted as the protocol says.
    """

    name: str
    iou: float | None
    dice: float | None
    boundary_f1: float | None
    truth_pixels: int
    predicted_pixels: int


class SegmentScores(Record):
    """Predictions against the truth under one protocol (docs/reference/segmentation-metrics.md).

    ``classes`` are the scored ones, ``absent`` those of them that are left out of the means because neither truth nor
    prediction has a pixel. All numbers are shares in [0, 1], and None where nothing could be scored. ``counts`` is the
    confusion matrix over all pixels: rows are the truth, columns the prediction, the ignored class (if the palette has
    one) last; its names are ``labels``. ``boundary_px`` is the distance up to which boundaries count as met.
    """

    protocol: Protocol
    miou: float | None
    pixel_accuracy: float | None
    mean_dice: float | None
    boundary_f1: float | None
    boundary_px: int | None
    classes: list[ClassScore]
    absent: list[str]
    labels: list[str]
    counts: list[list[int]]
    n_images: int


class MaskPicture(Record):
    """The prediction for one image after an epoch; ``file`` is relative to the run, ``iou`` its mean over the classes
    present in this image (protocol ``per-image``).
    """

    epoch: int
    file: str
    iou: float | None


class MaskSample(Record):
    """A validation image whose masks over the epochs were kept. Files are relative to the run: the image, its truth,
    the predictions in the order of the epochs, and where the last of them is wrong.
    """

    name: str
    chosen: Chosen
    image: str
    truth: str
    error: str
    epochs: list[MaskPicture]


class SegmentResult(Record):
    """Result of ``headstart segment``: ``miou`` is that of ``n_val`` images under ``protocol``.

    ``split`` says what these images are where they are not the validation images, as in ``ClassifyResult``.
    """

    schema_version: int = SCHEMA_VERSION
    task: Literal["segment"] = "segment"
    setting: str
    start: str
    trained: Trained
    letter: str | None = None
    model: str
    encoder: str
    recipe: str
    label_fraction: float
    seed: int
    metric: Literal["miou"] = "miou"
    protocol: Protocol
    miou: float | None
    scores: SegmentScores
    miou_by_protocol: dict[Protocol, float | None]
    n_parameters: int
    n_train: int
    n_val: int
    split: str = ""
    classes: list[str]
    colours: list[tuple[int, int, int]]
    samples: list[MaskSample] = Field(default_factory=list)
    epochs: int
    steps: int
    weights: WeightsReport | None
    precision: str
    seconds: float
    quarantined: int
    warnings: list[str] = Field(default_factory=list)

    @property
    def score(self) -> float:
        """The number that studies compare; a run with nothing to score does not come to a result."""
        assert self.miou is not None
        return self.miou

    @property
    def judged_images(self) -> str:
        """What the ``n_val`` images are: validation images, or images held out of ..."""
        return judged_images(self.n_val, self.split)


class MiouResult(Record):
    """Result of ``headstart miou`` and, for a segmentation run, ``headstart evaluate``.

    ``refined`` are the scores of the same predictions after ``--refine``, and ``refined_by`` its method in words; None
    without it.
    """

    schema_version: int = SCHEMA_VERSION
    task: Literal["miou"] = "miou"
    predicted: str
    truth: str
    palette: str
    scores: SegmentScores
    left_out: list[str]
    refined: SegmentScores | None = None
    refined_by: str | None = None


class PredictResult(Record):
    """Result of ``headstart predict``: one output file for each input, in order."""

    schema_version: int = SCHEMA_VERSION
    task: Literal["predict"] = "predict"
    run: str
    out: str
    files: list[str]
    failed: list[str]
    pixels: int
    seconds: float


class DataCheckResult(Record):
    """Result of ``headstart data check``: what a source holds, before anyone trains.

    ``class_shares`` are shares of the counted items in train and val; ``sizes`` are the commonest (width, height) with
    their number; ``mean`` and ``std`` are of the RGB channels in [0, 1]; ``duplicates`` are groups of files with equal
    pixels, ``leaks`` those groups that lie on both sides of the split; ``quarantined`` is path -> reason.
    """

    schema_version: int = SCHEMA_VERSION
    task: Literal["data check"] = "data check"
    spec: str
    kind: str
    description: str
    classes: list[str]
    counted: Literal["images", "pixels"]
    train_shares: list[float]
    val_shares: list[float]
    n_train: int
    n_val: int
    split: str
    sizes: list[tuple[int, int, int]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    duplicates: list[list[str]]
    leaks: list[list[str]]
    quarantined: dict[str, str]
    warnings: list[str]
