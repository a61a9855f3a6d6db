"""Means, intervals, paired differences and label savings of a study: from numbers to the rows of its result.

All values are shares in [0, 1] of one metric. Intervals are two-sided 95 % Student t-intervals over seeds: they speak
of what changes from seed to seed (initial weights, order, choice of labelled images), not of how the validation images
were drawn. With one seed there is no interval, and it is None rather than something of width zero.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from headstart.configs.starts import parse_start
from headstart.results import Interval, LabelSaving, PairedDifference, StudyRow, Trained
from headstart.studies.plan import BASELINE, start_labels

log = logging.getLogger(__name__)

LEVEL = 0.95


class ScoredRun(Protocol):
    """Result of one training of a study, whatever its task: ``score`` is a share in [0, 1] of ``metric``, on ``n_val``
    validation images, after training on ``n_train`` labelled ones. ``letter`` is the seed report's name of the setting.
    """

    @property
    def setting(self) -> str: ...
    @property
    def start(self) -> str: ...
    @property
    def trained(self) -> Trained: ...
    @property
    def letter(self) -> str | None: ...
    @property
    def label_fraction(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def metric(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def n_train(self) -> int: ...
    @property
    def n_val(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def warnings(self) -> list[str]: ...
    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self: ...


def sample_sd(values: ArrayLike) -> float | None:
    """Sample standard deviation (divided by n - 1) of the values (n,); None for fewer than two."""
    numbers = np.asarray(values, dtype=np.float64)
    return float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None


def t_interval(values: ArrayLike, level: float = LEVEL) -> Interval | None:
    """Interval that covers the mean of a normal population with probability ``level``; None for fewer than two values.

    mean -+ t(n - 1) * sd / sqrt(n), values (n,).
    """
    numbers = np.asarray(values, dtype=np.float64)
    sd = sample_sd(numbers)
    if sd is None:
        return None
    half = float(stats.t.ppf((1 + level) / 2, len(numbers) - 1)) * sd / math.sqrt(len(numbers))
    mean = float(np.mean(numbers))
    return mean - half, mean + half


def rows_from(results: Sequence[ScoredRun]) -> list[StudyRow]:
    """One row for each setting and label fraction: settings A to E first, then the others, fractions ascending.

    Where one setting name stands for several starts (two ``ssl`` runs), the rows' names tell them apart, as
    ``plan.start_labels`` does. Of several results of the same setting, fraction and seed the last counts, and a warning
    is logged. ``seconds`` is the sum over seeds; ``n_labels`` the largest number of labelled images over seeds.
    """
    names = _setting_names(results)
    groups: dict[tuple[str, float], dict[int, ScoredRun]] = defaultdict(dict)
    for result in results:
        by_seed = groups[names[result.setting, result.start], result.label_fraction]
        if result.seed in by_seed:
            log.warning(
                "%s with %g of the labels and seed %d was run twice; the last result counts",
                result.setting,
                result.label_fraction,
                result.seed,
            )
        by_seed[result.seed] = result
    rows = [_row(setting, [by_seed[seed] for seed in sorted(by_seed)]) for (setting, _), by_seed in groups.items()]
    return sorted(rows, key=_order)


def paired_difference(row: StudyRow, baseline: StudyRow) -> PairedDifference | None:
    """``row`` minus ``baseline`` over the seeds that both have, in ascending order; None where they share none."""
    ours, theirs = (dict(zip(each.seeds, each.values, strict=True)) for each in (row, baseline))
    values = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    if not values:
        return None
    return PairedDifference(
        setting=row.setting,
        baseline=baseline.setting,
        label_fraction=row.label_fraction,
        values=values,
        mean=float(np.mean(values)),
        ci95=t_interval(values),
    )


def paired_differences(rows: Iterable[StudyRow], baseline: str = BASELINE) -> list[PairedDifference]:
    """Every setting minus the baseline at the same label fraction, in the order of ``rows``.

    Left out are settings at fractions where the baseline was not run, or shares no seed with them.
    """
    rows = list(rows)
    against = {row.label_fraction: row for row in rows if row.setting == baseline}
    pairs = [
        paired_difference(row, against[row.label_fraction])
        for row in rows
        if row.setting != baseline and row.label_fraction in against
    ]
    return [pair for pair in pairs if pair is not None]


def label_savings(rows: Iterable[StudyRow], baseline: str = BASELINE) -> list[LabelSaving]:
    """For every setting the share of the labels with which it reaches the baseline's mean with all of them.

    Empty where the baseline was not run with all labels. The baseline's own saving is 1, unless its curve reaches its
    end already earlier (more labels did not help it): then it is that earlier share, by the rule for all.
    """
    curves: dict[str, dict[float, float]] = defaultdict(dict)
    for row in rows:
        curves[row.setting][row.label_fraction] = row.mean
    target = curves.get(baseline, {}).get(1.0)
    if target is None:
        return []
    return [label_saving(setting, curve, target) for setting, curve in curves.items()]


def label_saving(setting: str, curve: Mapping[float, float], target: float) -> LabelSaving:
    """The smallest label fraction at which ``curve`` (fraction -> mean) first reaches ``target``.

    Between two neighbouring fractions the mean is taken to rise linearly in the logarithm of the fraction, because
    learning curves are much nearer to straight on that axis. A curve that later falls below the target again still
    counts from where it first reached it. Below the smallest fraction tried nothing is known: ``at_most``.
    """
    fractions = sorted(curve)
    reached = next((i for i, fraction in enumerate(fractions) if curve[fraction] >= target), None)
    if reached is None:
        return LabelSaving(setting=setting, target=target, status="not_reached", label_fraction=None)
    at = fractions[reached]
    if reached == 0:
        return LabelSaving(setting=setting, target=target, status="at_most", label_fraction=at)
    below = fractions[reached - 1]
    share = (target - curve[below]) / (curve[at] - curve[below])
    fraction = at if share == 1 else below * (at / below) ** share
    return LabelSaving(setting=setting, target=target, status="reached", label_fraction=fraction)


def _setting_names(results: Sequence[ScoredRun]) -> dict[tuple[str, str], str]:
    """A name for each (setting, start) of the results, which is the setting's own where it has one start only."""
    starts: dict[str, list[str]] = defaultdict(list)
    for result in results:
        if result.start not in starts[result.setting]:
            starts[result.setting].append(result.start)
    names = {}
    for setting, of_setting in starts.items():
        trained = setting.rpartition("/")[2]
        labels = start_labels([parse_start(start) for start in of_setting]) if len(of_setting) > 1 else []
        named = [f"{label}/{trained}" for label in labels] or [setting]
        names.update({(setting, start): name for start, name in zip(of_setting, named, strict=True)})
    return names


def _row(setting: str, runs: Sequence[ScoredRun]) -> StudyRow:
    """The runs of one setting at one label fraction, one for each seed, as a row."""
    values = [run.score for run in runs]
    return StudyRow(
        setting=setting,
        start=runs[-1].start,
        trained=runs[-1].trained,
        letter=runs[-1].letter,
        label_fraction=runs[-1].label_fraction,
        n_labels=max(run.n_train for run in runs),
        metric=runs[-1].metric,
        seeds=[run.seed for run in runs],
        values=values,
        mean=float(np.mean(values)),
        sd=sample_sd(values),
        ci95=t_interval(values),
        seconds=sum(run.seconds for run in runs),
    )


def _order(row: StudyRow) -> tuple[bool, str, bool, str, float]:
    """Sorting key: letters first, then full before frozen, then names, then fractions."""
    return row.letter is None, row.letter or "", row.trained == "frozen", row.setting, row.label_fraction
