"""Loading weights into a backbone: never silently. Every load says what matched, and little matching is an error."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, no_grad, random

from headstart.configs.starts import parse_start
from headstart.errors import ConfigError, WeightsError
from headstart.models.backbones import (
    TORCHVISION,
    Backbone,
    ChannelStatistics,
    architecture,
    channel_statistics,
    timm_cfg,
    timm_network,
    torchvision_weights,
)
from headstart.models.downloads import check_hub_files, check_url_file, download
from headstart.models.exports import export_backbone, read_export
from headstart.models.packaged import PACKAGED, convert_by_order, packaged_file
from headstart.models.weight_files import read_state
from headstart.models.weight_matching import Match, all_finite, best_match, fit
from headstart.results import WeightsReport

__all__ = ["MIN_SHARE", "export_backbone", "load_into", "load_start", "read_export", "read_state"]

MIN_SHARE = 0.9
"""Share of a backbone's parameters (elements, buffers aside) that weights must fill."""

_log = logging.getLogger(__name__)


def load_into(
    backbone: Backbone, state: Mapping[str, Tensor], source: str, allow_partial: bool = False
) -> WeightsReport:
    """Copy into a backbone what fits, and report it; a backbone that is refused is left as it was.

    Args:
        state: tensors by name, under any prefix.
        source: what to call the weights in reports and errors.
        allow_partial: accept weights that fill less than 90 % of the parameters.

    Raises:
        WeightsError: too little of the backbone is in the file, or the file holds NaN or infinity.
    """
    match = best_match(state, backbone.network)
    target = backbone.network.state_dict()
    fitted = {key: fit(state[name], target[key], key) for key, name in match.sources.items()}
    matched = {key: tensor.to(target[key].dtype) for key, tensor in fitted.items() if tensor is not None}
    report = _report(backbone, state, match, matched, source)
    if report.share < MIN_SHARE and not allow_partial:
        misfits = [
            f"{key} is {tuple(state[match.sources[key]].shape)} in the file and {tuple(target[key].shape)} here"
            for key in report.missing
            if key in match.sources
        ]
        raise too_little(report, backbone.name, "--backbone", misfits)
    if not all_finite(matched.values()):
        raise WeightsError(f"{source} holds NaN or infinity: the training it comes from diverged; take other weights")
    with no_grad():
        for key, tensor in matched.items():
            target[key].copy_(tensor)
    _log.info(str(report))
    if any("running_" in key for key in report.missing):
        _log.warning("%s lacks batch-norm statistics; a frozen backbone would use untrained ones", source)
    return report


def load_start(backbone: Backbone, start: str, allow_partial: bool = False) -> WeightsReport | None:
    """Give a backbone the weights of a start (the grammar is in ``headstart.configs.starts``); None for scratch.

    Sets ``backbone.mean`` and ``backbone.std`` to those the weights were trained with, where these are known. torch's
    random state is afterwards as before, so that a start does not decide what is drawn after it.

    Raises:
        ConfigError: the start is not of the grammar, or names no run.
        WeightsError: the weights cannot be had, cannot be read, or don't fit.
    """
    with random.fork_rng(devices=[]):
        return _load_start(backbone, start, allow_partial)


def _load_start(backbone: Backbone, start: str, allow_partial: bool) -> WeightsReport | None:
    parsed = parse_start(start)
    if parsed.kind == "scratch":
        return None
    if parsed.kind in ("ssl", "ssl+supervised"):
        if parsed.value is None:
            raise ConfigError(f"start {start!r} names no pre-training run; write {parsed.kind}=RUN")
        return _load_run(backbone, Path(parsed.value), start, allow_partial)
    if parsed.value is not None and Path(parsed.value).is_file():
        return load_into(backbone, read_state(Path(parsed.value)), start, allow_partial)
    name = parsed.value or backbone.name
    if name.startswith(TORCHVISION):
        return _load_torchvision(backbone, name, allow_partial)
    if not timm.is_model(architecture(name)):
        raise WeightsError(f"start {start!r}: there is no such file, and timm has no such model; check the spelling")
    if parsed.value is None and (file := packaged_file(architecture(name))) is not None:
        return _load_packaged(backbone, file, allow_partial)
    return _load_timm(backbone, name, allow_partial)


def require_start(start: str) -> None:
    """WeightsError where a start names a run that is not there, or is a segmentation's; no weights are read."""
    parsed = parse_start(start)
    if parsed.value is None or parsed.kind not in ("ssl", "ssl+supervised"):
        return
    run = Path(parsed.value)
    if not run.is_dir():
        raise WeightsError(f"start {start!r}: there is no folder {run}; name the directory of a pre-training run")
    if (run / "export" / "model.json").is_file():
        raise WeightsError(f"{run} is a segmentation run, and {parsed.kind}= takes a pre-training run")


def _load_run(backbone: Backbone, run: Path, start: str, allow_partial: bool) -> WeightsReport:
    """Weights that ``headstart pretrain`` exported; ``run`` is its directory."""
    require_start(start)
    state, facts = read_export(run / "export")
    mean, std = _statistics(run, facts)
    _check_kind(run, facts, parse_start(start).kind)
    if architecture(str(facts["backbone"])) != architecture(backbone.name):
        raise WeightsError(
            f"{run} pre-trained {facts['backbone']}, not {backbone.name}; "
            f"set --backbone {facts['backbone']} or pre-train anew"
        )
    try:
        status = json.loads((run / "result.json").read_text(encoding="utf-8")).get("status", "finished")
    except (OSError, ValueError, AttributeError):
        status = "finished"
    if status != "finished":
        _log.warning("%s: this pre-training %s; its last good weights are used, expect little of them", run, status)
    report = load_into(backbone, state, start, allow_partial)
    backbone.mean, backbone.std = mean, std
    return report


