"""Learning rate and EMA momentum as plain functions of the step: nothing to save, nothing to lose on resume."""

import math

from headstart.configs.optimisation import ScheduleConfig

ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 1e4
"""First and last rate of a one-cycle schedule as shares of the peak: the defaults of torch's OneCycleLR."""


def lr_factor(config: ScheduleConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """The learning rate at ``step`` of ``steps`` as a share of the peak, in [0, 1]."""
    if config.name == "warm_restarts":
        return warm_restarts(step / steps_per_epoch, config.restart_epochs, config.restart_factor)
    if config.name == "one_cycle":
        return one_cycle(step, steps, config.warmup_fraction)
    warmup = round(config.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / warmup
    if config.name == "constant":
        return 1.0
    progress = (step - warmup) / max(1, steps - warmup)
    if config.name == "poly":
        return float((1 - progress) ** config.power)
    return half_cosine(progress)


def half_cosine(progress: float) -> float:
    """From 1 at progress 0 to 0 at progress 1 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def one_cycle(step: int, steps: int, rising: float) -> float:
    """1cycle (Smith and Topin, 2019) as torch's OneCycleLR has it with cosines: up to 1 over the share ``rising``, in
    [0, 1), of the steps, then down. The momentum stays as it is.
    """
    top, last = rising * steps - 1, steps - 1
    if step <= top and top > 0:
        return 1 - (1 - ONE_CYCLE_START) * half_cosine(step / top)
    return ONE_CYCLE_END + (1 - ONE_CYCLE_END) * half_cosine((step - top) / (last - top))


def warm_restarts(epoch: float, period: int, factor: int) -> float:
    """SGDR (Loshchilov and Hutter, 2017, eq. 5) with minimum 0: a half cosine that starts anew after each period."""
    length = float(period)
    while epoch >= length:
        epoch -= length
        length *= factor
    return half_cosine(epoch / length)


def tau_at(step: int, steps: int, base: float, end: float) -> float:
    """EMA momentum of the target: from ``base`` at the first step to ``end`` on a half cosine (BYOL, section 3.3)."""
    return end - (end - base) * half_cosine(step / max(1, steps))
