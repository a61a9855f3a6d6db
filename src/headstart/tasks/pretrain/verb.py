"""BYOL pre-training: from a source of images to an exported backbone."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from headstart.analysis.suited import suited
from headstart.configs.pretrain import PretrainConfig
from headstart.data.audit import audit_views
from headstart.data.imageset import ImageSet
from headstart.data.loaders import Batching, MicroBatches, ViewsDataset, training_loader, worker_count
from headstart.data.pack import readable
from headstart.data.reduced import side_for
from headstart.data.sources import Source, data_facts, offered_images, open_source
from headstart.data.threads import reader_threads
from headstart.data.views import build_views, normalisation
from headstart.errors import DataError, WeightsError
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol
from headstart.models.checkpointing import checkpoint_gradients
from headstart.models.weights import export_backbone, load_start
from headstart.results import PretrainResult, Symmetry, ViewsAudit, WeightsReport
from headstart.tasks.pretrain.watch import Watch, make_watch
from headstart.training.checkpoint import load_soundest
from headstart.training.fit import Fitted, Job, fit
from headstart.training.intake import take_in
from headstart.training.log import last_values, values_by_step, values_of
from headstart.training.loop import Batch, Look, Plan, looks_at
from headstart.training.rundir import RunDir
from headstart.training.schedules import tau_at
from headstart.training.session import Session, begin
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pretraining:
    """The task of the loop: BYOL's loss, the EMA after each optimiser step, a look now and then."""

    config: PretrainConfig
    plan: Plan
    watch: Watch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        loss: Tensor = model(batch[0])
        return loss

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        assert isinstance(module, Byol)
        tau = tau_at(step, self.plan.steps, self.config.byol.tau_base, self.config.byol.tau_end)
        module.update_target(tau)
        return {"tau": tau}

    def at_a_tenth(self, state: TrainState) -> Look | None:
        return self.watch.look(state, of_steps=self.plan.steps)

    def at_epoch_end(self, state: TrainState, epoch: int) -> Look | None:
        due = epoch in looks_at(self.plan.epochs, self.config.watch.looks) and state.step != self.plan.a_tenth
        return self.watch.look(state) if due else None


def pretrain(config: PretrainConfig) -> PretrainResult:
    """Pre-train a backbone by BYOL and write the run directory ``config.out`` (see docs/architecture.md).

    Collapse and divergence end the training, not the command: the result's ``status`` and ``reason`` say so, and the
    last good checkpoint is what is exported. Raises ConfigError, DataError, WeightsError or RunError.
    """
    source = open_source(config.data)
    session = begin(config, "pretrain", lambda: build_backbone(config.backbone, config.image_size))
    if session.finished:
        logger.info("%s is finished; nothing to resume.", config.out)
        return PretrainResult.model_validate_json(session.run.result.read_text(encoding="utf-8"))
    data = read_data(session, config, source)
    byol, weights = build_byol(config)
    chosen, symmetry = session.fabric.broadcast(
        suited(config.views, data.train) if session.first else (config.views, None)
    )
    config = config.model_copy(update={"views": chosen})
    views = build_views(config.views, config.image_size, byol.backbone.mean, byol.backbone.std, 2)
    audit = audit_views(data.train, views, config.seed, config.out / "views.png") if session.first else None
    audit = session.fabric.broadcast(audit)
    assert audit is not None
    watch = make_watch(config, (data.train, data.val), views, byol, session.fabric)
    job = Job(
        module=byol,
        n_images=len(data.train),
        task_of=lambda plan: Pretraining(config, plan, watch),
        batches_of=partial(batches, session, ViewsDataset(data.train, views, config.seed)),
        lr_scale=partial(lr_scale, config),
        judged=True,
    )
    fitted = fit(session, job)
    result = summarise(config, session, fitted, Found(data, weights, audit, symmetry, watch))
    if session.first:
        facts = result.model_dump(include={"recipe", "start", "status", "n_images", "epochs", "steps"})
        export_backbone(byol.backbone, session.run.export, facts)
        result.save(session.run.result)
    session.fabric.barrier()
    return result


@dataclass(frozen=True)
class Data:
    """The images of a run that decode: what is trained on, and labelled validation images where there are some."""

    train: ImageSet
    val: ImageSet | None
    quarantined: int


def read_data(session: Session, config: PretrainConfig, source: Source) -> Data:
    """Take the source's images, leave out what does not decode, and write data.json. DataError with fewer than two."""
    logger.info("%s", source.description)
    offered, held_out, words = offered_images(source)
    if held_out is not source.val:
        logger.info("%s; these are left out of pre-training.", words)
    check = partial(
        readable,
        quarantine_file=session.run.quarantine,
        strict=config.strict,
        workers=reader_threads(config.workers),
        patience=config.file_seconds,
        limit=config.pack_limit,
    )
    side = side_for(config.views, config.image_size)
    sides = [replace(images, side=side) for images in (offered, held_out) if images is not None]
    with session.fabric.rank_zero_first():
        (train, *val), facts = take_in(
            config.out, source.train.root, sides, check, partial(data_facts, source, split=words), session.first
        )
    if len(train) < 2:
        raise DataError(f"{config.data} has {len(train)} image(s) that decode; BYOL needs at least 2.")
    return Data(train, val[0] if val else None, facts.quarantined)