def _statistics(run: Path, facts: Mapping[str, Any]) -> tuple[ChannelStatistics, ChannelStatistics]:
    """Mean and std that an export says; WeightsError where it does not, or they are no such numbers."""
    try:
        mean, std = channel_statistics(facts["mean"]), channel_statistics(facts["std"])
        if not (all(map(math.isfinite, mean + std)) and min(std) > 0):
            raise ValueError(f"mean {mean}, std {std}")
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{run}/export/backbone.json is damaged ({error!r}); export the backbone again") from None
    return mean, std


def _check_kind(run: Path, facts: Mapping[str, Any], kind: str) -> None:
    """WeightsError unless ``run`` pre-trained and began from what ``kind`` says; silence is believed."""
    if "classes" in facts:
        raise WeightsError(
            f"{run} is a classification run, and {kind}= takes a pre-training run. To begin from its "
            f"weights, which have seen labels, write supervised={run / 'export' / 'backbone.safetensors'}"
        )
    began = str(facts.get("start", ""))
    if kind == "ssl+supervised" and began == "scratch":
        raise WeightsError(f"{run} was pre-trained from random weights; write ssl={run}")
    if kind == "ssl" and began.startswith("supervised"):
        raise WeightsError(f"{run} was pre-trained from supervised weights; write ssl+supervised={run}")


def _load_packaged(backbone: Backbone, file: Path, allow_partial: bool) -> WeightsReport:
    """Weights from an installed package instead of a download."""
    name = architecture(backbone.name)
    packaged = PACKAGED[name]
    _log.info("supervised weights of %s: %s, from the package %s", name, packaged.provenance, packaged.distribution)
    state = convert_by_order(read_state(file), name)
    report = load_into(backbone, state, f"supervised ({packaged.distribution})", allow_partial)
    backbone.mean, backbone.std = packaged.mean, packaged.std
    return report


def _load_timm(backbone: Backbone, name: str, allow_partial: bool) -> WeightsReport:
    """Weights that timm downloads (or has in its cache)."""
    cfg = timm_cfg(name)
    if not (cfg.has_weights):
        raise WeightsError(f"timm has no pretrained weights of {name}; give a file: supervised=FILE")
    origin = f"https://huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else cfg.url
    network = download(lambda: timm_network(name, backbone.image_size, pretrained=True), name, origin)
    if cfg.hf_hub_id:
        check_hub_files(cfg.hf_hub_id)
    else:
        check_url_file(cfg.url)
    tag = f"{architecture(name)}.{cfg.tag}" if cfg.tag else name
    report = load_into(backbone, network.state_dict(), f"supervised (timm {tag})", allow_partial)
    backbone.mean, backbone.std = channel_statistics(cfg.mean), channel_statistics(cfg.std)
    return report


def _load_torchvision(backbone: Backbone, name: str, allow_partial: bool) -> WeightsReport:
    """Weights that torchvision downloads (or has in its cache)."""
    weights = torchvision_weights(name)
    if weights is None:
        raise WeightsError(f"torchvision has no pretrained weights of {name!r}; give a file: supervised=FILE")
    options = {"progress": False, "check_hash": True, "weights_only": True}
    state = download(lambda: weights.get_state_dict(**options), name, weights.url)
    check_url_file(weights.url)
    report = load_into(backbone, state, f"supervised ({TORCHVISION}{weights})", allow_partial)
    preprocessing = weights.transforms()
    backbone.mean, backbone.std = channel_statistics(preprocessing.mean), channel_statistics(preprocessing.std)
    return report


def _report(
    backbone: Backbone, state: Mapping[str, Tensor], match: Match, matched: Mapping[str, Tensor], source: str
) -> WeightsReport:
    """Count what fitted. A missing ``num_batches_tracked`` is no loss and not listed."""
    target = backbone.network.state_dict()
    sizes = {key: parameter.numel() for key, parameter in backbone.network.named_parameters()}
    used = {match.sources[key] for key in matched}
    filled = sum(size for key, size in sizes.items() if key in matched)
    return WeightsReport(
        source=f"{source}, under {match.prefix!r}" if match.prefix else source,
        matched=len(matched),
        missing=[key for key in target if key not in matched and not key.endswith("num_batches_tracked")],
        unexpected=[key for key in state if key not in used],
        reshaped=[key for key in matched if state[match.sources[key]].shape != target[key].shape],
        share=filled / max(1, sum(sizes.values())),
    )


def too_little(report: WeightsReport, name: str, flag: str, misfits: Sequence[str] = ()) -> WeightsError:
    """The error for weights that fill too little of a network, with a few examples of each kind of misfit.

    ``flag`` is what the network was chosen by.
    """
    lines = [
        f"{report.source}: fills {report.share:.1%} of the parameters of {name}; at least {MIN_SHARE:.0%} are needed",
        f"  missing in the file: {_few(report.missing)}",
        f"  unknown to the {flag.removeprefix('--')}: {_few(report.unexpected)}",
        *([f"  of another shape: {_few(misfits)}"] if misfits else []),
        f"Check that the file is of this {flag}, or accept it as it is with --allow-partial-weights",
    ]
    return WeightsError("\n".join(lines))


def _few(names: Sequence[str], n: int = 4) -> str:
    """The first few of many names."""
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "") if names else "none"
