"""Changes to the files of a run, each of which makes it another run in one thing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Edit = Callable[[Path], None]


def in_json(name: str, *keys: str, value: Any) -> Edit:
    """Set one value of a JSON file of the run."""

    def edit(run: Path) -> None:
        raw = json.loads((run / name).read_text())
        inner = raw
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        (run / name).write_text(json.dumps(raw))

    return edit


def nudge(step: int, name: str, by: float) -> Edit:
    """Add ``by`` to a measurement from ``step`` on."""

    def edit(run: Path) -> None:
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for row in rows:
            row["value"] += by * (row["name"] == name and row["step"] >= step)
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    return edit


def interrupt(step: int) -> Edit:
    """Take away what a run that got to ``step`` would not have."""

    def edit(run: Path) -> None:
        (run / "result.json").unlink()
        lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
        (run / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= step))
        for file in (run / "export").iterdir():
            file.unlink()

    return edit


def flip_a_bit(name: str) -> Edit:
    """Change the last byte of a file."""

    def edit(run: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[-1] ^= 1
        (run / name).write_bytes(content)

    return edit


def write(name: str, text: str) -> Edit:
    """Put another text in the place of a file."""
    return lambda run: (run / name).write_text(text) and None


def remove(name: str) -> Edit:
    """Delete a file."""
    return lambda run: (run / name).unlink()
