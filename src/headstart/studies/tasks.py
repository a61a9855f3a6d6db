"""What can be studied: for each task all that a study has to know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.configs.flags import explain
from headstart.configs.run import RunConfig
from headstart.configs.segment import SegmentConfig
from headstart.configs.study import StudyConfig
from headstart.data.imageset import ImageSet
from headstart.data.pair_sheets import pair_sample_sheet
from headstart.data.pairs import PairSource, open_pairs
from headstart.data.palette_files import resolve_palette
from headstart.data.sheets import sample_sheet
from headstart.data.sources import Source, open_source
from headstart.errors import ConfigError
from headstart.models.backbones import build_backbone
from headstart.models.segmenters import build_segmenter, encoder_for, load_encoder_start
from headstart.models.weights import load_start
from headstart.results import DataFacts
from headstart.studies.statistics import ScoredRun
from headstart.tasks.classify import classify
from headstart.tasks.classify.data import take_in_labelled
from headstart.tasks.segment import segment
from headstart.tasks.segment.data import take_in_pairs

C = TypeVar("C", bound=RunConfig)
S = TypeVar("S")


@dataclass(frozen=True)
class StudyData:
    """What a study found in its source: the facts, the validation images that decode, and how to draw some samples."""

    facts: DataFacts
    val: ImageSet
    draw_samples: Callable[[Path], object]


@dataclass(frozen=True)
class StudyTask(Generic[C, S]):
    """A task whose trainings a study compares by their score.

    Its configs have ``start``, ``frozen``, ``label_fraction``, ``min_steps`` and ``evaluations``. ``network`` is what
    they are told of the network, and of what is scored; ``load`` builds a run's network and gives it the run's start.
    ``open`` lists what a spec holds and reads no image; ``take_in`` checks the images and writes data.json. Both raise
    DataError where the source does not fit the task. ``leftovers``: what of a finished run's directory is of use only
    beside its model. ``has_features``: a run can save features, which can be laid out.
    """

    config: type[C]
    run: Callable[[C, Store], ScoredRun]
    network: Callable[[StudyConfig], dict[str, Any]]
    load: Callable[[C], object]
    open: Callable[[str], S]
    take_in: Callable[[StudyConfig, S, Store], StudyData]
    leftovers: tuple[str, ...]
    has_features: bool = False

    def config_for(self, study: StudyConfig, settings: Mapping[str, Any]) -> C:
        """A run's config: ``settings`` over the study's data, recipe and network. ConfigError with all mistakes."""
        try:
            return self.config(**{"data": study.data, "recipe": study.recipe} | self.network(study) | dict(settings))
        except ValidationError as error:
            raise ConfigError(*explain(error)) from None


def labelled_data(study: StudyConfig, source: Source, store: Store) -> StudyData:
    """Labelled images of a study."""
    train, val, facts = take_in_labelled(study, source, store)
    return StudyData(facts, val, lambda file: sample_sheet(train, source.classes, file))


def paired_data(study: StudyConfig, source: PairSource, store: Store) -> StudyData:
    """Pairs of images and masks of a study."""
    palette = resolve_palette(study.palette, source)
    train, val, facts = take_in_pairs(study, source, palette, store)
    draw = partial(pair_sample_sheet, nearest=study.nearest_colour)
    return StudyData(facts, val.pairs.images, lambda file: draw(train.pairs, palette, file))


CLASSIFICATION = StudyTask(
    config=ClassifyConfig,
    run=classify,
    network=lambda study: {"backbone": study.backbone},
    load=lambda run: load_start(build_backbone(run.backbone, run.image_size), run.start),
    open=open_source,
    take_in=labelled_data,
    leftovers=("export",),
    has_features=True,
)

SEGMENTATION = StudyTask(
    config=SegmentConfig,
    run=segment,
    network=lambda study: {
        "model": study.model,
        "encoder": encoder_for(study.model, study.backbone),
        "palette": study.palette,
        "nearest_colour": study.nearest_colour,
        "protocol": study.protocol,
    },
    load=lambda run: load_encoder_start(build_segmenter(run.model, run.encoder, 2, run.image_size), run.start),
    open=open_pairs,
    take_in=paired_data,
    leftovers=("export", "masks", "crops.png"),
)

TASKS: Mapping[str, StudyTask[Any, Any]] = {"classify": CLASSIFICATION, "segment": SEGMENTATION}
"""Name of a task -> the task."""
