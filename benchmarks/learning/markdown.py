"""Pieces of Markdown: tables, numbers, and a page whose prose stays when its results are written anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

NONE = "-"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; a cell's own bars are escaped."""
    return [line(heads), line(["---"] * len(heads)), *(line(row) for row in rows)]


def line(cells: Sequence[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def percent(share: float | None) -> str:
    """A share in [0, 1] in per cent, without its sign."""
    return NONE if share is None else f"{100 * share:.1f}"


def of_labels(fraction: float) -> str:
    """A share of the labels: 10 %."""
    return f"{100 * fraction:g} %"


def points(difference: dict[str, Any] | None) -> str:
    """A paired difference in points with its interval: +9.8 (6.7 to 12.8)."""
    if difference is None:
        return NONE
    told = f"{100 * difference['mean']:+.1f}"
    if difference["ci95"] is None:
        return told
    low, high = (100 * end for end in difference["ci95"])
    return f"{told} ({low:.1f} to {high:.1f})"


def number(value: float | None, digits: int = 3) -> str:
    """A number to some significant digits, or a dash."""
    return NONE if value is None else f"{value:.{digits}g}"


def markers(section: str) -> tuple[str, str]:
    """The lines before and after a section that is written by the bench."""
    return f"<!-- {section}:begin -->", f"<!-- {section}:end -->"


def put_between(page: Path, section: str, lines: Sequence[str]) -> None:
    """Replace what stands between a section's markers. ValueError where they are not both there, in order."""
    begin, end = markers(section)
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{page} needs the lines {begin} and {end}, in this order, around its {section}")
    beside = page.with_name(page.name + ".part")
    beside.write_text("\n".join([before + begin, "", *lines, "", end + after]), encoding="utf-8")
    beside.replace(page)
