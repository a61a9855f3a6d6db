"""What every result record has in common."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from headstart.errors import RunError
from headstart.files import written_beside

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


def printable(text: str) -> str:
    """Text that any file can hold: bytes of a file name that are no UTF-8 become ``\\udcNN``, as in a terminal."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _printable_within(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_printable_within(key): _printable_within(each) for key, each in value.items()}
    return [_printable_within(each) for each in value] if isinstance(value, list) else value


def refuse_other_results(folder: Path | None, task: str) -> None:
    """RunError where ``folder`` holds a run, or the result of anything but ``task``, which must not be lost."""
    if folder is None:
        return
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8")).get("task")
    except FileNotFoundError:
        found = task
    except (OSError, ValueError, AttributeError):
        found = "unknown kind"
    if found != task or (folder / "config.json").exists():
        raise RunError(f"{folder} holds the result of another command ({found}). Choose another --out.")


class Record(BaseModel):
    """Base of all result records: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _names_as_text(cls, given: Any) -> Any:
        return _printable_within(given)

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all (written beside, then renamed)."""
        with written_beside(path) as beside:
            beside.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
