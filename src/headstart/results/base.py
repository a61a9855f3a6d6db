"""What every result record has in common."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

Interval = tuple[float, float]
Trained = Literal["full", "frozen"]


def held_out_words(part: int, parts: int) -> str:
    """The ``split`` of a result that was judged on a part of the labelled training images, counted from 0."""
    return f"held out of the labelled training images (part {part + 1} of {parts})"


def judged_images(n: int, split: str) -> str:
    """What ``n`` images are that a score is of: validation images, or, with a ``split``, images held out of ..."""
    images = "image" if n == 1 else "images"
    return f"{images} {split}" if split else f"validation {images}"


class Record(BaseModel):
    """Base of all result records: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all (written beside, then renamed)."""
        beside = path.with_name(path.name + ".part")
        beside.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        beside.replace(path)
