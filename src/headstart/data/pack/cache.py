"""The folder of packs: where it is, who may write into it, and how it stays within its limit.

Packs that were not used for longest are removed first; one that a process has open is never removed. What a killed
process left behind (``KEY.part``) is removed by the next that makes a pack.
"""

import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headstart.data.bluemarble import cache_folder
from headstart.data.pack.layout import FACTS_FILE, PackError, PackFacts, read_facts
from headstart.data.pack.writer import write_facts, writing

logger = logging.getLogger(__name__)

GB = 10**9
PART, LOCKS = ".part", "locks"
OURS = re.compile(rf"[0-9a-f]{{64}}({re.escape(PART)})?")
"""Names of packs and their parts. Whatever else lies in the folder is someone's, and stays."""
LOOK_EVERY_SECONDS = 0.1
SPARE_BYTES = 2**26
"""What is left free on a disk for others."""


def packs_folder() -> Path:
    """$HEADSTART_PACKS, else ``packs`` in the cache folder."""
    own = os.environ.get("HEADSTART_PACKS")
    return Path(own).expanduser() if own else cache_folder() / "packs"


@contextmanager
def locked(folder: Path, name: str, wait: bool = True) -> Iterator[bool]:
    """Hold the lock ``name`` of a folder of packs; False, at once, where another has it and ``wait`` is false.

    It ends with the process. The empty file stays: removing it could give two processes the lock. PackError where the
    file system has no locks or cannot be written.
    """
    with writing(folder):
        (folder / LOCKS).mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCKS / name, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _lock(handle, folder, wait)
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, wait: bool) -> bool:
    told = False
    while not _got(handle, folder):
        if not wait:
            return False
        if not told:
            logger.info("Another process is making a pack in %s; waiting for it.", folder)
            told = True
        time.sleep(LOOK_EVERY_SECONDS)
    return True


def _got(handle: int, folder: Path) -> bool:
    with writing(folder):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@dataclass(frozen=True)
class Kept:
    """A pack, or a part of one, in a folder of packs."""

    folder: Path
    n_bytes: int
    used: float
    """Seconds since 1970."""


def used(folder: Path) -> None:
    """Note that a pack was used just now."""
    try:
        os.utime(folder / FACTS_FILE)
    except OSError:  # another user's: it cannot be removed by this one either
        return


def reserve(folder: Path, planned: PackFacts, limit: float) -> Path:
    """Remove packs from ``folder`` until another stays within ``limit`` GB, and make the part that it is written to.

    The caller holds the lock of its key. PackError where there is no room: it is too large, others are in use, or the
    disk has not so much free.
    """
    needed = planned.n_bytes
    if needed > limit * GB:
        raise PackError(f"A pack of these images takes {gigabytes(needed)}, more than --pack-limit {limit:g} (GB).")
    with locked(folder, "room"):
        part = folder / f"{planned.key}{PART}"
        shutil.rmtree(part, ignore_errors=True)
        remove_parts(folder)
        _evict(folder, needed, limit)
        free = shutil.disk_usage(folder).free
        if needed + SPARE_BYTES > free:
            raise PackError(
                f"A pack takes {gigabytes(needed)}, and the disk of {folder} has {gigabytes(free)} free. Make room."
            )
        try:
            with writing(part):
                part.mkdir()
                write_facts(part, planned)
        except PackError:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return part


def _evict(folder: Path, needed: int, limit: float) -> None:
    kept = sorted(_kept(folder), key=lambda each: each.used)
    total = sum(each.n_bytes for each in kept)
    for each in kept:
        if total + needed <= limit * GB:
            return
        if _removed(each):
            total -= each.n_bytes
    if total + needed > limit * GB:
        raise PackError(
            f"A pack of {gigabytes(needed)} does not fit beside those in use in {folder} ({gigabytes(total)}) within "
            f"--pack-limit {limit:g} (GB). Raise it."
        )


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left: parts whose lock nobody holds."""
    for part in folder.glob(f"*{PART}"):
        if not OURS.fullmatch(part.name):
            continue
        with locked(folder, part.name.removesuffix(PART), wait=False) as ours:
            if ours:
                shutil.rmtree(part, ignore_errors=True)


def _kept(folder: Path) -> Iterator[Kept]:
    for each in folder.iterdir():
        if not OURS.fullmatch(each.name) or not each.is_dir():
            continue
        try:
            yield Kept(each, read_facts(each).n_bytes, (each / FACTS_FILE).stat().st_mtime)
        except (PackError, OSError):
            yield Kept(each, sum(file.stat().st_size for file in each.glob("*.bin")), 0.0)


def _removed(kept: Kept) -> bool:
    """Remove a pack that no process has open or is making; whether it was removed."""
    with locked(kept.folder.parent, kept.folder.name.removesuffix(PART), wait=False) as ours:
        if not ours or not _unused(kept.folder):
            return False
        discard(kept.folder)
    logger.info("Removed the pack %s (%s), not used for longest, to make room.", kept.folder, gigabytes(kept.n_bytes))
    return True


def discard(pack: Path) -> None:
    """Remove a pack, whose lock the caller holds. It is renamed first: a reader finds all of it or nothing."""
    aside = pack.with_name(pack.name.removesuffix(PART) + PART)
    with writing(pack):
        if aside != pack:
            shutil.rmtree(aside, ignore_errors=True)
            pack.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _unused(pack: Path) -> bool:
    """Whether no process has the pack open."""
    try:
        with (pack / FACTS_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def gigabytes(n_bytes: int) -> str:
    """A size in words."""
    return f"{n_bytes / GB:.2f} GB" if n_bytes >= GB / 100 else f"{n_bytes / 1e6:.1f} MB"
