"""Writing a file whole or not at all, and what it means when the machine does not let us read or write one."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.errors import HeadstartError, MachineError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
FULL_BELOW = 2**15
"""Bytes."""
UNREACHABLE = {errno.ESTALE, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN}
"""What a disk or a network file system says that has gone away, or a file on it whose handle went stale."""
SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
RESUME = "What was finished before is kept: run the same command again, a training with --resume."
OS_ERROR = re.compile(r"\(os error (\d+)\)|\bcode: (\d+)")
"""How libraries written in Rust tell an error number."""


@contextmanager
def written_beside(path: Path, durable: bool = False) -> Iterator[Path]:
    """A path to write to, which is renamed to ``path`` at the end: a reader sees the old file or the new one.

    Where writing fails nothing is left beside, and what is at ``path`` stays as it was. ``durable`` flushes the file
    and its folder to the disk first. Raises MachineError where the disk is full, read-only or gone.
    """
    beside = path.with_name(path.name + ".part")
    try:
        yield beside
        if durable:
            _flush(beside)
        beside.replace(path)
        if durable:
            _flush(path.parent)
    except BaseException as error:
        refusal = refused_write(error, path) if isinstance(error, Exception) else None
        _remove(beside)
        if refusal is None:
            raise
        raise refusal from error


def make_folder(path: Path) -> None:
    """Make a folder where there is none, and those above it. MachineError where the machine does not let us."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused_write(error, path) or error from error


def refused_write(error: BaseException, path: Path) -> MachineError | None:
    """What to tell when writing ``path`` failed; None where the machine is not to blame."""
    if isinstance(error, HeadstartError):
        return None
    found = os_error_in(error) or (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if _is_full(path.parent) else None)
    if found is None:
        return None
    code, words = found.errno, found.strerror or str(found)
    if code in DISK_FULL:
        reason = f"the disk is full ({_free(path.parent)}). Free some space or take another --out"
    elif code == errno.EFBIG:
        reason = "the file would be larger than this machine allows (ulimit -f). Raise that limit"
    elif code == errno.EROFS:
        reason = "the disk is read-only. Mount it for writing or take another --out"
    elif code in (errno.EACCES, errno.EPERM):
        reason = "no permission to write there. Change that or take another --out"
    elif code in UNREACHABLE or (code == errno.ENOENT and not path.parent.is_dir()):
        reason = f"its folder is gone or does not answer ({words}). Bring the disk or network share back"
    else:
        reason = f"{words}. Mend that or take another --out"
    return MachineError(f"Cannot write {path}: {reason}. {RESUME}")


def refused_read(error: BaseException, path: Path) -> MachineError | None:
    """What to tell when the machine, and not the file, is to blame that ``path`` cannot be read; else None."""
    if isinstance(error, MemoryError):
        return MachineError(f"Cannot read {path}: the machine has not enough free memory for it. {RESUME}")
    found = os_error_in(error)
    if found is None or found.errno not in UNREACHABLE | SHORT_OF:
        return None
    words = found.strerror or str(found)
    cause = "its disk or network share fails" if found.errno in UNREACHABLE else "the machine is short of something"
    return MachineError(f"Cannot read {path}: {cause} ({words}). Mend that. {RESUME}")


def os_error_in(error: BaseException | None) -> OSError | None:
    """The operating system's error in ``error`` or behind it: libraries wrap it, or put its number in their text."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        told = OS_ERROR.search(str(error))
        if told and not isinstance(error, HeadstartError):
            code = int(told[1] or told[2])
            return OSError(code, os.strerror(code))
        error = error.__cause__ or error.__context__
    return None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a disk that is gone takes its files with it
        return


def _is_full(folder: Path) -> bool:
    """Whether next to nothing fits any more: GDAL, for one, fails on a full disk without a number."""
    try:
        return shutil.disk_usage(folder).free < FULL_BELOW
    except OSError:
        return False


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 2**20:.1f} MB free in {folder}"
    except OSError:
        return f"{folder} does not answer"
