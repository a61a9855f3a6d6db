"""Result of comparing two runs."""

from typing import Literal

from pydantic import Field, JsonValue

from headstart.results.base import SCHEMA_VERSION, Record

DifferenceKind = Literal["task", "setting", "version", "machine", "data", "run", "step", "result", "weights"]
NUMBERS: frozenset[DifferenceKind] = frozenset({"step", "result", "weights"})
"""Kinds of what came out, where the others are what went in or what is there."""


class Difference(Record):
    """One thing in which two runs differ, with its value ``a`` in the first and ``b`` in the second.

    ``run`` is the folder of a run within a study, "" for what was compared itself. ``missing`` names the side that
    has no such thing. Of a ``step`` these are a measurement's values after the first number of finished optimiser steps
    at which they differ; ``count`` is at how many they do, ``largest`` the largest absolute difference (None where no
    two numbers could be subtracted). Of ``weights`` the values are SHA-256 sums of the file.
    """

    kind: DifferenceKind
    name: str
    a: JsonValue = None
    b: JsonValue = None
    run: str = ""
    missing: Literal["a", "b"] | None = None
    step: int | None = None
    count: int = 1
    largest: float | None = None


class CompareResult(Record):
    """Result of ``headstart compare``. ``differences`` are in the order in which one leads to the other: what was set
    and with what, then the steps, then the result and the weights; of a study, run by run.

    ``equal``: there are none. ``same_numbers``: every measured value, result and weight that both have is the same.
    ``without_effect`` are settings that differ and change no number, such as the directory. ``n_values`` measured
    values, ``n_results`` results and ``n_weights`` weight files of ``n_runs`` runs were compared. ``notes``: what could
    not be.
    """

    schema_version: int = SCHEMA_VERSION
    task: Literal["compare"] = "compare"
    run_a: str
    run_b: str
    equal: bool
    same_numbers: bool
    first: Difference | None
    first_step: Difference | None
    differences: list[Difference]
    without_effect: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    n_runs: int
    n_values: int
    n_results: int
    n_weights: int
