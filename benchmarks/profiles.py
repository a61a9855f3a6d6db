"""Where a training step, an epoch from packed JPEGs, a study and the demo spend their time.

    python -m benchmarks.profiles step
    python -m benchmarks.profiles demo --minutes 5
    PYTHONPATH=OLDER/src python -m benchmarks.profiles study --out runs/older
    python -m benchmarks.profiles study --before runs/older/profile_study.json

The step: PyTorch's profiler, by operation, of all threads. The others: samples of the main thread (``sampling.py``), by
function. ``--before`` puts another profile's column beside this one's, such as that of an older commit's ``headstart``;
with it, the page's section is written. Shares are of the seconds in the profile, which are context.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learning.conditions import conditions, write_json
from benchmarks.learning.markdown import put_between, table
from benchmarks.profiled import demo, epoch, step, study
from benchmarks.report import conditions_line, parser

LEAST = 0.005
"""Shares below this, before and now, are one line together."""

Seconds = Mapping[str, float]


def main() -> None:
    """Profile one of the four, print the table, and write it where there is another to compare with."""
    known = parser(__doc__)
    known.add_argument("what", choices=sorted(PROFILES))
    known.add_argument("--minutes", type=float, default=5.0, help="of the demo")
    known.add_argument("--commit", default=None, help="of the headstart that is profiled, where it is not this one's")
    known.add_argument("--before", type=Path, default=None, help="the JSON file of another profile")
    asked = known.parse_args()
    with tempfile.TemporaryDirectory() as place:
        seconds, work = PROFILES[asked.what](asked, Path(place))
    name = f"profile_{asked.what}"
    now = conditions() | {"threads": asked.threads}
    now["commit"] = asked.commit or now["commit"]
    facts = {"name": name, "work": work, "conditions": now, "seconds": dict(seconds)}
    write_json(asked.out / f"{name}{'-quick' if asked.quick else ''}.json", facts)
    before = json.loads(asked.before.read_text(encoding="utf-8")) if asked.before else None
    lines = lines_of(facts, before)
    print("\n".join(lines))
    if before and not asked.quick:
        put_between(asked.page, name, lines)


def lines_of(facts: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[str]:
    """The table in Markdown: places, the largest first, by their shares before and now; and under which conditions."""
    columns = [before, facts] if before else [facts]
    heads = ["where", *(f"at {column['conditions']['commit']}" for column in columns)]
    known = [merged([column["seconds"] for column in columns], each["seconds"]) for each in columns]
    rows = [
        [name, *(cell(column, name) for column in known)] for name in sorted(known[-1], key=lambda n: -known[-1][n])
    ]
    rows.append(["together", *(f"{sum(column.values()):.3g} s" for column in known)])
    return [*table(heads, rows), "", f"{facts['work']}.", conditions_line(facts["conditions"])]


def merged(columns: Sequence[Seconds], column: Seconds) -> dict[str, float]:
    """``column`` with all names of ``columns``; those that are small in each of them together, under one name."""
    names = dict.fromkeys(name for each in columns for name in each)
    small = {n for n in names if max(each.get(n, 0.0) / sum(each.values()) for each in columns) < LEAST}
    named = {name: column.get(name, 0.0) for name in names if name not in small}
    return named | ({f"{len(small)} more": sum(column.get(name, 0.0) for name in small)} if small else {})


def cell(column: Seconds, name: str) -> str:
    """12.3 % (4.56 s)."""
    return f"{100 * column[name] / sum(column.values()):.1f} % ({column[name]:.3g} s)"


PROFILES: dict[str, Callable[[Any, Path], tuple[Seconds, str]]] = {
    "step": step,
    "epoch": epoch,
    "study": study,
    "demo": demo,
}

if __name__ == "__main__":
    main()
