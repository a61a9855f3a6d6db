"""Checkpoints: written beside, flushed to disk, renamed; so a kill leaves the old one or the new one, never half.

A checkpoint is what ``torch.save`` writes, a zip file, and carries the SHA-256 of its content as the zip's comment:
PyTorch does not check what it reads, so that a flipped bit would otherwise be taken for a weight.
"""

import hashlib
import logging
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import torch

from headstart.errors import MachineError, RunError
from headstart.files import written_beside
from headstart.models.weight_files import CodeInFileError, load_data

logger = logging.getLogger(__name__)

TAG = b"headstart-sha256:"
COMMENT_BYTES = len(TAG) + 2 * hashlib.sha256().digest_size
LENGTH_BYTES = 2
"""A zip file ends with the length of its comment (little-endian), then the comment."""
BLOCK_BYTES = 1 << 20


class DamagedCheckpointError(RunError):
    """A checkpoint is truncated, altered, or holds more than tensors and plain values."""


def previous_of(path: Path) -> Path:
    """Where the checkpoint goes that was at ``path`` before: ``last.ckpt`` -> ``last-previous.ckpt``."""
    return path.with_name(f"{path.stem}-previous{path.suffix}")


def save_checkpoint(path: Path, state: dict[str, Any], keep_previous: bool = False) -> None:
    """Write ``state`` (tensors and plain values) to ``path`` atomically and durably, with its checksum.

    With ``keep_previous`` the one that was there is kept as ``previous_of(path)``.
    """
    with written_beside(path, durable=True) as beside:
        with beside.open("w+b") as file:
            torch.save(state, file)
            sign(file)
            file.flush()
            os.fsync(file.fileno())
        if keep_previous and path.is_file():
            path.replace(previous_of(path))  # a kill before the next rename leaves this one to go on from


def sign(file: IO[bytes]) -> None:
    """Append the checksum of a zip file without a comment to it, as its comment."""
    size = file.seek(0, os.SEEK_END) - LENGTH_BYTES
    checksum = sha256_of(file, size)
    file.seek(size)
    file.write(struct.pack("<H", COMMENT_BYTES) + TAG + checksum)


def intact(path: Path) -> bool:
    """Whether the content of a checkpoint is that of its checksum; one without, of an older headstart, passes."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - COMMENT_BYTES
        if size < LENGTH_BYTES:
            return True
        file.seek(size)
        comment = file.read()
        return not comment.startswith(TAG) or comment == TAG + sha256_of(file, size - LENGTH_BYTES)


def sha256_of(file: IO[bytes], size: int) -> bytes:
    """SHA-256 of the first ``size`` bytes of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (block := file.read(min(size, BLOCK_BYTES))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest().encode()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU. DamagedCheckpointError when it is not what was written, or no checkpoint;
    MachineError when its disk does not let it be read.
    """
    try:
        sound = intact(path)
        state: dict[str, Any] = load_data(path) if sound else {}
    except CodeInFileError as refusal:
        raise DamagedCheckpointError(f"{path} is not a checkpoint but {refusal}") from None
    except OSError as error:
        raise MachineError(f"Cannot read the checkpoint {path}: {error.strerror or error}.") from error
    except Exception as error:  # damaged bytes make the reader fail in ways that no list of exceptions covers
        raise DamagedCheckpointError(f"{path} cannot be read as a checkpoint: {first_line(error)}") from error
    if not sound:
        raise DamagedCheckpointError(f"{path} is damaged: its content does not have the checksum it was written with")
    return state


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def load_soundest(paths: Sequence[Path]) -> tuple[dict[str, Any], Path]:
    """The first of the checkpoints that is there and sound, and which it is; a warning names those that were not.

    Raises DamagedCheckpointError with all that is wrong where none is left.
    """
    damages: list[str] = []
    for path in filter(Path.is_file, paths):
        try:
            state = load_checkpoint(path)
        except DamagedCheckpointError as damage:
            damages.append(str(damage))
            continue
        if damages:
            logger.warning("%s. The one before it is used: %s, of step %d.", ". ".join(damages), path, state["step"])
        return state, path
    raise DamagedCheckpointError(". ".join([*damages, f"No sound checkpoint is left in {paths[0].parent}."]))


def set_aside(paths: Sequence[Path]) -> None:
    """Rename damaged checkpoints to NAME.damaged, so that they are neither kept as the one before nor lost."""
    for path in filter(Path.is_file, paths):
        path.replace(path.with_name(path.name + ".damaged"))
