"""The verdict of a study: a sentence made from its numbers, for a reader who is no statistician.

A setting wins only where its paired 95 % interval against *every* other setting at the same label fraction lies wholly
above zero. Everything else is "no clear winner", and with one seed there is no verdict at all.
"""

import math
from collections.abc import Iterable, Sequence

from headstart.configs.starts import StartKind
from headstart.results import Interval, LabelSaving, PairedDifference, StudyRow, Trained, Verdict, metric_words
from headstart.studies.plan import BASELINE
from headstart.studies.rate_words import rate_notes
from headstart.studies.statistics import paired_difference
from headstart.studies.words import (
    NOTHING,
    kind_of,
    label_share,
    labels_of,
    listed,
    measured,
    percent,
    share_words,
    start_of,
    training_of,
)

NOTE = (
    "Each interval is a 95 % t-interval of one comparison over seeds; they are not corrected for making several "
    "comparisons, and do not say how much other validation images would change the numbers. "
    "Label savings are read off curves of means and have no interval."
)
ONE_PRETRAINING = (
    "All seeds of an ssl start share one pre-training. "
    "Its intervals do not say how much another pre-training would change the numbers."
)
ONE_SEED = "Run at least two more seeds (--seeds 3)."


def make_verdict(
    rows: Sequence[StudyRow],
    differences: Sequence[PairedDifference],
    savings: Sequence[LabelSaving],
    protocol: str | None = None,
) -> Verdict:
    """The verdict at the smallest label fraction, where starts matter most, with details on the largest too.

    ``protocol`` is that of the rows' metric, if it has one; the words name it with every score.
    ``differences`` are used where they hold a comparison that is needed; others are worked out from ``rows``. Settings
    may be missing, and seeds unequal. Never raises for rows whose values match their seeds.
    """
    if not rows:
        return Verdict(
            sentence="No run has finished, so there is nothing to compare.", details=[], winner=None, label_fraction=0.0
        )
    smallest, largest = (find(row.label_fraction for row in rows) for find in (min, max))
    few = _Comparisons(rows, differences, smallest, protocol)
    winner = few.winner()
    details = [*_margins(few, winner), *_details(few)]
    if largest != smallest:
        many = _Comparisons(rows, differences, largest, protocol)
        details += [_sentence(many, many.winner(), []), *_details(many)]
    notes = [NOTE, ONE_PRETRAINING] if any(kind_of(row) in ("ssl", "ssl+supervised") for row in rows) else [NOTE]
    notes += rate_notes(rows, protocol)
    return Verdict(
        sentence=_sentence(few, winner, savings),
        details=[*details, *notes],
        winner=winner.setting if winner else None,
        label_fraction=smallest,
    )


class _Comparisons:
    """The rows at one label fraction, best mean first, and their paired differences."""

    def __init__(
        self,
        rows: Iterable[StudyRow],
        differences: Iterable[PairedDifference],
        fraction: float,
        protocol: str | None,
    ) -> None:
        self.protocol = protocol
        self.rows = sorted((row for row in rows if row.label_fraction == fraction), key=lambda row: -row.mean)
        self.baseline = next((row for row in self.rows if row.setting == BASELINE), None)
        self._given = {(each.setting, each.baseline): each for each in differences if each.label_fraction == fraction}

    def result(self, row: StudyRow) -> str:
        """A row's mean with what it is: 71.2 % accuracy."""
        return f"{percent(row.mean)} {metric_words(row.metric, self.protocol)}"

    def difference(self, row: StudyRow, other: StudyRow) -> PairedDifference | None:
        """``row`` minus ``other``; None without a common seed."""
        return self._given.get((row.setting, other.setting)) or paired_difference(row, other)

    def above(self, row: StudyRow, other: StudyRow) -> bool:
        """Whether the whole interval of ``row`` minus ``other`` lies above zero."""
        difference = self.difference(row, other)
        return difference is not None and difference.ci95 is not None and difference.ci95[0] > NOTHING

    def rivals(self, row: StudyRow) -> list[StudyRow]:
        """All other settings, best mean first."""
        return [other for other in self.rows if other is not row]

    def winner(self) -> StudyRow | None:
        """The setting that is above every other one, if there is one."""
        for row in self.rows:
            rivals = self.rivals(row)
            if rivals and all(self.above(row, other) for other in rivals):
                return row
        return None

    def find(self, kind: StartKind, trained: Trained) -> list[StudyRow]:
        """The settings of a kind of start; several where a study compares several runs."""
        return [row for row in self.rows if kind_of(row) == kind and row.trained == trained]


