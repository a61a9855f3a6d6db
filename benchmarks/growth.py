"""How time and memory grow: with the number of packed images, with the size of images, with the seeds of a study.

    python -m benchmarks.growth
    python -m benchmarks.growth --quick

Each line is a rate (images, pixels, seeds a second) as a multiple of the smallest one's: 1 is linear growth, less than
1 is worse than linear. Packs are synthetic, of images of one size; a turn reads all of one, in the order of an epoch.
"""

import tempfile
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.apart import Contestant, measure_apart
from benchmarks.harness import Row, Sample
from benchmarks.report import parsed, parser, publish

STEP_BATCH = 64
Kind = tuple[str, str, str, str, Sequence[int], dict[str, Any]]
"""Label, unit, function of ``growing.py``, its option that grows and through which values, its other options."""


def growing(label: str, target: str, field: str, values: Sequence[int], options: dict[str, Any]) -> list[Contestant]:
    """The same work by each of ``values`` of the option ``field``."""
    return [Contestant(f"{label} {value}", target, {**options, field: value}) for value in values]


def rows_of(label: str, unit: str, values: Sequence[int], found: dict[str, Sample]) -> list[Row]:
    """Each of ``values`` against the smallest one."""
    least = found[f"{label} {values[0]}"]
    return [
        Row(f"{label} {value:,}", f"{label} {values[0]:,}", found[f"{label} {value}"], least, unit=unit)
        for value in values[1:]
    ]


def memory(label: str, values: Sequence[int], found: dict[str, Sample]) -> str:
    """A note on the peak resident memory by value."""
    told = [
        f"{value:,}: {found[f'{label} {value}'].peak_mb:.0f} MB"
        for value in values
        if found[f"{label} {value}"].peak_mb
    ]
    return f"Peak resident memory of the process, {label} {', '.join(told) or 'not measured'}."


def main() -> None:
    """Measure one kind of growth after the other, and write the table."""
    known = parser(__doc__)
    known.add_argument("--images", type=int, nargs="+", default=None, help="numbers of packed images, the least first")
    known.add_argument("--sizes", type=int, nargs="+", default=None, help="sides of the step's views in pixels")
    known.add_argument("--seeds", type=int, nargs="+", default=None, help="numbers of seeds of a study")
    asked = parsed(known)
    images = asked.images or ([100, 1000] if asked.quick else [1000, 10_000, 100_000])
    sizes = asked.sizes or ([32, 64] if asked.quick else [32, 64, 128])
    seeds = asked.seeds or ([1, 2] if asked.quick else [1, 2, 4])
    with tempfile.TemporaryDirectory() as place:
        there: dict[str, Any] = {"place": place}
        kinds: tuple[Kind, ...] = (
            ("packed images", "images/s", "pack", "n", images, there),
            ("opening a pack of images", "images/s", "opening", "n", images, there),
            ("step, side in pixels", "pixels/s", "step", "size", sizes, {"batch": STEP_BATCH}),
            ("study, seeds", "seeds/s", "study", "seeds", seeds, there),
        )
        rows, notes = [], []
        for label, unit, function, field, values, options in kinds:
            entered = growing(label, f"benchmarks.growing:{function}", field, values, options)
            found = measure_apart(entered, asked.rounds, asked.threads)
            rows += rows_of(label, unit, values, found)
            notes += [memory(label, values, found), seconds(label, values, found)]
    publish("growth", rows, asked, {"images": images, "sizes": sizes, "seeds": seeds}, notes)


def seconds(label: str, values: Sequence[int], found: dict[str, Sample]) -> str:
    """A note on the median seconds of a turn by value."""
    told = [
        f"{value:,}: {median(sample.seconds):.3g} s"
        for value in values
        if (sample := found[f"{label} {value}"]).seconds
    ]
    return f"Seconds a turn, {label} {', '.join(told) or 'not measured'}."


if __name__ == "__main__":
    main()
