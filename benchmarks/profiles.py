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
from collections.abc import Callable, Mapping
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
    """The table in Markdown: places, the largest first, their shares before and now; and under which conditions."""
    columns = [facts["seconds"], *([before["seconds"]] if before else [])]
    totals = [sum(column.values()) for column in columns]
    shares = {name: [column.get(name, 0.0) / total for column, total in zip(columns, totals, strict=True)]
              for name in dict.fromkeys(name for column in columns for name in column)}  # fmt: skip
    small = [name for name, values in shares.items() if max(values) < LEAST]
    named = sorted(shares.keys() - set(small), key=lambda name: -shares[name][0])
    rows = [[name, *cells(shares[name], totals)] for name in named]
    if small:
        rows.append([f"{len(small)} more", *cells([sum(v) for v in zip(*map(shares.get, small), strict=True)], totals)])  # type: ignore[arg-type]
    rows.append(["together", *cells([1.0] * len(totals), totals)])
    heads = ["where", f"at {facts['conditions']['commit']}"]
    if before:
        heads = [heads[0], f"at {before['conditions']['commit']}", heads[1]]
        rows = [[row[0], row[2], row[1]] for row in rows]
    return [*table(heads, rows), "", f"{facts['work']}.", conditions_line(facts["conditions"])]


def cells(shares: list[float], totals: list[float]) -> list[str]:
    """12.3 % (4.56 s) for each column."""
    return [f"{100 * share:.1f} % ({share * total:.3g} s)" for share, total in zip(shares, totals, strict=True)]


PROFILES: dict[str, Callable[[Any, Path], tuple[Seconds, str]]] = {
    "step": step,
    "epoch": epoch,
    "study": study,
    "demo": demo,
}

if __name__ == "__main__":
    main()
