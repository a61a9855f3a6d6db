"""The C library's allocator: what a training step gives back is kept for the next one.

glibc gives large blocks back to the system as soon as they are free, and asks for them again; every page of them is
then cleared and mapped anew, for each activation of each step. On two Zen 4 cores that was a fifth of a ResNet-50's
BYOL step (docs/performance.md). A process that keeps its memory holds no more of it than at its peak.
"""

import ctypes
import os
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of mallopt(3), from glibc's malloc.h."""
OWN_CHOICES = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which whoever starts the process sets the same: theirs stays."""


@cache
def keep_freed_memory() -> bool:
    """Have this process keep what it frees, once; False where the C library is not glibc or was set from outside."""
    if not sys.platform.startswith("linux") or any(name in os.environ for name in OWN_CHOICES):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
        _ = ctypes.CDLL(None).gnu_get_libc_version
    except (OSError, AttributeError):
        return False
    return bool(set_option(M_MMAP_MAX, 0)) and bool(set_option(M_TRIM_THRESHOLD, -1))
