"""A start for a segmentation model's encoder: the plain backbone is filled, as for any task, and carried over."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import segmentation_models_pytorch as smp
from torch import Tensor, nn, no_grad, random

from headstart.configs.starts import Start, parse_start
from headstart.errors import ConfigError, WeightsError
from headstart.models.backbones import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    TORCHVISION,
    Backbone,
    ChannelStatistics,
    architecture,
    channel_statistics,
    timm_cfg,
    unmeasured_backbone,
)
from headstart.models.downloads import check_hub_files, download
from headstart.models.encoder_decoder import built_side
from headstart.models.encoders import backbone_of, encoder_for, matches_by_order, modern_name, timm_encoder
from headstart.models.exports import BACKBONE
from headstart.models.fcn32s import Fcn32s, Fcn32sSeed
from headstart.models.weight_files import read_state
from headstart.models.weights import MIN_SHARE, load_into, load_start, too_little
from headstart.results import WeightsReport

_log = logging.getLogger(__name__)

_CLASSIFIER = {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2"}
"""The layers of timm's VGG16 that the FCN's are made from; torchvision's have these names after loading."""


class Filled(NamedTuple):
    """What a start gave an encoder; ``mean`` and ``std`` are the channel statistics its weights were trained with."""

    report: WeightsReport
    mean: ChannelStatistics
    std: ChannelStatistics


def fill_encoder(
    network: nn.Module, model: str, encoder: str, image_size: int | None, start: str, allow_partial: bool
) -> Filled | None:
    """Give ``network.encoder`` the weights of a start; None for scratch.

    Args:
        network: whose attribute ``encoder`` is filled; of an ``Fcn32s``, fc6 and fc7 are filled as well where the
            weights have VGG's classifier.
        model, encoder: the names it was built by.
        image_size: side in pixels that it was built for.
        start: in the grammar of ``headstart.configs.starts``.
        allow_partial: accept weights that fill less than 90 % of the encoder.

    Raises:
        ConfigError: the start is not of the grammar, names no run, or the encoder cannot have one.
        WeightsError: the weights cannot be had, cannot be read, or don't fit.
    """
    parsed = parse_start(start)
    if parsed.kind == "scratch":
        return None
    name = backbone_of(model, encoder)
    with random.fork_rng(devices=[]):
        if name is None or _only_here(parsed, encoder, name):
            return _fill_alone(network, encoder, parsed, allow_partial)
        _check_run(parsed, model, name)
        backbone = unmeasured_backbone(name, built_side(image_size))
        report = load_start(backbone, start, allow_partial=True)
    assert report is not None
    report = _carry(backbone, network, encoder, report, allow_partial)
    _log.info("encoder %s: %s", encoder, report)
    return Filled(report, backbone.mean, backbone.std)


def _carry(
    backbone: Backbone, network: nn.Module, encoder: str, loaded: WeightsReport, allow_partial: bool
) -> WeightsReport:
    """Copy what ``loaded`` says was filled of a backbone into the encoder, and report on the encoder."""
    part: Any = network.encoder
    prefix = "features" if isinstance(network, Fcn32s | Fcn32sSeed) else ""  # where it stands in the plain network
    state, target = backbone.network.state_dict(), part.state_dict(prefix=f"{prefix}." if prefix else "")
    sources = _by_order(state, target) if matches_by_order(encoder) else _by_name(state, target)
    missing = set(loaded.missing) | {  # the report does not list a counter that goes with statistics
        name.replace("running_mean", "num_batches_tracked") for name in loaded.missing
    }
    matched = {
        key: name for key, name in sources.items() if name not in missing and state[name].shape == target[key].shape
    }
    known = missing | set(matched.values()) | {name for name in state if name.endswith("num_batches_tracked")}
    sizes = {key: parameter.numel() for key, parameter in part.named_parameters(prefix=prefix)}
    report = WeightsReport(
        source=loaded.source,
        matched=len(matched),
        missing=[key for key in target if key not in matched and not key.endswith("num_batches_tracked")],
        unexpected=loaded.unexpected + [name for name in state if name not in known],
        reshaped=[key for key, name in matched.items() if name in loaded.reshaped],
        share=sum(size for key, size in sizes.items() if key in matched) / max(1, sum(sizes.values())),
    )
    if report.share < MIN_SHARE and not allow_partial:
        raise too_little(report, f"the encoder {encoder}", "--encoder")
    with no_grad():
        for key, name in matched.items():
            target[key].copy_(state[name])
    return _carry_classifier(state, network, report) if isinstance(network, Fcn32s) else report


