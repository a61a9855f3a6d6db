"""An opened pack: pixels by name, from memory-mapped files that all processes share."""

import fcntl
import mmap
import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.pack.layout import (
    FACTS_FILE,
    INDEX,
    INDEX_FILE,
    NAMES_FILE,
    PackError,
    PackFacts,
    as_bytes,
    read_facts,
    shard_file,
)

CHUNK = 2**22
"""Bytes that are read at a time to be summed."""


def open_pack(folder: Path) -> "Pack":
    """The pack in ``folder``. PackError where it is not whole: a file too short, an index that was changed, a part.

    Index and names are read once and compared with their sums; of the pixels only the shards' lengths are looked at.
    While it is open it is not removed to make room for others.
    """
    facts = read_facts(folder)
    if not facts.complete:
        raise PackError(f"{folder} was never finished. Delete it; it is made anew.")
    for number, size in enumerate(facts.shards):
        _require(folder, shard_file(number), size)
    for name, length in ((INDEX_FILE, (facts.n_images + 1) * INDEX.itemsize), (NAMES_FILE, None)):
        _require(folder, name, length)
        if crc32(folder / name) != facts.sums.get(name):
            raise _damaged(folder, name)
    try:
        return Pack(folder, facts)
    except OSError as error:  # removed in this very moment
        raise PackError(f"{folder} cannot be opened: {error.strerror}.") from error


class Pack:
    """Decoded images by name; made by ``open_pack`` or ``build``. Picklable; forked processes share its pages.

    The index takes 32 bytes an image and the names their own length, all of them mapped, none of them Python objects.
    """

    def __init__(self, folder: Path, facts: PackFacts) -> None:
        self.folder, self.facts = folder, facts
        self.lock = os.open(folder / FACTS_FILE, os.O_RDONLY)
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        self.index = np.frombuffer(_mapped(folder / INDEX_FILE), INDEX)
        self.begins = self.index["name"]
        self.names = _mapped(folder / NAMES_FILE)
        self.shards = [_mapped(folder / shard_file(number)) for number in range(len(facts.shards))]

    def __len__(self) -> int:
        return self.facts.n_images

    @property
    def reasons(self) -> dict[str, str]:
        """Why files could not be decoded, by their names."""
        return {self.name(i): reason for i, reason in self.facts.quarantined.items()}

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return open_pack, (self.folder,)

    def __del__(self) -> None:
        if hasattr(self, "lock"):
            os.close(self.lock)

    def name(self, i: int) -> str:
        """What image ``i`` is called, in the order of the names."""
        return os.fsdecode(self._name(i))

    def find(self, name: str, guess: int = -1) -> int | None:
        """The position of the image called ``name``; None where there is none. A binary search, unless it is at the
        position ``guess``.
        """
        wanted, low, high = as_bytes(name), 0, len(self)
        if 0 <= guess < high and self._name(guess) == wanted:
            return guess
        while low < high:
            middle = (low + high) // 2
            if self._name(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self._name(low) == wanted else None

    def read(self, name: str, guess: int = -1) -> NDArray[np.uint8]:
        """The image called ``name``: uint8 (H, W, 3) RGB in [0, 255], C-contiguous, writable, a copy of the caller's.

        ``guess`` is the position that is looked at first: an image has the same in a set of all images of the pack that
        is sorted by name.

        KeyError where the pack has no such image, or none that could be decoded.
        """
        i = self.find(name, guess)
        if i is None or i in self.facts.quarantined:
            raise KeyError(f"{self.folder} has no image {name}")
        return self.at(i)

    def at(self, i: int) -> NDArray[np.uint8]:
        """Image ``i`` in the order of the names, as ``read`` gives it."""
        _, offset, shard, height, width, _ = self.index[i].item()
        pixels = np.frombuffer(self.shards[shard], np.uint8, count=height * width * 3, offset=offset)
        return pixels.reshape(height, width, 3).copy()

    def _name(self, i: int) -> bytes:
        return bytes(self.names[int(self.begins[i]) : int(self.begins[i + 1])])


def crc32(path: Path) -> int:
    """CRC-32 of a file's content. PackError where it cannot be read."""
    total = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                total = zlib.crc32(chunk, total)
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror}. Delete its folder; it is made anew.") from error
    return total


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def _require(folder: Path, name: str, size: int | None) -> None:
    try:
        found = (folder / name).stat().st_size
    except OSError:
        raise _damaged(folder, name) from None
    if size is not None and found != size:
        raise _damaged(folder, name)


def _damaged(folder: Path, name: str) -> PackError:
    return PackError(f"{folder} is damaged ({name} is not as it was written). Delete it; it is made anew.")
