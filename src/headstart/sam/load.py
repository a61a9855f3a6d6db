"""A Segment Anything model by its short name, from an original checkpoint or from a directory, with a load report."""

import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headstart.errors import MissingExtraError, WeightsError
from headstart.models.weight_files import read_state
from headstart.models.weight_matching import all_finite
from headstart.results import WeightsReport
from headstart.sam.checkpoints import CHECKPOINTS, Checkpoint
from headstart.sam.convert import converted, is_original, settings_of
from headstart.sam.fetch import fetched
from headstart.sam.model import FAMILIES, Sam
from headstart.training.runtime import choose_precision

_log = logging.getLogger(__name__)

POSITIONS = ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")
"""Two names of one tensor."""


def load_sam(name_or_path: str | Path, device: str = "auto", precision: str = "auto") -> tuple[Sam, WeightsReport]:
    """A network ready for ``MaskGenerator``, and what was found in its file.

    Args:
        name_or_path: a short name of ``CHECKPOINTS`` (downloaded at first use), an original ``sam_vit_*.pth`` or
            ``sam_hq_vit_*.pth`` (or a fine-tuned one of the same layout), or a directory as ``save_pretrained`` of
            ``transformers`` writes it.
        device: as PyTorch names it; auto takes CUDA where there is any.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 where it is native.

    Raises:
        WeightsError: unknown name, no such file, not to be downloaded, not of Segment Anything, or incomplete.
        MissingExtraError: ``transformers`` is not installed.
    """
    path, name = Path(name_or_path), str(name_or_path)
    if path.is_dir():
        network, report = _from_directory(path)
    elif path.is_file():
        network, report = _from_state(read_state(path), path.name, None)
    elif name in CHECKPOINTS:
        file = fetched(name, CHECKPOINTS[name])
        network, report = _from_state(read_state(file), name, CHECKPOINTS[name])
    else:
        raise WeightsError(
            f"{name}: there is no such file or directory, and no model of that name; names are {', '.join(CHECKPOINTS)}"
        )
    _log.info(str(report))
    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    return Sam(network, path.name, place, choose_precision(precision, lambda: nn.Linear(1, 1))), report


def _transformers() -> Any:
    """The ``transformers`` package. MissingExtraError where it is not installed."""
    try:
        return import_module("transformers")
    except ImportError:
        raise MissingExtraError("transformers", "sam") from None


def _from_state(state: dict[str, Tensor], source: str, known: Checkpoint | None) -> tuple[nn.Module, WeightsReport]:
    """A network for the tensors of one file, which tell its size or whose name does."""
    package = _transformers()
    if is_original(state):
        state = converted(state)
    if known is not None and known.hiera is not None:
        build, config = package.Sam2Model, _sam2_config(package, known.hiera)
    elif "mask_decoder.hq_token.weight" in state:
        build, config = package.SamHQModel, package.SamHQConfig(**settings_of(state))
    elif "vision_encoder.pos_embed" in state:
        build, config = package.SamModel, package.SamConfig(**settings_of(state))
    else:
        raise WeightsError(
            f"{source} is no checkpoint of SAM or SAM-HQ (none of their tensors is in it). SAM 2.1 is loaded by its "
            "short name, or from a directory with config.json and model.safetensors"
        )
    with torch.device("meta"):  # the tensors of the file become the network's: nothing is held twice
        network = build(config)
    for one, other in (POSITIONS, POSITIONS[::-1]):
        if one not in state and other in state:
            state[one] = state[other]
    return network, _filled(network, state, source)


def _sam2_config(package: Any, hiera: Mapping[str, Any]) -> Any:
    """The config of a published SAM 2.1 for 1024 pixel images."""
    backbone = package.Sam2HieraDetConfig(**hiera)
    channels = list(reversed(hiera["embed_dim_per_stage"]))
    return package.Sam2Config(
        vision_config=package.Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=channels)
    )


def _filled(network: nn.Module, state: Mapping[str, Tensor], source: str) -> WeightsReport:
    """Give a network its tensors, in fp32. A part of Segment Anything is of no use, so none may be missing."""
    target = network.state_dict()
    matched = {key: tensor for key, tensor in state.items() if key in target and tensor.shape == target[key].shape}
    missing = [key for key in target if key not in matched]
    report = WeightsReport(
        source=source,
        matched=len(matched),
        missing=missing,
        unexpected=[key for key in state if key not in target],
        reshaped=[],
        share=sum(target[key].numel() for key in matched) / sum(tensor.numel() for tensor in target.values()),
    )
    _require_whole(report, matched)
    network.load_state_dict(dict(matched), strict=False, assign=True)
    network.float()
    return report


def _from_directory(path: Path) -> tuple[nn.Module, WeightsReport]:
    """A network that ``transformers`` saved."""
    package = _transformers()
    classes = {"sam": package.SamModel, "sam_hq": package.SamHQModel, "sam2": package.Sam2Model}
    try:
        kind = package.AutoConfig.from_pretrained(path, local_files_only=True).model_type
        kind = "sam2" if kind == "sam2_video" else kind
        if kind not in FAMILIES:
            raise WeightsError(f"{path} holds a model of type {kind}; sam, sam_hq and sam2 are known")
        network, found = classes[kind].from_pretrained(
            path, local_files_only=True, weights_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise WeightsError(
            f"cannot load {path} ({reason.strip()[:200]}): it must hold config.json and model.safetensors, as "
            "save_pretrained of transformers writes them"
        ) from None
    tensors = network.state_dict()
    missing = sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])})
    matched = {key: tensor for key, tensor in tensors.items() if key not in missing}
    report = WeightsReport(
        source=str(path),
        matched=len(matched),
        missing=missing,
        unexpected=sorted(found["unexpected_keys"]),
        reshaped=[],
        share=sum(t.numel() for t in matched.values()) / sum(t.numel() for t in tensors.values()),
    )
    _require_whole(report, matched)
    return network, report


def _require_whole(report: WeightsReport, tensors: Mapping[str, Tensor]) -> None:
    if report.missing:
        names = ", ".join(report.missing[:4]) + (" ..." if len(report.missing) > 4 else "")
        raise WeightsError(
            f"{report}. Masks need the whole network, and these are not in the file or of another shape: {names}"
        )
    if not all_finite(tensors.values()):
        raise WeightsError(f"{report.source} holds NaN or infinity: the training it comes from diverged")
