"""What a pre-training found out about itself while it ran."""

from typing import Literal

from headstart.results.base import Record

EarlyVerdict = Literal["go on", "no gain so far", "stop"]


class LookFigures(Record):
    """What one look at the features found; None for what has no answer (``knn`` without labels, no finite number).

    What each is: docs/reference/pretraining-watch.md. ``knn`` and ``retrieval`` are shares in [0, 1]; the ``*_gain_se``
    are standard errors of their differences to before the first step, over the same images, so that look has none.
    """

    feature_std: float | None = None
    projection_std: float | None = None
    effective_rank: float | None = None
    alignment: float | None = None
    uniformity: float | None = None
    retrieval: float | None = None
    retrieval_gain_se: float | None = None
    knn: float | None = None
    knn_gain_se: float | None = None


class EarlyWord(Record):
    """Whether going on looked worth it after a tenth of the training, and whether that was right.

    ``measure`` is what the verdict rests on: kNN accuracy where there are labels, retrieval where there are none, over
    ``n_images``. ``verdict_without_labels`` is what the rule for no labels says of the same look. ``floors`` are kNN
    accuracies without any training: of raw pixels and of the untrained network. ``end`` is the last look, where
    there was a later one; ``held`` says whether the word was right by it.
    """

    verdict: EarlyVerdict
    sentence: str
    measure: Literal["knn", "retrieval"]
    n_images: int
    step: int
    steps: int
    before: LookFigures
    now: LookFigures
    floors: dict[str, float]
    verdict_without_labels: EarlyVerdict
    end_step: int | None = None
    end: LookFigures | None = None
    held: bool | None = None
    end_sentence: str | None = None
