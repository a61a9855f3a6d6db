"""A finished classifier on other labelled images."""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from headstart.analysis.confusion import accuracy, balanced_accuracy, confusion
from headstart.configs.inference import EvaluateConfig
from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.loaders import plain_batches, worker_count
from headstart.data.pack import readable
from headstart.data.reduced import side_for
from headstart.data.sources import open_source
from headstart.data.threads import reader_threads
from headstart.data.views import plain_view
from headstart.errors import DataError
from headstart.models.classifier import read_classifier
from headstart.results import EvaluateResult
from headstart.training.rundir import read_config
from headstart.training.runtime import inference_context

logger = logging.getLogger(__name__)

BATCH = 64


def evaluate_classifier(config: EvaluateConfig) -> EvaluateResult:
    """Classify the validation images of ``config.data`` (all images where it has no validation side) and count.

    With ``config.out`` the result goes to its result.json. DataError when the images have no labels, or classes that
    the model does not know.
    """
    backbone, head, facts = read_classifier(config.run / "export")
    classes = [str(name) for name in facts["classes"]]
    offered = labelled_images(config.data, classes)
    views = ViewsConfig.model_validate(read_config(config.run)["config"]["views"], strict=False)
    size = int(facts["image_size"])
    offered = replace(offered, side=side_for(views, size))  # the pixels that the training's looks were of
    with tempfile.TemporaryDirectory() as beside:
        quarantine = (config.out or Path(beside)) / "quarantine.csv"
        images = readable(offered, quarantine, False, reader_threads("auto"))
    view = plain_view(views, size, backbone.mean, backbone.std)
    network = nn.Sequential(backbone, head)
    device_of = head.head.weight
    predicted = []
    with inference_context(network, config.precision), torch.no_grad():
        for batch, _, _ in plain_batches(images, view, BATCH, worker_count("auto")):
            shown = batch[:, 0].to(device_of.device).contiguous(memory_format=torch.channels_last)
            predicted.append(network(shown).argmax(1).cpu().numpy())
    counts = confusion(np.array(images.labels), np.concatenate(predicted), len(classes))
    used = set(images.names)
    result = EvaluateResult(
        run=str(config.run),
        data=config.data,
        accuracy=accuracy(counts),
        balanced_accuracy=balanced_accuracy(counts),
        n=len(images),
        classes=classes,
        confusion=counts.tolist(),
        left_out=[name for name in offered.names if name not in used],
    )
    if config.out:
        config.out.mkdir(parents=True, exist_ok=True)
        result.save(config.out / "result.json")
    return result


def labelled_images(spec: str, classes: list[str]) -> ImageSet:
    """The validation images at ``spec``, or all where there is no such side, labelled with indices into ``classes``."""
    source = open_source(spec)
    logger.info("%s", source.description)
    images = source.val if source.val is not None and source.val.labels is not None else source.train
    if images.labels is None:
        raise DataError(f"{spec} has no labels ({source.description}); there is nothing to score.")
    foreign = [name for name in source.classes if name not in classes]
    if foreign:
        raise DataError(
            f"{spec} has classes that the model does not know: {', '.join(foreign[:10])}. "
            f"It knows {', '.join(classes)}."
        )
    index = [classes.index(name) for name in source.classes]
    return ImageSet(images.root, images.names, tuple(index[label] for label in images.labels))
