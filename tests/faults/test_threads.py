"""Reading by threads: in order, errors at their place, and no waiting for ever."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headstart.data.threads import read_in_threads
from headstart.errors import MachineError


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("ahead", [0, 2, 50])
def test_results_come_in_order_whatever_ends_first(threads: int, ahead: int) -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.03 if n == 0 else 0)
        return n * n

    found = [(n, square.result()) for n, square in read_in_threads(slow_first, range(20), threads, ahead=ahead)]
    assert found == [(n, n * n) for n in range(20)]
    assert not [each for each in threading.enumerate() if each.name == "reader"]


def test_no_more_is_begun_than_was_allowed() -> None:
    begun: list[int] = []
    results = read_in_threads(begun.append, range(100), 2, ahead=3)
    for taken in range(1, 11):
        next(results)
        assert len(begun) <= taken + 2 + 3
    results.close()
    time.sleep(0.1)
    assert len(begun) < 20


def test_an_error_is_raised_where_its_result_is_asked_for() -> None:
    results = dict(read_in_threads(lambda n: 1 // n, [1, 0, 2], 2))
    assert [results[1].result(), results[2].result()] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        results[0].result()


def test_what_does_not_come_is_named() -> None:
    let_go = threading.Event()
    began = time.monotonic()
    with pytest.raises(MachineError, match=r"Reading file 3 has not ended after 0\.2 s.*--file-seconds"):
        for _ in read_in_threads(
            lambda n: let_go.wait(30) if n == 3 else None, range(9), 2, patience=0.2, named=lambda n: f"file {n}"
        ):
            pass
    assert time.monotonic() - began < 10
    let_go.set()


STUCK = """
import sys, time
from headstart.cli import main
from headstart.data import pair_check, reduced
def stuck(path, *more, **named):
    if path.name == "{name}":
        time.sleep(600)
    return reads[0](path, *more, **named)
reads = [{place}]
{place} = stuck
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("verb", "place", "name"),
    [
        ("pretrain", "reduced.decode", "003.png"),
        ("classify", "reduced.decode", "003.png"),
        ("segment", "pair_check.read_image", "3.png"),
        ("segment", "pair_check.read_labels", "3.png"),
    ],
)
def test_a_file_that_hangs_during_the_check_ends_the_command(
    gratings: Path, flat_images: Path, pairs: Path, tmp_path: Path, verb: str, place: str, name: str
) -> None:
    """The process itself ends, though the thread that reads never does."""
    data = {"pretrain": flat_images, "classify": gratings, "segment": pairs}[verb]
    words = [verb, "--data", str(data), "--out", str(tmp_path / "run"), "--file-seconds", "0.5"]
    words += ["--palette", "deepglobe"] if verb == "segment" else []
    done = subprocess.run(
        [sys.executable, "-c", STUCK.format(place=place, name=name), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{name}" in done.stderr
    assert "has not ended after 0.5 s" in done.stderr
    assert "Traceback" not in done.stderr
