"""metrics.jsonl: one measurement a line, appended, and cut back to the checkpoint on resume."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

from headstart.files import refused_write, written_beside


class MetricsLog:
    """Appends measurements to a file. Only the process with ``path`` writes; others pass None.

    ``keep_until`` is the number of finished steps: later lines, and a torn last line, are dropped, because those
    steps will be done again; so are the looks after the last of these steps unless they were all taken (``looked``).
    """

    def __init__(self, path: Path | None, keep_until: int = 0, looked: bool = True) -> None:
        self.path = path
        self.began = time.monotonic()
        if path is None:
            return
        last = keep_until if looked else keep_until - 1
        rows = ((line, json.loads(line)) for line in read_lines(path))
        kept = [line for line, row in rows if row["step"] <= (keep_until if row["split"] == "train" else last)]
        with written_beside(path) as beside:
            beside.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def write(self, step: int, epoch: int, split: str, values: Mapping[str, float]) -> None:
        """Append one line for each value (null for no number); ``step`` counts finished steps, ``epoch`` from 1."""
        if self.path is None:
            return
        lines = measured_lines(step, epoch, split, values, time.monotonic() - self.began)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            raise refused_write(error, self.path) or error from error


def measured_lines(step: int, epoch: int, split: str, values: Mapping[str, float], seconds: float) -> str:
    """What metrics.jsonl says of measurements taken ``seconds`` after its beginning: a line each."""
    shared = {"step": step, "epoch": epoch, "split": split}
    rows = (
        shared | {"name": name, "value": value if math.isfinite(value) else None, "time": round(seconds, 3)}
        for name, value in values.items()
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_lines(path: Path) -> list[str]:
    """The whole lines of a metrics file; a torn last line and a missing file count as nothing."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


def last_values(path: Path, split: str) -> dict[str, float]:
    """The last value of each name of a split."""
    rows = [json.loads(line) for line in read_lines(path)]
    return {row["name"]: row["value"] for row in rows if row["split"] == split and row["value"] is not None}


def values_by_step(path: Path, split: str) -> dict[int, dict[str, float]]:
    """The values of a split by the number of finished steps, then by name."""
    found: dict[int, dict[str, float]] = {}
    for row in map(json.loads, read_lines(path)):
        if row["split"] == split:
            found.setdefault(row["step"], {}).update({} if row["value"] is None else {row["name"]: row["value"]})
    return found


def values_of(path: Path, split: str, name: str) -> list[float]:
    """All values of one name, in the order of the steps."""
    rows = [json.loads(line) for line in read_lines(path)]
    return [row["value"] for row in rows if row["split"] == split and row["name"] == name and row["value"] is not None]
