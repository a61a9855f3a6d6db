"""Which outputs of a prediction are finished, so that none is made twice and no other file is replaced."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headstart.errors import RunError
from headstart.inference.inputs import Input
from headstart.inference.parts import file_facts

FILE = "files.csv"
COLUMNS = ("output", "input", "size", "changed", "settings")


@dataclass(frozen=True)
class Entry:
    """From which input (its size and time of change) and with which settings an output was made."""

    size: int
    changed: int
    settings: str


class Ledger:
    """``files.csv`` in --out: a line for each output, written before it is made. An output appears when it is whole."""

    def __init__(self, out: Path, overwrite: bool) -> None:
        self.out, self.overwrite = out, overwrite
        self.entries: dict[str, Entry] = {}
        if not (out / FILE).is_file():
            return
        with (out / FILE).open("r+", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            text = stream.read()
            whole = text[: text.rfind("\n") + 1]
            if whole != text:  # a kill cut the last line short
                stream.seek(0)
                stream.write(whole)
                stream.truncate()
        try:
            for row in csv.DictReader(io.StringIO(whole, newline="")):
                self.entries[row["output"]] = Entry(int(row["size"]), int(row["changed"]), row["settings"])
        except (KeyError, TypeError, ValueError, csv.Error):
            raise RunError(f"{out / FILE} is no list of predicted files, or damaged. Choose another --out.") from None

    def finished(self, source: Input, output: PurePosixPath, settings: str) -> bool:
        """Whether ``output`` is already what it should be.

        RunError where it is there and must not be replaced: made with other settings, or not by this program at all.
        """
        if self.overwrite or not (self.out / output).exists():
            return False
        entry = self.entries.get(str(output))
        if entry is None:
            raise RunError(f"{self.out / output} is in the way. Choose another --out, or give --overwrite.")
        if entry.settings != settings:
            raise RunError(
                f"{self.out / output} was made by another model or with other settings. Choose another --out, "
                "or give --overwrite to make it again."
            )
        facts = file_facts(source.path)
        return (entry.size, entry.changed) == (facts["size"], facts["changed"])

    def made_with(self, output: PurePosixPath) -> str | None:
        """The settings that ``output`` was made with, as far as this folder knows."""
        entry = self.entries.get(str(output))
        return entry.settings if entry else None

    def begin(self, source: Input, outputs: Sequence[PurePosixPath], settings: str) -> None:
        """Say what ``outputs`` will be made from, and remove what is in their places."""
        facts = file_facts(source.path)
        entry = Entry(facts["size"], facts["changed"], settings)
        for output in outputs:
            path = self.out / output
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        untold = [output for output in outputs if self.entries.get(str(output)) != entry]  # a killed call told the rest
        self.entries |= {str(output): entry for output in untold}
        new = not (self.out / FILE).is_file() or not (self.out / FILE).stat().st_size
        with (self.out / FILE).open("a", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = [(output, source.path, entry.size, entry.changed, entry.settings) for output in untold]
            csv.writer(stream).writerows([COLUMNS, *rows] if new else rows)
