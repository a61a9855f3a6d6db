"""What every result record has in common."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

Interval = tuple[float, float]
Trained = Literal["full", "frozen"]


class Record(BaseModel):
    """Base of all result records: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all (written beside, then renamed)."""
        beside = path.with_name(path.name + ".part")
        beside.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        beside.replace(path)
