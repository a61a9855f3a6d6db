"""A segmenter as two files: model.safetensors, and model.json with all that is needed to build it again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.errors import ConfigError, WeightsError
from headstart.models.backbones import channel_statistics
from headstart.models.exports import read_described, write_described
from headstart.models.segmenters import Segmenter, build_segmenter

_WHAT = "model"


def export_segmenter(segmenter: Segmenter, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a segmenter, for ``read_segmenter`` and for any tool that reads safetensors.

    model.json holds ``model``, ``encoder``, ``n_outputs``, ``image_size`` (pixels it was built for, or null),
    ``fixed_size`` (pixels, or null for any size), ``mean``, ``std``, ``sha256`` (of the weights file) and the given
    facts, which must be plain JSON data and cannot replace these. The keys of the tensors are those of the network:
    of segmentation_models_pytorch (``encoder.``, ``decoder.``, ``segmentation_head.``), or of ``fcn32s.py``.
    """
    description = {
        **facts,
        "model": segmenter.name,
        "encoder": segmenter.encoder_name,
        "n_outputs": segmenter.n_outputs,
        "image_size": segmenter.image_size,
        "fixed_size": segmenter.fixed_size,
        "mean": list(segmenter.mean),
        "std": list(segmenter.std),
    }
    write_described(folder, _WHAT, segmenter.network.state_dict(), description)


def read_segmenter(folder: Path) -> tuple[Segmenter, dict[str, Any]]:
    """A segmenter in evaluation mode, on the CPU, and the facts it was exported with.

    Raises:
        WeightsError: a file is missing, damaged or not of the other, or the model cannot be built from what it says.
    """
    state, facts = read_described(folder, _WHAT, "headstart segment")
    file = folder / f"{_WHAT}.json"
    try:
        size = facts["image_size"]
        segmenter = build_segmenter(
            str(facts["model"]), str(facts["encoder"]), int(facts["n_outputs"]), None if size is None else int(size)
        )
        segmenter.mean, segmenter.std = channel_statistics(facts["mean"]), channel_statistics(facts["std"])
    except ConfigError as error:
        raise WeightsError(f"{file} describes a model that cannot be built here: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{file} is damaged ({error!r}); export the model again") from None
    try:
        segmenter.network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{folder} holds weights of another version of {segmenter.name} with {segmenter.encoder_name} ({reason}); "
            "install the versions of segmentation-models-pytorch and timm that it was made with"
        ) from None
    return segmenter.eval(), facts