def build_byol(config: PretrainConfig) -> tuple[Byol, WeightsReport | None]:
    """BYOL around the backbone, which begins at the start; ``--init-from RUN`` is the start ``ssl=RUN``."""
    backbone = build_backbone(config.backbone, config.image_size)
    start = f"ssl={config.init_from}" if config.init_from else config.start
    weights = load_start(backbone, start, config.allow_partial_weights)
    backbone.mean, backbone.std = normalisation(config.views, backbone.mean, backbone.std)
    byol = Byol(backbone, config.byol, config.byol.keep if knows_something(config) else 0.0)
    if config.grad_checkpointing:
        checkpoint_gradients(byol.backbone)
    if config.init_from is not None:
        take_over(byol, config.init_from)
    return byol, weights


def knows_something(config: PretrainConfig) -> bool:
    """Whether the backbone begins from weights, and the heads from nothing."""
    return config.start != "scratch"


def lr_scale(config: PretrainConfig, name: str) -> float:
    """Learning rate of a parameter of Byol as a multiple of the schedule's: lower in a backbone that knows something.

    With --init-from the heads know as much as the backbone, and all learn at the same rate.
    """
    return config.byol.started_lr if knows_something(config) and name.startswith(Byol.BACKBONE) else 1.0


def take_over(byol: Byol, run: Path) -> None:
    """Load projector, predictor and target, beside the backbone, from the last checkpoint of ``run`` if it has one."""
    checkpoints = RunDir(run, resumed=False).to_go_on_from[:2]
    if not any(path.is_file() for path in checkpoints):
        logger.warning("%s has no checkpoint: only its backbone is taken over, the heads begin anew.", run)
        return
    try:
        state, checkpoint = load_soundest(checkpoints)
        known = state["module"]
        byol.load_state_dict({name: tensor for name, tensor in known.items() if not name.startswith("anchor.")})
    except RuntimeError as error:
        raise WeightsError(
            f"The heads of {run} do not fit: give the --byol sizes of that run. ({str(error).splitlines()[-1].strip()})"
        ) from None
    logger.info("Projector, predictor and target are taken over from %s, too; the optimiser begins afresh.", checkpoint)


def batches(session: Session, dataset: ViewsDataset, batching: Batching, steps: range) -> Iterable[Batch]:
    """Micro-batches of this process for a range of steps."""
    config, fabric = session.config, session.fabric
    sampler = MicroBatches(batching, config.seed, steps, rank=fabric.global_rank, world=fabric.world_size)
    return training_loader(dataset, sampler, worker_count(config.workers), config.file_seconds)


@dataclass(frozen=True)
class Found:
    """What was known before the first step."""

    data: Data
    weights: WeightsReport | None
    audit: ViewsAudit
    symmetry: Symmetry | None
    watch: Watch


def summarise(config: PretrainConfig, session: Session, fitted: Fitted, found: Found) -> PretrainResult:
    """The result record, from the log and the state that training ended in."""
    losses = values_of(session.run.metrics, "train", "loss")
    seen, looks = last_values(session.run.metrics, "watch"), values_by_step(session.run.metrics, "watch")
    plan, stopped, byol = fitted.plan, fitted.stopped, fitted.state.module
    assert isinstance(byol, Byol)
    seconds = fitted.state.memory["seconds"]
    return PretrainResult(
        status="finished" if stopped is None else stopped.status,
        reason=None if stopped is None else stopped.reason,
        warnings=[found.audit.warning] if found.audit.warning else [],
        backbone=config.backbone,
        start=f"ssl={config.init_from}" if config.init_from else config.start,
        recipe=config.recipe,
        feature_size=byol.backbone.feature_size,
        image_size=config.image_size,
        n_images=len(found.data.train),
        quarantined=found.data.quarantined,
        epochs=plan.epochs,
        steps=fitted.state.step,
        batch_size=plan.batch_size,
        loss_first=losses[0] if losses else None,
        loss_last=losses[-1] if losses else None,
        feature_std=seen.get("feature_std"),
        effective_rank=seen.get("effective_rank"),
        knn=seen.get("knn"),
        knn_before=found.watch.before.figures.get("knn"),
        early_word=found.watch.word_in(looks, plan.a_tenth, plan.steps),
        views=found.audit,
        symmetry=found.symmetry,
        weights=found.weights,
        precision=session.precision,
        seconds=seconds,
        images_per_second=fitted.state.step * plan.batch_size / seconds,
    )