def _sentence(at: _Comparisons, winner: StudyRow | None, savings: Sequence[LabelSaving]) -> str:
    """What to do, or why that cannot be said."""
    best = at.rows[0]
    labels = labels_of(best)
    if len(at.rows) == 1:
        return f"With {labels}, only {best.setting} was run: {at.result(best)}. There is nothing to compare it with."
    if all(len(row.seeds) < 2 for row in at.rows):
        return (
            f"One seed cannot carry a verdict: with {labels}, {best.setting} came out highest with {at.result(best)}"
            f"{_level(at)}, but each setting was run only once, so this may be chance. {ONE_SEED}"
        )
    if winner is None:
        return _no_winner(at, labels)
    return " ".join([_winner(at, winner), *_saving(winner, savings)])


def _winner(at: _Comparisons, winner: StudyRow) -> str:
    """The winner in the imperative, with its lead over scratch/full, or over the next best where it is scratch/full."""
    advice = f"With {labels_of(winner)}, start from {start_of(winner)} and {training_of(winner)}: {at.result(winner)}"
    runner_up = at.rivals(winner)[0]
    against = at.baseline if at.baseline is not None and winner is not at.baseline else runner_up
    lead = measured(at.difference(winner, against), f" over {against.setting}")
    return f"{advice}, {lead}." if against is at.baseline else f"{advice}, ahead of all others, and {lead}."


def _level(at: _Comparisons) -> str:
    """Who has exactly the best mean as well, in words; nothing where nobody has."""
    best, *others = at.rows
    level = [row.setting for row in others if math.isclose(row.mean, best.mean, abs_tol=1e-9)]
    return f", level with {listed(level)}" if level else ""


def _no_winner(at: _Comparisons, labels: str) -> str:
    """Who shares the lead, and which of them are shown to be better than scratch/full."""
    best, *others = at.rows
    tied = [row for row in others if not at.above(best, row)]
    unpaired = [row for row in tied if _interval_of(at.difference(best, row)) is None]
    close = [row for row in tied if row not in unpaired]
    parts = [f"With {labels} there is no clear winner at n={_seeds(at, best, others)}."]
    if close:
        names = listed([f"{row.setting} ({percent(row.mean)})" for row in close])
        parts.append(
            f"{best.setting} has the highest mean, {at.result(best)}{_level(at)}, but is not clearly above {names}: "
            f"the paired 95 % {'interval does' if len(close) == 1 else 'intervals do'} not lie above zero."
        )
    if unpaired:
        parts.append(
            f"{best.setting}, with {at.result(best)}, shares fewer than two seeds with "
            f"{listed([row.setting for row in unpaired])}, so they cannot be compared."
        )
    return " ".join([*parts, *_against_scratch(at, [best, *tied])])


def _against_scratch(at: _Comparisons, leaders: Sequence[StudyRow]) -> list[str]:
    """Which of the leaders are above scratch/full; nothing where that was not run."""
    baseline = at.baseline
    if baseline is None:
        return []
    candidates = [row for row in leaders if row is not baseline]
    better = [row for row in candidates if at.above(row, baseline)]
    if not better:
        return [f"None of them is shown to beat {BASELINE}."]
    shown = "; ".join(f"{row.setting}, {measured(at.difference(row, baseline))}" for row in better)
    sentences = [f"Shown to beat {BASELINE}: {shown}."]
    rest = [row.setting for row in candidates if row not in better]
    return [*sentences, f"Not shown to beat it: {listed(rest)}."] if rest else sentences


