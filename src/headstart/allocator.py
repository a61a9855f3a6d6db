"""The C library's allocator: what a training step frees is kept for the next one.

glibc gives large blocks back to the system as soon as they are free, and asks for them again; every page of them is
then cleared and mapped anew, for each activation of each step (docs/decisions/0008-kept-memory.md).
"""

import ctypes
import os
import sys
from functools import cache
from threading import Event

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of mallopt(3), from glibc's malloc.h."""
OWN_CHOICES = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
"""Environment variables by which whoever starts the process sets what becomes of freed memory: theirs stays. So does
what GLIBC_TUNABLES says of malloc.
"""

_keeping = Event()


@cache
def keep_freed_memory() -> bool:
    """Have this process keep what it frees, once; False where the C library is not glibc or was set from outside."""
    library = _glibc()
    if library is None or any(name in os.environ for name in OWN_CHOICES):
        return False
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    kept = bool(library.mallopt(M_MMAP_MAX, 0)) and bool(library.mallopt(M_TRIM_THRESHOLD, -1))
    if kept:
        _keeping.set()
    return kept


def give_back_freed_memory() -> None:
    """Give to the system what was freed and kept: before memory is measured, and before a process is forked, whose
    pages would be copied as soon as this one writes to them. Nothing happens where none is kept.
    """
    library = _glibc()
    if library is not None and _keeping.is_set():
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version, library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return None
    return library
