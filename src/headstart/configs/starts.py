"""Where a backbone's weights come from, as words: the grammar of ``--start`` and ``--starts``."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from headstart.errors import ConfigError
from headstart.results import Trained

StartKind = Literal["scratch", "supervised", "ssl", "ssl+supervised"]

GRAMMAR = "scratch, supervised, supervised=FILE-or-timm-name, ssl=RUN, ssl+supervised=RUN"

_LETTERS: dict[str, str] = {
    "scratch/full": "A",
    "supervised/full": "B",
    "ssl/full": "C",
    "supervised/frozen": "D",
    "ssl/frozen": "E",
}


@dataclass(frozen=True)
class Start:
    """A start in its two parts. ``value`` is what stands after the equals sign: a file or a timm name for
    ``supervised`` (None: the backbone's own weights), a run directory for ``ssl`` and ``ssl+supervised``
    (None: still to be pre-trained, which only a study does), always None for ``scratch``.
    """

    kind: StartKind
    value: str | None = None

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind}={self.value}"


def parse_start(text: str) -> Start:
    """Read a start as users write it. Raises ConfigError, which names the grammar, for anything else."""
    kind, equals, value = (part.strip() for part in text.partition("="))
    if kind not in get_args(StartKind):
        raise ConfigError(f"unknown start {text!r}; write one of: {GRAMMAR}")
    if not equals:
        return Start(cast(StartKind, kind))
    if kind == "scratch":
        raise ConfigError(f"start {text!r}: scratch means random weights and takes no value; write one of: {GRAMMAR}")
    if not value:
        raise ConfigError(f"start {text!r}: nothing stands after the equals sign; write one of: {GRAMMAR}")
    return Start(cast(StartKind, kind), value)


def start_problems(text: str, flag: str) -> list[str]:
    """What is wrong with a start that a single training is to begin from: its grammar, or a run that is not named."""
    try:
        start = parse_start(text)
    except ConfigError as error:
        return [f"{flag}: {problem}" for problem in error.problems]
    if start.kind in ("ssl", "ssl+supervised") and start.value is None:
        return [f"{flag} {text}: name the pre-training run, as in {text}=RUN"]
    return []


def setting_name(start: str, trained: Trained) -> str:
    """Name of a setting, such as ``ssl/full``. ``start`` may be a kind or a whole start with its value."""
    return f"{parse_start(start).kind}/{trained}"


def seed_letter(start: str, trained: Trained) -> str | None:
    """Letter A to E that the seed report gives to this setting; None for a setting it does not have."""
    return _LETTERS.get(setting_name(start, trained))
