"""``headstart classify``: one setting, from a source with labels to an accuracy."""

import logging
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from headstart.analysis.confusion import accuracy, balanced_accuracy, confusion
from headstart.analysis.features import save_features
from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.configs.run import HELD_OUT_PARTS
from headstart.configs.starts import seed_letter, setting_name
from headstart.data.sources import open_source
from headstart.data.views import normalisation
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.checkpointing import checkpoint_gradients
from headstart.models.classifier import Classifier, FeatureClassifier, save_head
from headstart.models.weights import export_backbone, load_start
from headstart.results import ClassifyResult, Trained, WeightsReport, held_out_words
from headstart.tasks.classify.data import LabelledData, read_labelled
from headstart.tasks.classify.ways import Frozen, Full, Way
from headstart.training.fit import Job, fit
from headstart.training.loop import Batch, Look, Plan, looks_at
from headstart.training.session import Session, begin
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Classification:
    """The task of the loop: cross-entropy, and now and then the accuracy on the images that it is judged on."""

    session: Session
    config: ClassifyConfig
    plan: Plan
    way: Way
    data: LabelledData

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(model(batch[0]).float(), batch[1])

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        return {}

    def at_a_tenth(self, state: TrainState) -> Look | None:
        return None

    def at_epoch_end(self, state: TrainState, epoch: int) -> Look | None:
        if self.config.save_features and self.session.first and epoch in (1, self.plan.epochs):
            features = self.way.train_features(state.module)
            save_features(self.session.run.features, epoch, features, np.array(self.data.train.labels))
        if epoch not in looks_at(self.plan.epochs, self.config.evaluations):
            return None
        counts = evaluate(self.way, state.module, self.data)
        score = accuracy(counts)
        return Look({"val": {"accuracy": score, "balanced_accuracy": balanced_accuracy(counts)}}, score)


def classify(config: ClassifyConfig, store: Store | None = None) -> ClassifyResult:
    """Train a classifier in one setting and write the run directory ``config.out`` (see docs/architecture.md).

    ``store`` holds what a study's runs share; with it, a frozen setting computes features for all training images.
    The accuracy is that of the last epoch, not of the best. Raises ConfigError, DataError, WeightsError, RunError, or
    TrainingStopped when the loss is no longer a number.
    """
    source = open_source(config.data)
    session = begin(config, "classify", lambda: build_backbone(config.backbone, config.image_size))
    if session.finished:
        logger.info("%s is finished; nothing to resume.", config.out)
        return ClassifyResult.model_validate_json(session.run.result.read_text(encoding="utf-8"))
    store = store or Store()
    data = read_labelled(session, config, source, store)
    backbone = build_backbone(config.backbone, config.image_size)
    weights = load_start(backbone, config.start, config.allow_partial_weights)
    backbone.mean, backbone.std = normalisation(config.views, backbone.mean, backbone.std)
    if config.grad_checkpointing and not config.frozen:
        checkpoint_gradients(backbone)
    kind = Frozen if config.frozen else Full
    way: Way = kind(session, config, backbone, data, store)
    fitted = fit(session, job_of(session, config, way, data))
    if fitted.stopped:
        raise fitted.stopped
    result = summarise(session, config, fitted.plan, way, data, weights, fitted.state.memory["seconds"])
    if session.first:
        save_model(session, backbone, way.module, data.classes)
        result.save(session.run.result)
    session.fabric.barrier()
    return result


def job_of(session: Session, config: ClassifyConfig, way: Way, data: LabelledData) -> Job:
    """The training of a classifier."""
    return Job(
        module=way.module,
        n_images=way.n_images,
        task_of=lambda plan: Classification(session, config, plan, way, data),
        batches_of=way.batches_of,
        min_steps=config.min_steps,
    )


def evaluate(way: Way, module: nn.Module, data: LabelledData) -> np.ndarray:
    """Confusion counts on the images to be judged on: int64 (n_classes, n_classes), rows are the truth."""
    was_training = module.training
    module.eval()
    predicted = way.val_logits(module).argmax(1)
    module.train(was_training)
    return confusion(np.array(data.val.labels), predicted, len(data.classes))


def summarise(
    session: Session,
    config: ClassifyConfig,
    plan: Plan,
    way: Way,
    data: LabelledData,
    weights: WeightsReport | None,
    seconds: float,
) -> ClassifyResult:
    """The result record of a training that reached the end of its plan, and took ``seconds``."""
    counts = evaluate(way, way.module, data)
    trained: Trained = "frozen" if config.frozen else "full"
    return ClassifyResult(
        setting=setting_name(config.start, trained),
        start=config.start,
        trained=trained,
        letter=seed_letter(config.start, trained),
        backbone=config.backbone,
        recipe=config.recipe,
        label_fraction=config.label_fraction,
        seed=config.seed,
        accuracy=accuracy(counts),
        balanced_accuracy=balanced_accuracy(counts),
        n_train=len(data.train),
        n_val=len(data.val),
        split="" if config.held_out is None else held_out_words(config.held_out, HELD_OUT_PARTS),
        classes=list(data.classes),
        confusion=counts.tolist(),
        frozen_views=config.frozen_views if config.frozen else None,
        epochs=plan.epochs,
        steps=plan.steps,
        weights=weights,
        precision=session.precision,
        seconds=seconds,
        quarantined=data.quarantined,
        symmetry=data.symmetry,
        warnings=list(data.warnings),
    )


def save_model(session: Session, backbone: Backbone, module: nn.Module, classes: tuple[str, ...]) -> None:
    """Export what was trained: the backbone, and the linear layer with the class names."""
    assert isinstance(module, Classifier | FeatureClassifier)
    export_backbone(backbone, session.run.export, {"classes": list(classes)})
    save_head(module, session.run.export)
