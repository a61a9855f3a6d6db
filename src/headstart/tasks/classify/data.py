"""The labelled images that classifiers are trained and judged on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.configs.run import HELD_OUT_PARTS
from headstart.configs.study import StudyConfig
from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.reduced import side_for
from headstart.data.sources import Source, data_facts, labelled_split
from headstart.data.splits import Indices, hold_out_part, stratified_fraction
from headstart.data.threads import reader_threads
from headstart.errors import DataError
from headstart.results import DataFacts, Symmetry, held_out_words
from headstart.training.intake import take_in
from headstart.training.session import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledData:
    """Images that decode, with labels: a pool and the indices chosen from it for training, and those to be judged on.

    ``views`` are those of the config with what was ``auto`` settled by the pool, ``symmetry`` what was measured for it.
    ``held_out``: where the latter are a part of the pool, their indices in it; else they are the validation images.
    ``warnings``: what a user should know.
    """

    pool: ImageSet
    chosen: Indices
    val: ImageSet
    classes: tuple[str, ...]
    quarantined: int
    views: ViewsConfig
    symmetry: Symmetry | None = None
    held_out: Indices | None = None
    warnings: tuple[str, ...] = ()

    @property
    def train(self) -> ImageSet:
        """The chosen images of the pool."""
        return self.pool.subset(self.chosen)


def read_labelled(session: Session, config: ClassifyConfig, source: Source, store: Store) -> LabelledData:
    """Split the source, leave out what does not decode, draw the label fraction, and write data.json.

    Where the config holds a part of the drawn images out, no validation image is read.
    """
    with session.fabric.rank_zero_first():
        if config.held_out is None:
            side = side_for(config.views, config.image_size)
            train, val, facts = take_in_labelled(config, source, store, side, session.first)
        else:
            train, facts = take_in_training(config, config.held_out, source, store, session.first)
    chosen, labels = labels_drawn(train, config.label_fraction, config.seed)
    held_out = None
    if config.held_out is not None:
        chosen, held_out = hold_out_part(chosen, labels, config.held_out, HELD_OUT_PARTS, config.seed)
        if not len(held_out):
            raise DataError(f"No image of {config.data} can be held out: too few have labels (--held-out).")
        val = train.subset(held_out)
    logger.info("%d labelled training images, judged on %d others (%s).", len(chosen), len(val), facts.split)
    warnings = absent_classes(train.subset(chosen), val, source.classes)
    plain = config.frozen and not config.frozen_views
    views, symmetry = (config.views, None) if plain else store.suited(config.views, train)
    return LabelledData(train, chosen, val, source.classes, facts.quarantined, views, symmetry, held_out, warnings)


def absent_classes(train: ImageSet, val: ImageSet, classes: Sequence[str]) -> tuple[str, ...]:
    """What about the classes would make the scores say less than they seem to, also logged.

    DataError where the training images are all of one class.
    """
    known, judged = set(train.labels or ()), set(val.labels or ())
    if len(known) < 2:
        only = ", ".join(classes[label] for label in known) or "no class"
        raise DataError(f"The training images are all of one class ({only}); there is nothing to tell apart.")
    absent = [classes[label] for label in sorted(judged - known)]
    if not absent:
        return ()
    words = f"No training image of {', '.join(absent)}, which the validation images have: it cannot be learned."
    logger.warning("%s", words)
    return (words,)


def labels_drawn(train: ImageSet, fraction: float, seed: int) -> tuple[Indices, np.ndarray]:
    """The share of the labelled images that a training is given, and their labels: int64 (n,) each."""
    labels = np.array(train.labels, dtype=np.int64)
    chosen = stratified_fraction(labels, fraction, seed)
    return chosen, labels[chosen]


def take_in_labelled(
    config: ClassifyConfig | StudyConfig, source: Source, store: Store, side: int, write: bool = True
) -> tuple[ImageSet, ImageSet, DataFacts]:
    """Training and validation images that decode, all labelled, and the facts about them, written to data.json.

    They are read with at most ``side`` pixels on the shorter side (``data.reduced.side_for``).
    DataError when the source has no labels to learn, RunError when its images are not those the run began with.
    """
    *offered, words = labelled_split(source)
    sides = [replace(images, side=side) for images in offered]
    (train, val), facts = _take_in(config, source, sides, words, store, write)
    return train, val, facts


def take_in_training(
    config: ClassifyConfig, held_out: int, source: Source, store: Store, write: bool = True
) -> tuple[ImageSet, DataFacts]:
    """The same of the training images alone, of which a part is to be held out: no validation image is read."""
    offered, _, _ = labelled_split(source)
    words = f"images {held_out_words(held_out, HELD_OUT_PARTS)}"
    side = side_for(config.views, config.image_size)
    (train,), facts = _take_in(config, source, [replace(offered, side=side)], words, store, write)
    return train, facts


def _take_in(
    config: ClassifyConfig | StudyConfig,
    source: Source,
    offered: Sequence[ImageSet],
    words: str,
    store: Store,
    write: bool,
) -> tuple[list[ImageSet], DataFacts]:
    logger.info("%s", source.description)
    check = partial(
        store.decodable,
        quarantine=config.out / "quarantine.csv",
        strict=config.strict,
        workers=reader_threads(config.workers),
        patience=config.file_seconds,
        limit=config.pack_limit,
    )
    return take_in(config.out, source.train.root, offered, check, partial(data_facts, source, split=words), write)