def _carry_classifier(state: Mapping[str, Tensor], network: Fcn32s, report: WeightsReport) -> WeightsReport:
    """Fill fc6 and fc7 from VGG's classifier, if all of it was loaded; the report says either way."""
    target = network.state_dict()
    pairs = {f"{layer}.{kind}": f"{name}.{kind}" for layer, name in _CLASSIFIER.items() for kind in ("weight", "bias")}
    # what was loaded and is not in the convolutions stands among the unexpected
    whole = all(name in report.unexpected and state[name].shape == target[key].shape for key, name in pairs.items())
    if not whole:
        return report.model_copy(
            update={
                "source": f"{report.source}; fc6 and fc7 stay random, for it has no classifier of VGG16",
                "missing": report.missing + list(pairs),
            }
        )
    with no_grad():
        for key, name in pairs.items():
            target[key].copy_(state[name])
    return report.model_copy(
        update={
            "source": f"{report.source}; fc6 and fc7 from its classifier",
            "matched": report.matched + len(pairs),
            "unexpected": [name for name in report.unexpected if name not in pairs.values()],
        }
    )


def _by_name(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, str]:
    """Which tensor of a plain network is which of its encoder.

    As an encoder, timm's networks stand under ``model.`` (once for segmentation_models_pytorch, and again where timm
    wraps them), and some have the stages taken out of their container: ``stages_0`` for ``stages.0``.
    """
    flat = {name.replace(".", "_"): name for name in state}
    sources = {}
    for key in target:
        name = key.replace(".", "_")
        while name not in flat and name.startswith("model_"):
            name = name.removeprefix("model_")
        if name in flat:
            sources[key] = flat[name]
    return sources


def _by_order(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, str]:
    """The n-th tensor is the n-th; shapes are compared by the caller, and batch norm's counters left out."""
    names, keys = ([key for key in tensors if not key.endswith("num_batches_tracked")] for tensors in (state, target))
    return dict(zip(keys, names, strict=False))


def _only_here(start: Start, encoder: str, backbone: str) -> bool:
    """Whether it is segmentation_models_pytorch alone that has supervised weights of these layers."""
    if start.kind != "supervised" or start.value is not None or backbone.startswith(TORCHVISION):
        return False
    return encoder in smp.encoders.encoders and not timm_cfg(backbone).has_weights


def _check_run(start: Start, model: str, backbone: str) -> None:
    """WeightsError that names the encoder to take, for a pre-training run of another backbone."""
    if start.kind not in ("ssl", "ssl+supervised") or start.value is None:
        return
    try:
        facts = json.loads((Path(start.value) / "export" / f"{BACKBONE}.json").read_text(encoding="utf-8"))
        trained = str(facts["backbone"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # load_start says what is wrong with it
    if architecture(trained) == architecture(backbone):
        return
    try:
        remedy = f"set --encoder {encoder_for(model, trained)}"
    except ConfigError as error:
        remedy = str(error)
    raise WeightsError(f"{start.value} pre-trained {trained}, and this encoder is made of {backbone}; {remedy}")


def _fill_alone(network: nn.Module, encoder: str, start: Start, allow_partial: bool) -> Filled:
    """Fill one of segmentation_models_pytorch's own encoders that no other library has: from its hub, or a file."""
    near = timm_encoder(modern_name(encoder))
    instead = f"--encoder {near}" if near else "an --encoder tu-NAME with a name from timm.list_models()"
    if start.kind != "supervised":
        raise ConfigError(
            f"--start {start}: headstart pretrain has no backbone with the layers of the encoder {encoder}; "
            f"take {instead}"
        )
    part: Any = network.encoder
    own = Backbone(encoder, part, 0, IMAGENET_MEAN, IMAGENET_STD, 224)
    if start.value is not None:
        file = Path(start.value)
        if not file.is_file():
            raise WeightsError(
                f"start {start}: there is no such file, and the encoder {encoder} takes no weights by a timm name; "
                f"check the path, or take {instead}"
            )
        return Filled(load_into(own, read_state(file), str(start), allow_partial), own.mean, own.std)
    settings = smp.encoders.encoders[encoder]["pretrained_settings"]
    tag = "imagenet" if "imagenet" in settings else next(iter(settings))
    donor, facts = download(
        lambda: (
            smp.encoders.get_encoder(encoder, weights=tag),
            smp.encoders.get_preprocessing_params(encoder, tag),
        ),
        encoder,
        f"https://huggingface.co/{settings[tag]['repo_id']}",
    )
    check_hub_files(settings[tag]["repo_id"])
    source = f"supervised (segmentation_models_pytorch {encoder}.{tag})"
    report = load_into(own, donor.state_dict(), source, allow_partial)
    return Filled(report, channel_statistics(facts["mean"]), channel_statistics(facts["std"]))
