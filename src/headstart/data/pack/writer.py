"""Writing a pack: images one after the other into a folder that is renamed once it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from headstart.data.pack.layout import (
    FACTS_FILE,
    INDEX,
    INDEX_FILE,
    NAMES_FILE,
    SHARD_BYTES,
    PackError,
    PackFacts,
    as_bytes,
    shard_file,
)
from headstart.data.pack.reader import crc32
from headstart.errors import HeadstartError

ROWS = 4096
"""Rows of the index that are kept before they are written."""


class Writer:
    """The files of a pack in ``folder``, which is there and empty. Names come in the order of their bytes.

    What the disk refuses is a PackError.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: list[int] = []
        self.n_images = self.n_name_bytes = 0
        self.rows: list[tuple[int, int, int, int, int, int]] = []
        with writing(folder):
            self.index, self.names = _created(folder / INDEX_FILE), _created(folder / NAMES_FILE)
        self.shard: BinaryIO | None = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for file in (self.index, self.names, self.shard):
            if file is not None:
                _closed(file)

    @property
    def n_bytes(self) -> int:
        """What was written."""
        return sum(self.shards) + self.n_name_bytes + INDEX.itemsize * (self.n_images + 1)

    def add(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """The next image: (H, W, 3) uint8."""
        encoded = as_bytes(name)
        height, width, _ = pixels.shape
        with writing(self.folder):
            shard = self._shard_for(pixels.nbytes)
            self.names.write(encoded)
            shard.write(np.ascontiguousarray(pixels).data)
            offset, number = self.shards[-1], len(self.shards) - 1
            self.rows.append((self.n_name_bytes, offset, number, height, width, 0))
            self.shards[-1] += pixels.nbytes
            self.n_name_bytes += len(encoded)
            self.n_images += 1
            if len(self.rows) == ROWS:
                self._write_rows()

    def finish(self, facts: PackFacts) -> None:
        """Flush everything to the disk, and say in pack.json that the pack is whole."""
        with writing(self.folder):
            self.rows.append((self.n_name_bytes, 0, 0, 0, 0, 0))
            self._write_rows()
            for file in (self.index, self.names, self.shard):
                if file is not None:
                    _flushed(file)
            written = {
                "complete": True,
                "n_images": self.n_images,
                "n_bytes": self.n_bytes,
                "shards": tuple(self.shards),
                "sums": {name: crc32(self.folder / name) for name in (INDEX_FILE, NAMES_FILE)},
            }
            write_facts(self.folder, facts.model_copy(update=written))

    def _shard_for(self, size: int) -> BinaryIO:
        if self.shard is None or self.shards[-1] + size > SHARD_BYTES:
            if self.shard is not None:
                _flushed(self.shard)
                self.shard.close()
            self.shard = _created(self.folder / shard_file(len(self.shards)))
            self.shards.append(0)
        return self.shard

    def _write_rows(self) -> None:
        self.index.write(np.array(self.rows, INDEX).tobytes())
        self.rows.clear()


def write_facts(folder: Path, facts: PackFacts) -> None:
    """Write ``pack.json``, flushed to the disk."""
    with (folder / FACTS_FILE).open("wb") as file:
        file.write(facts.model_dump_json(indent=2).encode())
        _flushed(file)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Within this, what the operating system refuses becomes a PackError that says why ``folder`` cannot be written."""
    try:
        yield
    except HeadstartError:
        raise
    except OSError as error:
        raise PackError(
            f"Cannot write {folder}: {error.strerror or error}. Mend that, let HEADSTART_PACKS name a folder on "
            "another disk, or make no pack: --pack-limit 0."
        ) from error


def _created(path: Path) -> BinaryIO:
    return path.open("xb")


def _flushed(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _closed(file: BinaryIO) -> None:
    try:
        file.close()
    except OSError:  # what could not be written has been told of before
        return
