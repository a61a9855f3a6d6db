"""The labelled images that classifiers are trained and judged on."""

import logging
from functools import partial

from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.configs.study import StudyConfig
from headstart.data.imageset import ImageSet
from headstart.data.loaders import worker_count
from headstart.data.sources import Source, data_facts, labelled_split
from headstart.results import DataFacts
from headstart.training.intake import take_in

logger = logging.getLogger(__name__)


def take_in_labelled(
    config: ClassifyConfig | StudyConfig, source: Source, store: Store, write: bool = True
) -> tuple[ImageSet, ImageSet, DataFacts]:
    """Training and validation images that decode, all labelled, and the facts about them, written to data.json.

    DataError when the source has no labels to learn, RunError when its images are not those the run began with.
    """
    logger.info("%s", source.description)
    *offered, words = labelled_split(source)
    check = partial(
        store.decodable,
        quarantine=config.out / "quarantine.csv",
        strict=config.strict,
        workers=worker_count(config.workers),
    )
    (train, val), facts = take_in(
        config.out, source.train.root, offered, check, partial(data_facts, source, split=words), write
    )
    return train, val, facts