def _margins(at: _Comparisons, winner: StudyRow | None) -> list[str]:
    """How far the winner is ahead of the runner-up, and whether that interval can be trusted."""
    if winner is None:
        return []
    lines = [f"With {share_words(winner)}, the next best: {_compared(at, winner, at.rivals(winner)[0])}"]
    intervals = [(row, _interval_of(at.difference(winner, row))) for row in at.rivals(winner)]
    same = [row.setting for row, interval in intervals if interval is not None and interval[1] - interval[0] < NOTHING]
    if same:
        lines.append(
            f"All seeds gave the same difference between {winner.setting} and {listed(same)}, so the interval has no "
            "width. With few validation images that happens by chance: run more seeds before relying on it."
        )
    return lines


def _details(at: _Comparisons) -> list[str]:
    """What own pre-training is worth at this label fraction, and the floor under the frozen settings."""
    pairs: list[tuple[str, StartKind, StartKind, Trained]] = [
        ("own pre-training from random weights", "ssl", "scratch", "full"),
        ("frozen features of own pre-training against random ones", "ssl", "scratch", "frozen"),
        ("own pre-training on top of supervised weights", "ssl+supervised", "supervised", "full"),
        ("own pre-training on top of supervised weights, frozen", "ssl+supervised", "supervised", "frozen"),
    ]
    lines = [
        f"With {share_words(row)}, {title}: {_compared(at, row, other)}"
        for title, kind, other_kind, trained in pairs
        for row in at.find(kind, trained)
        for other in at.find(other_kind, trained)
    ]
    lines += [
        f"With {share_words(row)}, frozen random features ({row.setting}) reach {at.result(row)}: the floor that "
        "frozen features of any worth must beat."
        for row in at.find("scratch", "frozen")
    ]
    return lines


def _compared(at: _Comparisons, row: StudyRow, other: StudyRow) -> str:
    """One comparison as a sentence that claims no more than its interval does."""
    difference = at.difference(row, other)
    interval = _interval_of(difference)
    if difference is None:
        return f"{row.setting} and {other.setting} share no seed and cannot be compared."
    if interval is None:
        return f"{row.setting} against {other.setting}: {measured(difference)}, which may be chance."
    if interval[0] > NOTHING:
        where = "is above"
    elif interval[1] < -NOTHING:
        where = "is below"
    else:
        where = "cannot be told apart from"
    return f"{row.setting} {where} {other.setting}: {measured(difference)}."


def _saving(winner: StudyRow, savings: Iterable[LabelSaving]) -> list[str]:
    """The winner's label saving as a sentence; none for scratch/full, which it is measured by."""
    saving = next((each for each in savings if each.setting == winner.setting), None)
    if saving is None or winner.setting == BASELINE:
        return []
    goal = f"what {BASELINE} reaches with all of them ({percent(saving.target)})"
    if saving.label_fraction is None:
        return [f"With none of the label fractions tried does it reach {goal}."]
    share = label_share(saving.label_fraction)
    if saving.status == "at_most":
        return [f"It needs {share} of the labels, or fewer, to reach {goal}."]
    return [f"It needs about {share} of the labels to reach {goal}."]


def _interval_of(difference: PairedDifference | None) -> Interval | None:
    return None if difference is None else difference.ci95


def _seeds(at: _Comparisons, best: StudyRow, others: Iterable[StudyRow]) -> str:
    """How many seeds the best setting shares with the others: 3, or 2 to 3."""
    shared = sorted({len(difference.values) if (difference := at.difference(best, row)) else 0 for row in others})
    return str(shared[0]) if len(shared) == 1 else f"{shared[0]} to {shared[-1]}"
