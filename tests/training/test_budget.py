"""The time of a step is taken from a trial that neither a busy moment nor a slow machine can spoil."""

import itertools
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from headstart.training import budget
from headstart.training.budget import LEAST_TIMED, MOST_TIMED, UNTIMED_STEPS, epochs_in, is_enough, seconds_per_step


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only steps move, by the seconds they take; these are put into it, the first one first."""
    times: list[float] = []
    now = [0.0]
    taken: Iterator[float] = (times[i] if i < len(times) else times[-1] for i in itertools.count())

    def optimise(*_: Any) -> None:
        now[0] += next(taken)

    monkeypatch.setattr(budget, "optimise", optimise)
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    return times


def timed(clock: list[float], seconds: Sequence[float], minutes: float) -> tuple[float, int]:
    """What the trial found, and after how many steps."""
    clock.extend(seconds)
    steps = []
    task = SimpleNamespace(after_step=lambda module, step: steps.append(step))
    state, plan = SimpleNamespace(module=None), SimpleNamespace(accumulate=1)
    fabric = SimpleNamespace(broadcast=lambda value: value)
    return seconds_per_step(task, state, plan, itertools.repeat([]), fabric, minutes), len(steps)  # type: ignore[arg-type]


def test_steps_before_the_clock_starts_and_busy_moments_do_not_count(clock: list[float]) -> None:
    found, steps = timed(clock, [9, 9, 0.1, 5, 0.1, 5, 5, 0.1, 0.1, 0.1], minutes=60)
    assert found == pytest.approx(0.1)
    assert steps == UNTIMED_STEPS + MOST_TIMED


def test_a_short_budget_is_not_spent_on_the_trial(clock: list[float]) -> None:
    found, steps = timed(clock, [1.0], minutes=2)
    assert (found, steps) == (1.0, UNTIMED_STEPS + LEAST_TIMED)


def test_slow_steps_are_timed_twice(clock: list[float]) -> None:
    found, steps = timed(clock, [30.0], minutes=2)
    assert (found, steps) == (30.0, UNTIMED_STEPS + 2)


def test_waiting_for_a_loader_counts(clock: list[float]) -> None:
    """Four processes that deliver in bursts: 0.5 s a step, and 2.5 s every fourth."""
    found, _ = timed(clock, [0.5, 0.5, *[0.5, 0.5, 0.5, 2.5] * 30], minutes=600)
    assert found == pytest.approx(1.0, rel=0.1)


def test_at_least_two_steps_are_timed_however_slow() -> None:
    assert [is_enough(steps, 5.0) for steps in (0, 1, 2)] == [False, False, True]


def test_epochs_fill_the_minutes_but_for_the_reserve() -> None:
    assert epochs_in(10, 0.5, 22) == int(600 * (1 - budget.RESERVE) / 11)
    assert epochs_in(0.01, 10, 100) == 1
