"""Schedules against torch's own and against closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, OneCycleLR, PolynomialLR

from headstart.configs.optimisation import ScheduleConfig
from headstart.training.schedules import lr_factor, tau_at


@pytest.mark.parametrize(("period", "factor"), [(3, 1), (2, 2)])
def test_warm_restarts_are_those_of_torch(period: int, factor: int) -> None:
    config = ScheduleConfig(name="warm_restarts", restart_epochs=period, restart_factor=factor)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = CosineAnnealingWarmRestarts(optimizer, T_0=period, T_mult=factor)
    for step in range(80):
        theirs.step(step / 5)
        assert lr_factor(config, step, 80, 5) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)


def test_cosine_warms_up_peaks_and_ends_near_zero() -> None:
    config = ScheduleConfig(name="cosine", warmup_fraction=0.1)
    factors = [lr_factor(config, step, 100, 10) for step in range(100)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(factors) == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert 0 < factors[-1] < 0.001


def test_constant_stays_at_the_peak_after_warming_up() -> None:
    config = ScheduleConfig(name="constant", warmup_fraction=0.2)
    assert [lr_factor(config, step, 10, 5) for step in range(10)] == [0.5] + [1.0] * 9


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_poly_is_that_of_torch(power: float) -> None:
    config = ScheduleConfig(name="poly", warmup_fraction=0.0, power=power)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = PolynomialLR(optimizer, total_iters=60, power=power)
    for step in range(60):
        assert lr_factor(config, step, 60, 5) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_poly_warms_up_as_cosine_does() -> None:
    poly, cosine = (ScheduleConfig(name=name, warmup_fraction=0.1) for name in ("poly", "cosine"))
    assert [lr_factor(poly, step, 50, 5) for step in range(6)] == [lr_factor(cosine, step, 50, 5) for step in range(6)]
    assert lr_factor(poly, 5, 50, 5) == 1.0
    assert lr_factor(poly, 23, 50, 5) == pytest.approx(0.6**0.9)
    assert lr_factor(poly, 49, 50, 5) == pytest.approx((1 / 45) ** 0.9)


@pytest.mark.parametrize(
    ("steps", "rising"), [(100, 0.3), (60, 0.05), (37, 0.25), (10, 0.9), (8, 0.0), (1, 0.3), (2, 0.7)]
)
def test_one_cycle_is_that_of_torch(steps: int, rising: float) -> None:
    config = ScheduleConfig(name="one_cycle", warmup_fraction=rising)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = OneCycleLR(optimizer, max_lr=1.0, total_steps=steps, pct_start=rising, cycle_momentum=False)
    for step in range(steps):
        assert lr_factor(config, step, steps, 5) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        if step + 1 < steps:
            theirs.step()


@given(
    name=st.sampled_from(["cosine", "poly", "one_cycle", "warm_restarts", "constant"]),
    steps=st.integers(1, 300),
    warmup=st.floats(0, 0.99),
)
def test_every_rate_is_a_share_of_the_peak(name: str, steps: int, warmup: float) -> None:
    config = ScheduleConfig(name=name, warmup_fraction=warmup)  # type: ignore[arg-type]
    assert all(0 <= lr_factor(config, step, steps, 7) <= 1 for step in range(steps))


def test_one_cycle_of_a_single_rising_step_begins_at_the_peak() -> None:
    """torch's OneCycleLR divides by zero here."""
    assert lr_factor(ScheduleConfig(name="one_cycle", warmup_fraction=0.1), 0, 10, 5) == 1.0


def test_tau_follows_the_formula_of_the_paper() -> None:
    steps, base = 50, 0.996
    for k in range(steps + 1):
        expected = 1 - (1 - base) * (math.cos(math.pi * k / steps) + 1) / 2
        assert tau_at(k, steps, base, 1.0) == pytest.approx(expected, abs=1e-12)
