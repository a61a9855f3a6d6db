"""Side by side: ways of doing the same work, taken in turn, round after round, and the table of how many times faster.

Every round takes each way once, each round beginning with another one, so that a machine that is slower for a while is
so for all of them. A way lives in this process (``measure_here``) or in one of its own (``measure_apart``, which also
serves peers from their own environment and knows each way's memory). One more turn for each is made before and thrown
away. What is reported of a comparison is the ratio within each round: its median, least and most.
"""

import resource
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.learning.markdown import table

WARM_UPS = 1
HEADS = ("work", "against", "ratio (least to most)", "goal", "", "ours", "against it", "rounds")

Way = Callable[[], float | None]
"""One turn of the work. Returns how many units (images, steps) it did; None counts as one."""


@dataclass
class Sample:
    """What was measured of one way, a number a round; ``failed`` says why there is nothing."""

    seconds: list[float] = field(default_factory=list)
    units: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    failed: str | None = None

    @property
    def rates(self) -> list[float]:
        """Units a second."""
        return [units / seconds for units, seconds in zip(self.units, self.seconds, strict=True)]

    def add(self, turn: "Turn") -> None:
        """One more round."""
        self.seconds.append(turn.seconds)
        self.units.append(turn.units)
        self.processor_seconds.append(turn.processor_seconds)
        self.peak_mb = max(self.peak_mb, turn.peak_mb)


@dataclass(frozen=True)
class Turn:
    """One turn of one way; processor seconds count ended child processes, ``peak_mb`` is the most memory so far."""

    seconds: float
    units: float
    processor_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Row:
    """A line of the table: how many times as fast ``ours`` is as ``theirs``; ``goal`` is the least that will do."""

    work: str
    against: str
    ours: Sample
    theirs: Sample
    goal: float | None = None
    unit: str = "images/s"


def timed(way: Way) -> Turn:
    """One turn."""
    processor, began = processor_seconds(), time.perf_counter()
    units = way()
    seconds = time.perf_counter() - began
    return Turn(seconds, 1.0 if units is None else units, processor_seconds() - processor, peak_mb())


def processor_seconds() -> float:
    """Of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_mb() -> float:
    """The most memory that this process has had resident, in MB of 2**20 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def turns(names: Iterable[str], rounds: int, warm_ups: int = WARM_UPS) -> Iterable[tuple[bool, str]]:
    """The order of the turns, (is it counted, whose): each name once a round, each round beginning one further on."""
    order = list(names)
    for number in range(warm_ups + rounds):
        first = number % max(1, len(order))
        for name in order[first:] + order[:first]:
            yield number >= warm_ups, name


def measure_here(ways: Mapping[str, Way], rounds: int, warm_ups: int = WARM_UPS) -> dict[str, Sample]:
    """``rounds`` turns of each way, interleaved, in this process; a way that raises stops the bench."""
    samples = {name: Sample() for name in ways}
    for counted, name in turns(ways, rounds, warm_ups):
        turn = timed(ways[name])
        if counted:
            samples[name].add(turn)
    return samples


def ratios(row: Row) -> list[float]:
    """How many times as fast ours is, round by round; empty where one of the two failed."""
    if row.ours.failed or row.theirs.failed:
        return []
    return [ours / theirs for ours, theirs in zip(row.ours.rates, row.theirs.rates, strict=True)]


def lines_of(rows: Sequence[Row]) -> list[str]:
    """The table in Markdown, and below it the reasons of what is missing."""
    failed = [
        f"- Not measured: {name}: {sample.failed}"
        for row in rows
        for name, sample in ((f"ours, {row.work}", row.ours), (row.against, row.theirs))
        if sample.failed
    ]
    return [*table(HEADS, [cells(row) for row in rows]), *([""] if failed else []), *dict.fromkeys(failed)]


def cells(row: Row) -> list[str]:
    """One line: ratio with its range, goal and whether it is met, both rates, rounds."""
    found = ratios(row)
    goal = "-" if row.goal is None else f">= {row.goal:g}"
    if not found:
        return [
            row.work,
            row.against,
            "not measured",
            goal,
            "",
            *(rate_of(s, row.unit) for s in (row.ours, row.theirs)),
            "0",
        ]
    met = "" if row.goal is None else ("met" if median(found) >= row.goal else "missed")
    told = f"**{median(found):.3g}** ({min(found):.3g} to {max(found):.3g})"
    return [
        row.work, row.against, told, goal, met,
        rate_of(row.ours, row.unit), rate_of(row.theirs, row.unit), str(len(found)),
    ]  # fmt: skip


def rate_of(sample: Sample, unit: str) -> str:
    """The median rate: 12.3 images/s; or seconds, where the unit is s."""
    if sample.failed or not sample.seconds:
        return "-"
    return f"{median(sample.seconds) if unit == 's' else median(sample.rates):.3g} {unit}"
