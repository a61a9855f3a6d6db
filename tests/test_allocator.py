"""What a step frees is there for the next one, without the system's pages being cleared and mapped again."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

glibc = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
pytestmark = pytest.mark.skipif(not glibc, reason="glibc's allocator")

SET_FROM_OUTSIDE = ("MALLOC_", "GLIBC_TUNABLES")
PAGE = os.sysconf("SC_PAGE_SIZE")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
FAULTS = """
import resource, sys
import torch
from headstart.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = keep_freed_memory() if sys.argv[1] == "kept" else None
for _ in range(10):  # small blocks find their places among the large ones
    torch.ones(16_000_000)
before = faults()
for _ in range(5):
    torch.ones(16_000_000)
print(kept, faults() - before)
"""
PAGES = 16_000_000 * 4 // PAGE
HELD = """
import torch
from headstart.allocator import give_back_freed_memory, keep_freed_memory

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

before = held()
give_back_freed_memory()  # which is not to begin with it
torch.ones(16_000_000)
as_it_comes = held() - before
keep_freed_memory()
torch.ones(16_000_000)
kept = held() - before
give_back_freed_memory()
print(as_it_comes, kept, held() - before)
"""


def said_by(script: str, *words: str, **environment: str) -> list[str]:
    """What a new process prints that runs ``script``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(SET_FROM_OUTSIDE)}
    command = [sys.executable, "-c", script, *words]
    return subprocess.run(command, env=own | environment, check=True, capture_output=True, text=True).stdout.split()


def test_memory_that_is_kept_is_not_mapped_again() -> None:
    told, faults = said_by(FAULTS, "kept")
    assert told == "True"
    assert int(faults) < PAGES
    if HUGE_PAGES.is_file() and "[always]" not in HUGE_PAGES.read_text():
        assert int(said_by(FAULTS, "as it comes")[1]) > 4 * PAGES  # what it is good for


def test_kept_memory_can_be_given_back() -> None:
    as_it_comes, kept, left = map(int, said_by(HELD))
    assert as_it_comes < 0.1 * PAGES
    assert kept > 0.9 * PAGES
    assert left < 0.1 * PAGES


@pytest.mark.parametrize(
    ("setting", "value", "kept"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072", "False"),
        ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", "False"),
        ("GLIBC_TUNABLES", "glibc.pthread.rseq=0", "True"),
    ],
)
def test_who_sets_the_allocator_from_outside_is_heeded(setting: str, value: str, kept: str) -> None:
    assert said_by(FAULTS, "kept", **{setting: value})[0] == kept
