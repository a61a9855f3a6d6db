"""What a pack looks like on disk: a folder of files that are only ever written once.

======================  ================================================================================
``pack.json``           what it holds and how it was made (``PackFacts``); written last
``index.bin``           32 bytes an image (``INDEX``), in the order of the names, and one row more
``names.bin``           the names as bytes (file system encoding), sorted, one behind the other
``shard-00000.bin``     pixels, uint8 (H, W, 3), one image behind the other; the next shard begins at 1 GB
======================  ================================================================================

Image ``i`` is called ``names[index[i]["name"] : index[i + 1]["name"]]``.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from headstart.errors import MachineError

SCHEMA = 1
INDEX = np.dtype(
    [("name", "<u8"), ("offset", "<u8"), ("shard", "<u4"), ("height", "<u4"), ("width", "<u4"), ("unused", "<u4")]
)
"""Where an image's name begins in names.bin and its pixels in a shard (both in bytes), and its size in pixels."""
SHARD_BYTES = 2**30
"""A shard that an image would make longer than this is followed by another."""
FACTS_FILE, INDEX_FILE, NAMES_FILE = "pack.json", "index.bin", "names.bin"


class PackError(MachineError):
    """A pack cannot be made or read: damaged, no room, no permission. Training goes on without one."""


class PackFacts(BaseModel):
    """``pack.json``. ``settings`` are all that decides on the pixels beside the files; ``sums`` are CRC-32."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    complete: bool
    key: str
    settings: dict[str, Any]
    n_images: int
    n_bytes: int
    """Of all files but this one; of a part, how many there will be."""
    shards: tuple[int, ...] = ()
    """Bytes of each shard."""
    sums: dict[str, int] = {}
    quarantined: dict[int, str] = {}
    """Position -> reason of each file that could not be decoded; its height and width are 0."""


def shard_file(number: int) -> str:
    """The file name of a shard."""
    return f"shard-{number:05}.bin"


def as_bytes(name: str) -> bytes:
    """A name as names.bin has it, whatever bytes the file system gave it."""
    return os.fsencode(name)


def read_facts(folder: Path) -> PackFacts:
    """``pack.json`` of a folder. PackError where there is none that can be read, or of another schema."""
    try:
        facts = PackFacts.model_validate_json((folder / FACTS_FILE).read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its pack.json is damaged"
        raise PackError(f"{folder} is not a pack that can be read: {reason}. Delete it; it is made anew.") from None
    if facts.schema_version != SCHEMA:
        raise PackError(f"{folder} is a pack of another headstart (schema {facts.schema_version}). Delete it.")
    return facts
