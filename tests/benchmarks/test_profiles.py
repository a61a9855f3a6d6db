"""Profiles: a moment belongs to the innermost function with a label; tables have the columns beside each other."""

import time
from typing import Any

import pytest
from benchmarks.profiled import kind_of
from benchmarks.profiles import lines_of
from benchmarks.sampling import ELSE, Sampler


def outer(seconds: float) -> None:
    rest(seconds / 3)
    inner(2 * seconds / 3)


def inner(seconds: float) -> None:
    rest(seconds)


def rest(seconds: float) -> None:
    time.sleep(seconds)


def test_a_moment_belongs_to_the_innermost_function_that_has_a_label() -> None:
    with Sampler({"within": ("test_profiles.py::inner",), "around": ("::outer",)}) as sampler:
        outer(0.6)
        sampler.pause()
        outer(0.2)
        sampler.resume()
        rest(0.2)
    assert sampler.seconds["within"] == pytest.approx(0.4, abs=0.1)
    assert sampler.seconds["around"] == pytest.approx(0.2, abs=0.1)
    assert sampler.seconds[ELSE] == pytest.approx(0.2, abs=0.1)


def test_operations_by_kind() -> None:
    assert kind_of("aten::convolution_backward") == "convolutions, on the way back"
    assert kind_of("aten::mkldnn_convolution") == "convolutions"
    assert kind_of("aten::native_batch_norm_backward") == "batch norm"
    assert kind_of("aten::something") == ELSE


def facts(commit: str, **seconds: float) -> dict[str, Any]:
    machine = {"processor": "P", "cores": 2, "system": "S", "python": "3"}
    known = {"commit": commit, "machine": machine, "versions": {}, "threads": 2, "date": "D", "load_average": [0.0]}
    return {"work": "Work", "conditions": known, "seconds": seconds}


def test_the_table_has_both_columns_and_what_is_small_in_both_together() -> None:
    lines = lines_of(facts("new", a=1.0, b=3.0, c=0.001), facts("old", a=5.0, c=0.001, d=0.001))
    assert lines[:6] == [
        "| where | at old | at new |",
        "| --- | --- | --- |",
        "| b | 0.0 % (0 s) | 75.0 % (3 s) |",
        "| a | 100.0 % (5 s) | 25.0 % (1 s) |",
        "| 2 more | 0.0 % (0.002 s) | 0.0 % (0.001 s) |",
        "| together | 5 s | 4 s |",
    ]
