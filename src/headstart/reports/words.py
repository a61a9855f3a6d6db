"""Numbers as a reader wants to see them. Shares are in [0, 1], times in seconds; None gives a dash."""

import math
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from headstart.results import Interval

NARROW = "\u202f"
DASH = "\u2013"
MINUS = "\u2212"
PARTS = {"segment": ("decoder", "encoder")}
"""What a frozen setting trains and what it leaves as it is, by task; of the others the classifier and the backbone."""
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(share: float | None, digits: int = 1) -> str:
    """0.5222 -> 52.2 %."""
    return DASH if share is None or not math.isfinite(share) else f"{share * 100:.{digits}f}{NARROW}%"


def share_of_labels(fraction: float) -> str:
    """0.1 -> 10 %, 0.005 -> 0.5 %: three figures at most, and no zeros behind the point."""
    return f"{fraction * 100:.3g}{NARROW}%"


def signed(difference: float | None, digits: int = 1) -> str:
    """A difference of two shares in percentage points: 0.042 -> +4.2."""
    if difference is None or not math.isfinite(difference):
        return DASH
    text = f"{difference * 100:+.{digits}f}"
    return text.replace("-", MINUS)


def half_width(interval: Interval | None) -> str:
    """Half the width of a symmetric interval, in percentage points; empty without one."""
    return "" if interval is None else f"\u00b1{NARROW}{(interval[1] - interval[0]) * 50:.1f}"


def ends(interval: Interval | None) -> str:
    """An interval of a difference by its ends, in percentage points; empty without one."""
    return "" if interval is None else f"[{signed(interval[0])}, {signed(interval[1])}]"


def count(number: int) -> str:
    """12500 -> 12 500, with a narrow space."""
    return f"{number:,}".replace(",", NARROW) if number >= 10_000 else str(number)


def short_count(number: int) -> str:
    """1234567 -> 1.2 M: two figures or three, with k, M and G from ten thousand on."""
    if number < 10_000:
        return str(number)
    scale, unit = next((scale, unit) for scale, unit in UNITS if number >= 0.9995 * scale)
    share = number / scale
    return f"{share:.1f}{NARROW}{unit}" if share < 99.95 else f"{share:.0f}{NARROW}{unit}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A count with its noun: 1 image, 2 images."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def number(value: float | None) -> str:
    """Three significant figures, without an exponent where one can do without."""
    if value is None or not math.isfinite(value):
        return DASH
    if value != 0 and (abs(value) < 0.001 or abs(value) >= 100_000):
        return f"{value:.1e}".replace("-", MINUS)
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", MINUS)


def duration(seconds: float) -> str:
    """75.2 -> 1 min 15 s."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def sentence(text: str) -> str:
    """A text as a sentence: begun with a capital and ended with a full stop, the rest as it is."""
    stripped = text.strip()
    ended = stripped if stripped.endswith((".", "!", "?")) else stripped + "."
    return capital(ended)


def part_trained(task: str) -> str:
    """The part of the network that a frozen setting trains."""
    return PARTS.get(task, ("classifier", "backbone"))[0]


def part_frozen(task: str) -> str:
    """The part of the network that a frozen setting leaves as it is."""
    return PARTS.get(task, ("classifier", "backbone"))[1]


def what_is_trained(trained: str, task: str) -> str:
    """Everything, or one part only."""
    return "everything" if trained == "full" else f"{part_trained(task)} only"


def capital(text: str) -> str:
    """A text begun with a capital, the rest as it is."""
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def typeset(text: str) -> str:
    """Running text with minus signs for negative numbers, and per cent signs that stay with theirs."""
    return re.sub(r"(?<![\w.])-(?=\d)", MINUS, text).replace(" %", f"{NARROW}%")


def short_start(start: str, longest: int = 22) -> str:
    """A start for a label: the kind, and of a path its last part, cut in the middle when it is long."""
    kind, equals, rest = start.partition("=")
    if not equals:
        return start
    name = PurePosixPath(rest.rstrip("/")).name or rest
    room = max(longest - len(kind) - 1, 8)
    if len(name) > room:
        name = f"{name[: room // 2]}\u2026{name[-(room - room // 2 - 1) :]}"
    return f"{kind}={name}"
