"""Taking in the data of a run: check them once, compare them with those it began with, and write data.json."""

from collections.abc import Callable, Sequence, Sized
from pathlib import Path
from typing import TypeVar

from headstart.results import DataFacts
from headstart.training.rundir import check_data

S = TypeVar("S", bound=Sized)
C = TypeVar("C", bound=Sized)


def take_in(
    out: Path,
    root: Path,
    offered: Sequence[S],
    check: Callable[[S], C],
    facts_of: Callable[..., DataFacts],
    write: bool = True,
) -> tuple[list[C], DataFacts]:
    """What of each offered side (training, then validation if there is one) can be used, and the facts about it.

    Args:
        out: the run's directory; data.json is written into it where ``write`` (by one process of several).
        root: the source's folder, in which ``out`` may not lie.
        check: an offered side -> what of it can be read (``check_images``, ``check_pairs``, or a ``Store``'s method).
        facts_of: called with the checked sides in their order and ``quarantined=``, how many items the check left out.

    Raises what ``check`` raises, and RunError when these are not the data the run in ``out`` began with. Processes of
    one training call it one after the other (``fabric.rank_zero_first()``), so that one writes the quarantine file.
    """
    checked = [check(side) for side in offered]
    facts = facts_of(*checked, quarantined=sum(map(len, offered)) - sum(map(len, checked)))
    check_data(out, facts, root)
    if write:
        facts.save(out / "data.json")
    return checked, facts
