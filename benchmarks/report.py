"""The command line that benches share, and where numbers go: a JSON file, and a section of docs/performance.md."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import Row, lines_of, ratios
from benchmarks.learning.conditions import REPOSITORY, conditions, write_json
from benchmarks.learning.markdown import put_between

PAGE = REPOSITORY / "docs" / "performance.md"
ROUNDS, QUICK_ROUNDS = 5, 2


def parser(words: str | None) -> argparse.ArgumentParser:
    """The words that all benches know; ``words`` is the module's docstring."""
    known = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    known.add_argument("--rounds", type=int, default=None, help=f"{ROUNDS} unless given, {QUICK_ROUNDS} with --quick")
    known.add_argument("--threads", type=int, default=2, help="of each of them")
    known.add_argument("--quick", action="store_true", help="small sizes: only to see that it runs; writes no page")
    known.add_argument("--page", type=Path, default=PAGE, help="the page whose section is written")
    known.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "bench", help="folder for NAME.json")
    return known


def parsed(known: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked, with the rounds settled."""
    asked = known.parse_args(argv)
    if asked.rounds is None:
        asked.rounds = QUICK_ROUNDS if asked.quick else ROUNDS
    if asked.rounds < 1:
        known.error("--rounds must be at least 1")
    return asked


def publish(
    name: str,
    rows: Sequence[Row],
    asked: argparse.Namespace,
    settings: Mapping[str, object],
    notes: Sequence[str] = (),
) -> list[str]:
    """Write ``out``/NAME.json, print the table and, unless ``--quick``, put it into the page's section NAME.

    ``settings`` are what was measured (sizes, seeds), ``notes`` lines for below the table. Returns the section's lines.
    """
    known = conditions() | {"threads": asked.threads}
    facts = {
        "name": name,
        "quick": asked.quick,
        "settings": dict(settings),
        "conditions": known,
        "rows": [asdict(row) | {"ratios": ratios(row)} for row in rows],
        "notes": list(notes),
    }
    write_json(asked.out / f"{name}{'-quick' if asked.quick else ''}.json", facts)
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())
    lines = [*lines_of(rows), *(["", *notes] if notes else []), "", f"`python -m benchmarks.{name}`: {told}."]
    lines += [conditions_line(known)]
    print("\n".join(lines), flush=True)
    if not asked.quick:
        put_between(asked.page, name, lines)
    return lines


def conditions_line(known: Mapping[str, object]) -> str:
    """Machine, versions, date and load in a sentence."""
    machine, versions = known["machine"], known["versions"]
    assert isinstance(machine, dict)
    assert isinstance(versions, dict)
    packages = ", ".join(
        f"{name} {version}" for name, version in versions.items() if version not in {None, "not installed"}
    )
    load = known["load_average"]
    assert isinstance(load, list)
    return (
        f"{machine['processor']}, {machine['cores']} cores, {known['threads']} threads, {machine['system']}, "
        f"Python {machine['python']}; {packages}; commit {known['commit']}; {known['date']}; "
        f"load average over the last 15 minutes {load[-1]}."
    )
