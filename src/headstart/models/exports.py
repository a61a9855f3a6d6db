"""A backbone as two files: backbone.safetensors with the library's own keys, and backbone.json that describes it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from headstart.errors import WeightsError
from headstart.files import written_beside
from headstart.models.backbones import Backbone
from headstart.models.weight_files import read_state, write_state

BACKBONE = "backbone"
"""Name of the two files of a backbone's export, without the endings."""


def export_backbone(backbone: Backbone, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a backbone for use elsewhere: ``timm.create_model(name, num_classes=0).load_state_dict(...)`` takes it.

    backbone.json holds ``backbone`` (the name), ``feature_size``, ``mean``, ``std``, ``image_size`` (pixels),
    ``sha256`` (of the weights file) and the given facts, which must be plain JSON data and cannot replace these.
    """
    description = {
        **facts,
        "backbone": backbone.name,
        "feature_size": backbone.feature_size,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "image_size": backbone.image_size,
    }
    write_described(folder, BACKBONE, backbone.network.state_dict(), description)


def read_export(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts of an export folder.

    Raises:
        WeightsError: a file is missing or unreadable, or the weights are not those that backbone.json was written for.
    """
    return read_described(folder, BACKBONE, "headstart pretrain")


def write_described(folder: Path, what: str, state: Mapping[str, Tensor], facts: Mapping[str, object]) -> None:
    """Write tensors and what there is to say of them: WHAT.safetensors, and WHAT.json with a ``sha256`` of the former.

    Each file is written beside, flushed to the disk and renamed; a reader that comes between the two renames finds a
    sha256 that does not fit, never half a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        written_beside(folder / f"{what}.json", durable=True) as facts_part,
        written_beside(folder / f"{what}.safetensors", durable=True) as part,
    ):
        write_state(part, state)
        facts_part.write_text(json.dumps({**facts, "sha256": file_sha256(part)}, indent=2) + "\n", encoding="utf-8")


def read_described(folder: Path, what: str, writer: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts of what ``write_described`` wrote; ``writer`` is the command that does so.

    Raises:
        WeightsError: a file is missing or unreadable, or the weights are not those that the facts were written for.
    """
    weights_file, facts_file = f"{what}.safetensors", f"{what}.json"
    try:
        facts = json.loads((folder / facts_file).read_text(encoding="utf-8"))
        expected, _ = facts["sha256"], facts[what]
        actual = file_sha256(folder / weights_file)
    except OSError as error:
        raise WeightsError(
            f"{folder} is not an export ({Path(str(error.filename)).name}: {error.strerror}); "
            f"it must hold {weights_file} and {facts_file}, as {writer} writes them at the end"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{folder / facts_file} is damaged ({error!r}); export the {what} again") from None
    if actual != expected:
        raise WeightsError(
            f"{folder / weights_file} is not the file that {facts_file} describes "
            f"(sha256 {actual[:12]}..., expected {str(expected)[:12]}...); copy both again or export again"
        )
    return read_state(folder / weights_file), facts


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
