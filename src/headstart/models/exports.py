"""A backbone as two files: backbone.safetensors with the library's own keys, and backbone.json that describes it."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from headstart.errors import WeightsError
from headstart.models.backbones import Backbone
from headstart.models.weight_files import read_state

WEIGHTS_FILE = "backbone.safetensors"
FACTS_FILE = "backbone.json"


def export_backbone(backbone: Backbone, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a backbone for use elsewhere: ``timm.create_model(name, num_classes=0).load_state_dict(...)`` takes it.

    backbone.json holds ``backbone`` (the name), ``feature_size``, ``mean``, ``std``, ``image_size`` (pixels),
    ``sha256`` (of the weights file) and the given facts, which must be plain JSON data and cannot replace these.
    Each file is written beside, flushed to the disk and renamed; a reader that comes between the two renames finds a
    sha256 that does not fit, never half a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for key, tensor in backbone.network.state_dict().items()
    }
    part = folder / f"{WEIGHTS_FILE}.part"
    safetensors.torch.save_file(state, part, metadata={"format": "pt"})
    description = {
        **facts,
        "backbone": backbone.name,
        "feature_size": backbone.feature_size,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "image_size": backbone.image_size,
        "sha256": _sha256(part),
    }
    facts_part = folder / f"{FACTS_FILE}.part"
    facts_part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    for written, name in ((part, WEIGHTS_FILE), (facts_part, FACTS_FILE)):
        with written.open("rb+") as file:
            os.fsync(file.fileno())
        written.replace(folder / name)


def read_export(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts of an export folder.

    Raises:
        WeightsError: a file is missing or unreadable, or the weights are not those that backbone.json was written for.
    """
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        expected, _ = facts["sha256"], facts["backbone"]
        actual = _sha256(folder / WEIGHTS_FILE)
    except OSError as error:
        raise WeightsError(
            f"{folder} is not an export ({Path(str(error.filename)).name}: {error.strerror}); "
            f"it must hold {WEIGHTS_FILE} and {FACTS_FILE}, as headstart pretrain writes them at the end"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / FACTS_FILE} is damaged ({error!r}); export the backbone again") from None
    if actual != expected:
        raise WeightsError(
            f"{folder / WEIGHTS_FILE} is not the file that {FACTS_FILE} describes "
            f"(sha256 {actual[:12]}..., expected {str(expected)[:12]}...); copy both again or export again"
        )
    return read_state(folder / WEIGHTS_FILE), facts


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
