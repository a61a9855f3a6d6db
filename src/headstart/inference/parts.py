"""Finished parts of a long prediction, kept beside its output until it is whole."""

import hashlib
import json
import shutil
import zlib
from pathlib import Path

import numpy as np

from headstart.errors import RunError
from headstart.files import written_beside

KEY_FILE = "key.json"
COMPRESSION = 1


class Parts:
    """uint8 arrays by name in a folder that belongs to one ``key``; each is there whole or not at all.

    A folder that was begun under another key is emptied: its parts are of another model, input or setting.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        known = folder / KEY_FILE
        if not (known.is_file() and known.read_text(encoding="utf-8") == key):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._write(known, key.encode())

    def __contains__(self, name: str) -> bool:
        return self._path(name).is_file()

    def save(self, name: str, array: np.ndarray) -> None:
        """Keep the bytes of ``array``, uint8 or of another type that ``load``'s caller views them as."""
        self._write(self._path(name), zlib.compress(array.tobytes(), COMPRESSION))

    def load(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The array that was saved as ``name``; its shape is the caller's to know."""
        try:
            packed = zlib.decompress(self._path(name).read_bytes())
            return np.frombuffer(packed, dtype=np.uint8).reshape(shape)
        except (zlib.error, ValueError) as error:
            raise RunError(
                f"{self._path(name)} is damaged ({error}). Delete it, and give the same command again."
            ) from None

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        shutil.rmtree(self.folder)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.z"

    def _write(self, path: Path, content: bytes) -> None:
        with written_beside(path, durable=True) as beside:
            beside.write_bytes(content)


def key_of(**facts: object) -> str:
    """A key that is the same only for equal facts, which are plain JSON data."""
    return json.dumps(facts, sort_keys=True)


def short(key: str) -> str:
    """A key as 16 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def file_facts(path: Path) -> dict[str, int]:
    """What changes when a file's content does: size in bytes and time of the last change in nanoseconds."""
    state = path.stat()
    return {"size": state.st_size, "changed": state.st_mtime_ns}
