"""Schedules against torch's own and against closed forms."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

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


def test_tau_follows_the_formula_of_the_paper() -> None:
    steps, base = 50, 0.996
    for k in range(steps + 1):
        expected = 1 - (1 - base) * (math.cos(math.pi * k / steps) + 1) / 2
        assert tau_at(k, steps, base, 1.0) == pytest.approx(expected, abs=1e-12)
