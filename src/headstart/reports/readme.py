"""A plain text with a little Markdown in it, cut into what a page can set."""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Kind = Literal["heading", "table", "text"]


@dataclass(frozen=True)
class Block:
    """A heading, a paragraph (both in ``text``), or a table (``rows`` of cells)."""

    kind: Kind
    text: str
    rows: list[list[str]]


def blocks(text: str) -> list[Block]:
    """``text`` cut at blank lines, headings and tables; their marks are dropped, all other text is kept."""
    found: list[Block] = []
    for kind, group in groupby(text.splitlines(), key=_kind):
        lines = list(group)
        if kind == "heading":
            found += [Block("heading", line.lstrip("# "), []) for line in lines]
        elif kind == "table":
            rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
            found.append(Block("table", "", [row for row in rows if not set("".join(row)) <= set("-: ")]))
        elif kind == "text":
            found.append(Block("text", "\n".join(lines), []))
    return found


def _kind(line: str) -> Kind | None:
    if not line.strip():
        return None
    return "heading" if line.startswith("#") else "table" if line.startswith("|") else "text"
