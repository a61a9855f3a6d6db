"""``headstart segment``: from pairs of images and masks to a trained model, its scores and its masks over epochs."""

import logging
from typing import get_args

from torch import nn

from headstart.analysis.store import Store
from headstart.configs.run import HELD_OUT_PARTS
from headstart.configs.segment import SegmentConfig
from headstart.configs.starts import setting_name
from headstart.data.crops import crop_sheet
from headstart.data.pairs import open_pairs
from headstart.models.freeze import freeze
from headstart.models.segmenter_files import export_segmenter
from headstart.models.segmenters import Segmenter, build_segmenter, load_encoder_start
from headstart.models.weights import require_start
from headstart.results import Protocol, SegmentResult, Trained, WeightsReport, held_out_words
from headstart.tasks.segment.data import SegmentData, read_pairs
from headstart.tasks.segment.masks import named_images
from headstart.tasks.segment.task import Segmenting
from headstart.training.fit import Fitted, fit
from headstart.training.session import Session, begin

logger = logging.getLogger(__name__)

DECODER_RULES_PX = 128


def segment(config: SegmentConfig, store: Store | None = None) -> SegmentResult:
    """Train a segmentation model and write the run directory ``config.out`` (see docs/architecture.md).

    ``store`` holds what a study's runs share. The scores are those of the last epoch, not of the best. Raises
    ConfigError, DataError, WeightsError, RunError, or TrainingStopped when the loss is no longer a number.
    """
    source = open_pairs(config.data)
    require_start(config.start)  # a wrong name must not cost a look at all the files
    session = begin(config, "segment", lambda: deciding_part(config))
    if session.finished:
        logger.info("%s is finished; nothing to resume.", config.out)
        return SegmentResult.model_validate_json(session.run.result.read_text(encoding="utf-8"))
    data = read_pairs(session, config, source, store or Store())
    named_images(config.mask_images, data.val)  # a wrong name must not cost a training
    segmenter, weights = build(config, data)
    work = Segmenting(config, session, data, segmenter)
    if session.first:
        crop_sheet(work.crops, data.palette, session.run.root / "crops.png")
    fitted = fit(session, work.job())
    if fitted.stopped:
        raise fitted.stopped
    result = summarise(work, fitted, weights)
    if session.first:
        save_model(session, config, segmenter, data)
        result.save(session.run.result)
    session.fabric.barrier()
    return result


def deciding_part(config: SegmentConfig) -> nn.Module:
    """What decides whether bf16 pays on a processor: from 128 pixels on the decoder, which then has most of the work;
    below, the whole network (docs/decisions/0005-precision.md).
    """
    network = build_segmenter(config.model, config.encoder, 2, config.image_size).network
    decoder = nn.ModuleList([part for name, part in network.named_children() if name != "encoder"])
    return decoder if config.image_size >= DECODER_RULES_PX else network


def build(config: SegmentConfig, data: SegmentData) -> tuple[Segmenter, WeightsReport | None]:
    """The model with its encoder's start, and how that start fitted; the encoder frozen where the config says."""
    n_outputs = len(data.palette.classes) if config.ignored == "learn" else data.palette.n_scored
    segmenter = build_segmenter(config.model, config.encoder, n_outputs, config.image_size)
    weights = load_encoder_start(segmenter, config.start, config.allow_partial_weights)
    if config.frozen:
        freeze(segmenter.encoder)
    return segmenter, weights


def summarise(work: Segmenting, fitted: Fitted, weights: WeightsReport | None) -> SegmentResult:
    """The result record of a training that reached its end, with the masks of the chosen images completed."""
    config, data, session = work.config, work.data, work.session
    tally = work.final[0] if work.final else work.look(fitted.state.module, boundaries=True)
    protocols: tuple[Protocol, ...] = get_args(Protocol)
    scores = {protocol: tally.scorer.scores(protocol) for protocol in protocols}
    keeper = work.keeper(fitted.plan.epochs)
    trained: Trained = "frozen" if config.frozen else "full"
    return SegmentResult(
        setting=setting_name(config.start, trained),
        start=config.start,
        trained=trained,
        model=config.model,
        encoder=config.encoder,
        recipe=config.recipe,
        label_fraction=config.label_fraction,
        seed=config.seed,
        protocol=config.protocol,
        miou=scores[config.protocol].miou,
        scores=scores[config.protocol],
        miou_by_protocol={protocol: scored.miou for protocol, scored in scores.items()},
        n_parameters=sum(parameter.numel() for parameter in work.segmenter.parameters()),
        n_train=len(data.train),
        n_val=len(data.val),
        split="" if config.held_out is None else held_out_words(config.held_out, HELD_OUT_PARTS),
        classes=list(data.palette.classes),
        colours=list(data.palette.colours),
        samples=keeper.samples(tally.ious) if session.first else [],
        epochs=fitted.plan.epochs,
        steps=fitted.state.step,
        weights=weights,
        precision=session.precision,
        seconds=fitted.state.memory["seconds"],
        quarantined=data.quarantined,
        warnings=[*data.warnings, *keeper.warnings],
    )


def save_model(session: Session, config: SegmentConfig, segmenter: Segmenter, data: SegmentData) -> None:
    """Export the whole network with what predicting with it needs to know."""
    facts = {
        "classes": list(data.palette.classes),
        "palette": data.palette.to_dict(),
        "ignored": config.ignored,
        "protocol": config.protocol,
        "start": config.start,
        "recipe": config.recipe,
    }
    export_segmenter(segmenter, session.run.export, facts)
