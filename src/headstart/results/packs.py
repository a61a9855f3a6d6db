"""The result of packing images."""

from typing import Literal

from headstart.results.base import SCHEMA_VERSION, Record


class PackedSide(Record):
    """A pack of the training or the validation images: where, how many, bytes, and path -> reason of what failed."""

    folder: str
    n_images: int
    n_bytes: int
    quarantined: dict[str, str]


class DataPackResult(Record):
    """Result of ``headstart data pack``. ``side``: pixels that the shorter side of an image has at most."""

    schema_version: int = SCHEMA_VERSION
    task: Literal["data pack"] = "data pack"
    spec: str
    description: str
    side: int
    seconds: float
    packs: list[PackedSide]
