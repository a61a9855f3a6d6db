"""Classes of the inputs by a classification run's model: predictions.csv."""

import csv
import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor, nn

from headstart.configs.inference import PredictConfig, TilingConfig
from headstart.configs.views import ViewsConfig
from headstart.data.decode import DecodeError, decode, read_quarantine
from headstart.data.threads import read_in_threads
from headstart.data.views import View, plain_view
from headstart.errors import ConfigError, RunError
from headstart.inference.inputs import Input
from headstart.inference.outcome import QUARANTINE, Outcome
from headstart.inference.parts import file_facts, key_of, short
from headstart.models.classifier import HEAD_FILE, read_classifier
from headstart.training.progress import Progress
from headstart.training.rundir import read_config, write_config
from headstart.training.runtime import inference_context

logger = logging.getLogger(__name__)

PREDICTIONS = "predictions.csv"
BATCH = 64
DECODED_AHEAD = 8


def predict_classes(config: PredictConfig, inputs: Sequence[Input]) -> Outcome:
    """Write predictions.csv: path, class, and the probability of each class, for all inputs that can be decoded.

    The same command again finds it finished. RunError when it is there for other inputs, or by another model;
    ConfigError for settings that only masks have.
    """
    refuse_settings_of_masks(config)
    backbone, head, facts = read_classifier(config.run / "export")
    key = key_of_predictions(config, inputs)
    outcome = Outcome([PurePosixPath(PREDICTIONS)])
    if is_finished(config, key):
        known = dict(read_quarantine(config.out / QUARANTINE))
        outcome.reasons.update({each: known[str(each.path)] for each in inputs if str(each.path) in known})
        return outcome
    record = read_config(config.run)["config"]
    views = ViewsConfig.model_validate(record["views"], strict=False)
    view = plain_view(views, int(facts["image_size"]), backbone.mean, backbone.std)
    network = nn.Sequential(backbone, head)
    target = config.out / PREDICTIONS
    target.unlink(missing_ok=True)
    config.out.mkdir(parents=True, exist_ok=True)
    write_config(config.out, config, "predict", predicted=key)
    beside = target.with_name(target.name + ".part")
    with (
        inference_context(network, config.precision),
        beside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        lines = csv.writer(stream)
        lines.writerow(["path", "class", *(f"p({name})" for name in facts["classes"])])
        for path, shares in shares_of(network, inputs, view, outcome):
            chosen = facts["classes"][int(shares.argmax())]
            lines.writerow([path, chosen, *(f"{share:.6f}" for share in shares.tolist())])
    if len(outcome.reasons) < len(inputs):
        beside.replace(target)
    beside.unlink(missing_ok=True)
    return outcome


def key_of_predictions(config: PredictConfig, inputs: Sequence[Input]) -> str:
    """What the predictions depend on, in short."""
    export = config.run / "export"
    model = [hashlib.sha256((export / name).read_bytes()).hexdigest() for name in ("backbone.json", HEAD_FILE)]
    return short(key_of(model=model, precision=config.precision, files=[file_facts(each.path) for each in inputs]))


def is_finished(config: PredictConfig, key: str) -> bool:
    """Whether the predictions are there already. RunError where there are others."""
    target = config.out / PREDICTIONS
    if config.overwrite or not target.exists():
        return False
    if read_config(config.out).get("predicted") != key:
        raise RunError(f"{target} is of other images, or by another model. Choose another --out, or give --overwrite.")
    logger.info("%s is finished already.", target)
    return True


def refuse_settings_of_masks(config: PredictConfig) -> None:
    """ConfigError, with every one, for settings that have no sense for a classification run."""
    given = {"--probabilities": config.probabilities, "--polygons": config.polygons != "none"}
    given["--refine"] = config.refine != "none"
    given["--tiles"] = config.tiles != TilingConfig()
    wrong = [
        f"{flag} is for segmentation runs; {config.run} is a classification run" for flag, on in given.items() if on
    ]
    if wrong:
        raise ConfigError(*wrong)


def shares_of(
    network: nn.Module, inputs: Sequence[Input], view: View, outcome: Outcome
) -> Iterator[tuple[Path, Tensor]]:
    """Each input that can be decoded, with the probabilities float32 (C,) of its classes; the rest to ``outcome``."""
    device = next(network.parameters()).device
    with Progress(len(inputs), 0, 1, True, "image") as progress:
        done = 0
        for start in range(0, len(inputs), BATCH):
            chosen = inputs[start : start + BATCH]
            batch: dict[Path, Tensor] = {}
            for each, decoded in read_in_threads(
                lambda each: decode(each.path), chosen, 1, ahead=DECODED_AHEAD, named=lambda each: each.path
            ):
                try:
                    pixels = torch.from_numpy(decoded.result()).permute(2, 0, 1)
                except DecodeError as error:
                    outcome.reasons[each] = error.reason
                    continue
                outcome.pixels += pixels.shape[1] * pixels.shape[2]
                batch[each.path] = view(pixels, 0)
            if batch:
                with torch.no_grad():
                    images = torch.stack(list(batch.values())).to(device, memory_format=torch.channels_last)
                    yield from zip(batch, torch.softmax(network(images).float(), 1).cpu(), strict=True)
            done += len(chosen)
            progress.update(done)
