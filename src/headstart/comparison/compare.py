"""Where two runs first differ: what was set, with what, on which data; then step by step; then what came out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headstart.comparison.run_record import Curves, Flat, RunRecord, read_record
from headstart.results import NUMBERS, CompareResult, Difference, DifferenceKind
from headstart.training.rundir import FREE_ON_RESUME

WITHOUT_EFFECT = FREE_ON_RESUME - {"devices"}
"""Settings that change no number. The number of processes changes the last bits of sums."""


@dataclass
class Findings:
    """What a comparison has come to so far."""

    differences: list[Difference] = field(default_factory=list)
    without_effect: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    n_runs: int = 0
    n_values: int = 0
    n_results: int = 0
    n_weights: int = 0

    def add(self, kind: DifferenceKind, run: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
        """Differences between two sets of named values; one that the study as a whole has is not said of its runs."""
        told = {(each.kind, each.name, repr(each.a), repr(each.b)) for each in self.differences if not each.run}
        new = unlike(kind, run, a, b)
        self.differences += [x for x in new if not (run and (x.kind, x.name, repr(x.a), repr(x.b)) in told)]


def compare_runs(run_a: Path, run_b: Path) -> CompareResult:
    """Compare two run directories, or those of two studies with all their runs (docs/reference/reproducibility.md).

    Raises RunError where one of them holds no run, or a file in it is damaged.
    """
    a, b = read_record(run_a), read_record(run_b)
    found = Findings()
    if a.verb != b.verb:
        found.differences.append(Difference(kind="task", name="verb", a=a.verb, b=b.verb))
        found.notes.append("Runs of different tasks: nothing else was compared.")
    else:
        compare_causes(found, "", a, b)
        if a.verb == "study":
            compare_parts(found, run_a, run_b)
        compare_numbers(found, "", a, b)
    return CompareResult(
        run_a=str(run_a),
        run_b=str(run_b),
        equal=not found.differences,
        same_numbers=a.verb == b.verb and not any(each.kind in NUMBERS for each in found.differences),
        first=next(iter(found.differences), None),
        first_step=next((each for each in found.differences if each.kind == "step"), None),
        differences=found.differences,
        without_effect=list(found.without_effect),
        notes=found.notes,
        n_runs=found.n_runs,
        n_values=found.n_values,
        n_results=found.n_results,
        n_weights=found.n_weights,
    )


def compare_parts(found: Findings, study_a: Path, study_b: Path) -> None:
    """The runs of two studies, by their folders: pre-trainings, choices of learning rates, then what is compared."""
    parts_a, parts_b = part_folders(study_a), part_folders(study_b)
    for part in sorted(parts_a | parts_b, key=stage):
        if part in parts_a & parts_b:
            a, b = read_record(study_a / part, study_a), read_record(study_b / part, study_b)
            compare_causes(found, part, a, b)
            compare_numbers(found, part, a, b)
        else:
            side: Literal["a", "b"] = "b" if part in parts_a else "a"
            found.differences.append(Difference(kind="run", name="config.json", run=part, missing=side))


def part_folders(study: Path) -> set[str]:
    """The run directories within a study's."""
    return {path.parent.relative_to(study).as_posix() for path in study.glob("*/**/config.json")}


def stage(part: str) -> tuple[int, str]:
    """The order in which the runs of a study build on each other."""
    return 0 if "/pretrain/" in part else 1 if "/tuning/" in part else 2, part


def compare_causes(found: Findings, run: str, a: RunRecord, b: RunRecord) -> None:
    """What went in: settings, versions, machine, data."""
    effective = [{k: v for k, v in each.settings.items() if k not in WITHOUT_EFFECT} for each in (a, b)]
    found.add("setting", run, *effective)
    idle = [{k: v for k, v in each.settings.items() if k in WITHOUT_EFFECT} for each in (a, b)]
    found.without_effect |= dict.fromkeys(each.name for each in unlike("setting", run, *idle))
    found.add("version", run, a.versions, b.versions)
    found.add("machine", run, a.machine, b.machine)
    found.add("data", run, a.data, b.data)


def compare_numbers(found: Findings, run: str, a: RunRecord, b: RunRecord) -> None:
    """What came out: every measured value by its step, the result, the exported weights."""
    found.n_runs += 1
    results = a.result, b.result
    curves = a.curves, b.curves
    if None in results:
        curves = note_unfinished(found, run, results, curves)
    found.n_values += sum(len(points.keys() & curves[1].get(key, {}).keys()) for key, points in curves[0].items())
    found.differences += sorted(unlike_curves(run, *curves), key=by_step)
    if results[0] is None or results[1] is None:
        return
    found.n_results += 1
    found.add("result", run, results[0], results[1])
    weights = a.weights, b.weights
    found.n_weights += len(weights[0].keys() & weights[1].keys())
    found.add("weights", run, *weights)


def note_unfinished(
    found: Findings, run: str, results: tuple[Flat | None, Flat | None], curves: tuple[Curves, Curves]
) -> tuple[Curves, Curves]:
    """Say which of the two has not finished; their curves as far as both went."""
    last = min(max((step for points in each.values() for step in points), default=0) for each in curves)
    if results[0] is None and results[1] is None:
        which = "Neither run has"
    else:
        side: Literal["a", "b"] = "a" if results[0] is None else "b"
        which = f"Run {side.upper()} has not"
        found.differences.append(Difference(kind="run", name="result.json", run=run, missing=side))
    where = f"{run}: " if run else ""
    found.notes.append(f"{where}{which} finished: compared up to step {last}, without result and weights.")
    first, second = (
        {key: {step: value for step, value in points.items() if step <= last} for key, points in each.items()}
        for each in curves
    )
    return first, second


def unlike(kind: DifferenceKind, run: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """A difference for each name whose value is not the same, or that only one has."""
    for name in [*a, *(name for name in b if name not in a)]:
        if name not in a or name not in b:
            side: Literal["a", "b"] = "a" if name not in a else "b"
            yield Difference(kind=kind, name=name, run=run, a=a.get(name), b=b.get(name), missing=side)
        elif a[name] != b[name]:
            yield Difference(kind=kind, name=name, run=run, a=a[name], b=b[name], largest=distance(a[name], b[name]))


def unlike_curves(run: str, a: Curves, b: Curves) -> Iterator[Difference]:
    """A difference for each measurement that differs anywhere, at the first step where it does."""
    for key in a.keys() | b.keys():
        ours, theirs = a.get(key, {}), b.get(key, {})
        steps = sorted(
            s for s in ours.keys() | theirs.keys() if s not in ours or s not in theirs or ours[s] != theirs[s]
        )
        if not steps:
            continue
        step = steps[0]
        gaps = [gap for s in steps if (gap := distance(ours.get(s), theirs.get(s))) is not None]
        yield Difference(
            kind="step",
            name=" ".join(key),
            run=run,
            a=ours.get(step),
            b=theirs.get(step),
            missing="a" if step not in ours else "b" if step not in theirs else None,
            step=step,
            count=len(steps),
            largest=max(gaps, default=None),
        )


def distance(a: object, b: object) -> float | None:
    """How far two numbers are apart; None where that is no question."""
    if isinstance(a, bool) or isinstance(b, bool) or not (isinstance(a, int | float) and isinstance(b, int | float)):
        return None
    return abs(a - b)


def by_step(difference: Difference) -> tuple[int, bool, str]:
    """Earlier steps first, and within a step the loss."""
    return difference.step or 0, difference.name != "train loss", difference.name
