"""What a step frees is there for the next one, without the system's pages being cleared and mapped again."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")

FAULTS = """
import resource, sys
import torch
from headstart.training.allocator import keep_freed_memory

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
PAGES = 16_000_000 * 4 // 4096


def page_faults(how: str, **environment: str) -> tuple[str, int]:
    """What ``keep_freed_memory`` said, and the page faults of five times 64 MB, allocated, filled and freed."""
    command = [sys.executable, "-c", FAULTS, how]
    told = subprocess.run(
        command, env=os.environ | environment, check=True, capture_output=True, text=True
    ).stdout.split()
    return told[0], int(told[1])


def test_memory_that_is_kept_is_not_mapped_again() -> None:
    told, faults = page_faults("kept")
    assert told == "True"
    assert faults < PAGES
    assert page_faults("as it comes")[1] > 4 * PAGES  # what it is good for


def test_who_sets_the_allocator_from_outside_is_heeded() -> None:
    assert page_faults("kept", MALLOC_TRIM_THRESHOLD_="131072")[0] == "False"
