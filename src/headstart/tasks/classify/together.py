"""Frozen settings of a study trained together: each keeps its run directory and its result, the heads are batched."""

import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from headstart.analysis.confusion import accuracy, balanced_accuracy
from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.data.loaders import Batching
from headstart.data.sources import Source, open_source
from headstart.data.views import normalisation
from headstart.errors import DataError
from headstart.files import written_beside
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.weights import load_start
from headstart.results import ClassifyResult, WeightsReport
from headstart.tasks.classify.data import LabelledData, read_labelled
from headstart.tasks.classify.heads import ELEMENTWISE, Head, train_heads
from headstart.tasks.classify.verb import evaluate, job_of, save_model, summarise
from headstart.tasks.classify.ways import Frozen
from headstart.training.fit import make_plan, write_plan
from headstart.training.log import measured_lines
from headstart.training.session import Session, begin

logger = logging.getLogger(__name__)

HELD_BYTES = 1 << 30
"""Features of runs that wait to be trained together."""


@dataclass(frozen=True)
class Prepared:
    """A frozen setting that is ready to be trained."""

    config: ClassifyConfig
    session: Session
    backbone: Backbone | None
    """Where the model is kept."""
    weights: WeightsReport | None
    data: LabelledData
    way: Frozen
    head: Head

    @property
    def held_bytes(self) -> int:
        return 4 * (self.way.features.numel() + self.way.val.numel())


class Backbones:
    """Backbones with their starts loaded, one for each start and seed: a seed matters to what a start leaves random.
    Only the last one asked for is kept.
    """

    def __init__(self) -> None:
        self.loaded: dict[tuple[str, int], tuple[Backbone, WeightsReport | None]] = {}
        self.any: Backbone | None = None

    def network(self, config: ClassifyConfig) -> nn.Module:
        """A network of this kind, whichever its weights."""
        self.any = self.any or build_backbone(config.backbone, config.image_size)
        return self.any

    def of(self, config: ClassifyConfig) -> tuple[Backbone, WeightsReport | None]:
        """The backbone of a run, whose seed was just set."""
        key = (config.start, config.seed)
        if key not in self.loaded:
            backbone = build_backbone(config.backbone, config.image_size)
            weights = load_start(backbone, config.start, config.allow_partial_weights)
            backbone.mean, backbone.std = normalisation(config.views, backbone.mean, backbone.std)
            self.loaded = {key: (backbone, weights)}
        return self.loaded[key]


def classify_together(
    configs: Sequence[ClassifyConfig], store: Store, keep: Collection[Path] = ()
) -> Mapping[Path, ClassifyResult]:
    """Train those of ``configs`` that can be trained together, as ``classify`` would one by one; results by directory.

    The configs are runs of one study: data, network and views are the same. Left to ``classify`` are runs that train
    the backbone, on views, or that look at the model on the way, those that are finished or have a checkpoint, whose
    optimiser looks at more than single numbers, whose data hold nothing to learn, and those that diverge. There are no
    checkpoints, because the heads take seconds: a run that is killed begins anew, here, alone where the others are
    finished, and comes to the same. Only runs in the directories ``keep`` save their model. Raises what ``classify``
    raises.
    """
    fitting = [config for config in configs if can_join(config)]
    if not fitting:
        return {}
    results: dict[Path, ClassifyResult] = {}
    waiting: list[Prepared] = []
    for each in prepared(sorted(fitting, key=lambda config: (config.start, config.seed)), store, keep):
        waiting.append(each)
        if sum(run.held_bytes for run in waiting) > HELD_BYTES:
            results |= train_together(waiting)
            waiting = []
    return results | train_together(waiting)


def can_join(config: ClassifyConfig) -> bool:
    """Whether a run is nothing but a linear head on features of plain images, with no checkpoint, on one process."""
    return (
        config.frozen
        and not config.frozen_views
        and not config.save_features
        and config.evaluations == 1
        and config.accumulate == 1
        and config.budget_minutes is None
        and config.optim.name in ELEMENTWISE
        and config.devices == int(os.environ.get("WORLD_SIZE", "1")) == 1
        and not config.overwrite
        and not (config.out / "result.json").is_file()
        and not any((config.out / "checkpoints").glob("*.ckpt"))
    )


def prepared(configs: Sequence[ClassifyConfig], store: Store, keep: Collection[Path]) -> Iterator[Prepared]:
    """The runs with their features, by start and seed; those whose data cannot be learned from are passed over."""
    source = open_source(configs[0].data)
    backbones = Backbones()
    for config in configs:
        try:
            yield prepare(config, source, backbones, store, config.out in keep)
        except DataError as error:
            logger.info("%s is left to itself: %s", config.out, error)


def prepare(config: ClassifyConfig, source: Source, backbones: Backbones, store: Store, keeps_model: bool) -> Prepared:
    """One run: its directory opened, its data drawn, its features known."""
    session = begin(config, "classify", lambda: backbones.network(config))
    data = read_labelled(session, config, source, store)
    backbone, weights = backbones.of(config)
    way = Frozen(session, config, backbone, data, store)
    batching = Batching(way.n_images, config.batch_size)
    plan = make_plan(session, job_of(session, config, way, data), batching, config.epochs)
    head = Head(way.module, way.features, way.labels, plan, batching)
    return Prepared(config, session, backbone if keeps_model else None, weights, data, way, head)


def train_together(runs: Sequence[Prepared]) -> dict[Path, ClassifyResult]:
    """Train the heads of runs, those that are alike side by side, and write the directory of each that succeeds."""
    stacks: dict[tuple[object, ...], list[Prepared]] = defaultdict(list)
    for run in runs:
        stacks[(*run.head.alike, run.session.precision)].append(run)
    for stack in stacks.values():
        train_heads([run.head for run in stack], stack[0].session.fabric)
        logger.info("%d linear heads of %d steps trained together.", len(stack), stack[0].head.plan.steps)
    return {run.config.out: finish(run) for run in runs if run.head.sound}


def finish(run: Prepared) -> ClassifyResult:
    """Write config.json, metrics.jsonl, the model where it is kept, and result.json, in this order."""
    write_plan(run.session, run.head.plan)
    with written_beside(run.session.run.metrics) as beside:
        beside.write_text("".join(metric_lines(run)), encoding="utf-8")
    result = summarise(run.session, run.config, run.head.plan, run.way, run.data, run.weights, run.head.seconds)
    if run.backbone:
        save_model(run.session, run.backbone, run.way.module, run.data.classes)
    result.save(run.session.run.result)
    return result


def metric_lines(run: Prepared) -> Iterator[str]:
    """Loss and learning rate of the logged steps, and the scores at the end; the time is shared out evenly."""
    plan, n = run.head.plan, len(run.head.losses)
    for step, loss in enumerate(run.head.losses):
        if step % plan.log_every == 0 or plan.ends_epoch(step + 1):
            measured = {"loss": loss, "lr": plan.lr(step)}
            yield measured_lines(
                step + 1, plan.epoch_of(step + 1), "train", measured, run.head.seconds * (step + 1) / n
            )
    counts = evaluate(run.way, run.way.module, run.data)
    scores = {"accuracy": accuracy(counts), "balanced_accuracy": balanced_accuracy(counts)}
    yield measured_lines(plan.steps, plan.epochs, "val", scores, run.head.seconds)
