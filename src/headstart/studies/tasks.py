"""What can be studied: for each task all that a study has to know of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.configs.flags import explain
from headstart.configs.run import HELD_OUT_PARTS, RunConfig
from headstart.configs.segment import SegmentConfig
from headstart.configs.study import StudyConfig
from headstart.data.imageset import ImageSet
from headstart.data.pair_sheets import pair_sample_sheet
from headstart.data.pairs import PairSource, open_pairs
from headstart.data.palette_files import resolve_palette
from headstart.data.reduced import side_for
from headstart.data.sheets import sample_sheet
from headstart.data.sources import Source, open_source
from headstart.data.splits import part_sizes
from headstart.errors import ConfigError
from headstart.models.backbones import build_backbone
from headstart.models.segmenters import build_segmenter, encoder_for, load_encoder_start
from headstart.models.weights import load_start
from headstart.results import DataFacts
from headstart.studies.statistics import ScoredRun
from headstart.tasks.classify import classify, classify_together
from headstart.tasks.classify.data import labels_drawn, take_in_labelled
from headstart.tasks.segment import segment
from headstart.tasks.segment.data import pairs_drawn, take_in_pairs

C = TypeVar("C", bound=RunConfig)
S = TypeVar("S")


@dataclass(frozen=True)
class StudyData:
    """What a study found in its source: the facts, the validation images that decode, and how to draw some samples.

    ``part_sizes`` gives, for a label fraction, the images in each part (``HELD_OUT_PARTS`` of them) that a training of
    seed 0 can hold out of its labelled images.
    """

    facts: DataFacts
    val: ImageSet
    draw_samples: Callable[[Path], object]
    part_sizes: Callable[[float], list[int]]


def none_together(configs: Sequence[RunConfig], store: Store, keep: Collection[Path]) -> Mapping[Path, ScoredRun]:
    """All runs are left to be done one by one."""
    return {}


@dataclass(frozen=True)
class StudyTask(Generic[C, S]):
    """A task whose trainings a study compares by their score.

    Its configs have ``start``, ``frozen``, ``label_fraction``, ``held_out``, ``min_steps`` and ``evaluations``.
    ``network`` is what they are told of the network, and of what is scored; ``load`` builds a run's network and gives
    it the run's start. ``open`` lists what a spec holds and reads no image; ``take_in`` checks the images and writes
    data.json. Both raise DataError where the source does not fit the task. ``leftovers``: what of a finished run's
    directory is of use only beside its model. ``has_features``: a run can save features, which can be laid out.
    ``run_together`` does those of several runs that go faster together, to the same result, and gives the results by
    run directory; only those in the directories of its last argument need a model. ``counts_images``: a score is a
    share of images, so that a difference of less than one image means nothing.
    """

    config: type[C]
    run: Callable[[C, Store], ScoredRun]
    network: Callable[[StudyConfig], dict[str, Any]]
    load: Callable[[C], object]
    open: Callable[[str], S]
    take_in: Callable[[StudyConfig, S, Store], StudyData]
    leftovers: tuple[str, ...]
    has_features: bool = False
    counts_images: bool = False
    run_together: Callable[[Sequence[C], Store, Collection[Path]], Mapping[Path, ScoredRun]] = none_together

    def config_for(self, study: StudyConfig, settings: Mapping[str, Any]) -> C:
        """A run's config: ``settings`` over the study's data, recipe and network. ConfigError with all mistakes."""
        try:
            return self.config(**{"data": study.data, "recipe": study.recipe} | self.network(study) | dict(settings))
        except ValidationError as error:
            raise ConfigError(*explain(error)) from None


def labelled_data(study: StudyConfig, source: Source, store: Store) -> StudyData:
    """Labelled images of a study."""
    size = {} if study.image_size is None else {"image_size": study.image_size}
    run = CLASSIFICATION.config_for(study, {"out": study.out} | size)
    train, val, facts = take_in_labelled(study, source, store, side_for(run.views, run.image_size))
    return StudyData(
        facts=facts,
        val=val,
        draw_samples=lambda file: sample_sheet(train, source.classes, file),
        part_sizes=lambda fraction: part_sizes(labels_drawn(train, fraction, seed=0)[1], HELD_OUT_PARTS, seed=0),
    )


def paired_data(study: StudyConfig, source: PairSource, store: Store) -> StudyData:
    """Pairs of images and masks of a study."""
    palette = resolve_palette(study.palette, source)
    train, val, facts = take_in_pairs(study, source, palette, store)
    draw = partial(pair_sample_sheet, nearest=study.nearest_colour)
    return StudyData(
        facts=facts,
        val=val.pairs.images,
        draw_samples=lambda file: draw(train.pairs, palette, file),
        part_sizes=lambda fraction: part_sizes(pairs_drawn(len(train), fraction, seed=0)[1], HELD_OUT_PARTS, seed=0),
    )


CLASSIFICATION = StudyTask(
    config=ClassifyConfig,
    run=classify,
    network=lambda study: {"backbone": study.backbone, "pack_limit": study.pack_limit},
    load=lambda run: load_start(build_backbone(run.backbone, run.image_size), run.start),
    open=open_source,
    take_in=labelled_data,
    leftovers=("export",),
    has_features=True,
    counts_images=True,
    run_together=classify_together,
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
