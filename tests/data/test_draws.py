"""What chance decides of a view: torchvision's distributions, as functions of a seed."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstest
from torchvision.transforms import v2

from headstart.configs.views import ViewsConfig
from headstart.data.colours import OPERATIONS, Step
from headstart.data.draws import CROP_NUMBERS, JITTER_NUMBERS, crop_box, jitter_ranges, jitter_steps, uniforms
from headstart.data.views import Byol

DRAWS = 4000
UNLIKELY = 1e-4
"""Of the tests below that compare distributions: seeds are fixed, so that each passes always or never."""

Box = tuple[int, int, int, int]


def torchvision_boxes(height: int, width: int, scale: tuple[float, float], count: int) -> list[Box]:
    crop = v2.RandomResizedCrop(8, scale=scale)
    image = torch.zeros(3, height, width)
    drawn = (crop.make_params([image]) for _ in range(count))
    return [(each["top"], each["left"], each["height"], each["width"]) for each in drawn]


def our_boxes(height: int, width: int, scale: tuple[float, float], count: int) -> list[Box]:
    return [crop_box(height, width, scale, uniforms(seed, CROP_NUMBERS)) for seed in range(count)]


@pytest.mark.parametrize("shape", [(166, 220), (300, 180), (64, 64), (40, 130)])
@pytest.mark.parametrize("scale", [(0.2, 1.0), (0.5, 0.6)])
def test_crops_are_distributed_as_torchvisions(shape: tuple[int, int], scale: tuple[float, float]) -> None:
    torch.manual_seed(0)
    ours, theirs = (np.array(boxes(*shape, scale, DRAWS)) for boxes in (our_boxes, torchvision_boxes))
    for measure in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: b[:, 3] / b[:, 2],
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 0] + b[:, 2],
    ):
        assert ks_2samp(measure(ours), measure(theirs)).pvalue > UNLIKELY


@settings(max_examples=80, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 999))
def test_crops_lie_within_the_image(height: int, width: int, seed: int) -> None:
    top, left, down, across = crop_box(height, width, (0.2, 1.0), uniforms(seed, CROP_NUMBERS))
    assert 0 <= top <= height - down
    assert 0 <= left <= width - across
    assert min(down, across) >= 1


@settings(max_examples=60, deadline=None)
@given(long=st.integers(40, 400), short=st.integers(1, 19), upright=st.booleans())
def test_where_no_try_fits_it_is_the_middle_as_torchvision_takes_it(long: int, short: int, upright: bool) -> None:
    shape = (long, short) if upright else (short, long)
    assert our_boxes(*shape, (1.0, 1.0), 1) == torchvision_boxes(*shape, (1.0, 1.0), 1)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 2.0, 9.0])
def test_the_jitters_ranges_are_torchvisions(strength: float) -> None:
    parts = {"brightness": (0.4, 1.0), "contrast": (0.4, 1.0), "saturation": (0.2, 1.0), "hue": (0.1, 0.5)}
    spread = {name: min(limit, share * strength) for name, (share, limit) in parts.items()}
    reference = v2.ColorJitter(**spread)
    ours = jitter_ranges(strength)
    for name in parts:
        assert ours.get(name) == (pytest.approx(getattr(reference, name)) if getattr(reference, name) else None)


def test_the_jitter_has_every_order_and_amounts_spread_evenly() -> None:
    ranges = jitter_ranges(1.0)
    drawn = [jitter_steps(ranges, uniforms(seed, JITTER_NUMBERS)) for seed in range(DRAWS)]
    orders = Counter(tuple(name for name, _ in steps) for steps in drawn)
    assert set(orders) == set(itertools.permutations(ranges))
    expected = DRAWS / 24
    assert sum((n - expected) ** 2 / expected for n in orders.values()) < 60  # chi-squared, 23 degrees: p about 4e-5
    for name, (low, high) in ranges.items():
        amounts = [dict(steps)[name] for steps in drawn]
        assert kstest(amounts, "uniform", args=(low, high - low)).pvalue > UNLIKELY
        first = [dict(steps)[name] for steps in drawn if steps[0][0] == name]
        assert kstest(first, "uniform", args=(low, high - low)).pvalue > UNLIKELY, "the order knows of the amount"


def steps_of(which: int, **settings: object) -> list[list[Step]]:
    view = Byol(ViewsConfig.model_validate(settings), 64, which)
    return [view.steps(uniforms(seed, Byol.numbers)[-JITTER_NUMBERS - 5 :]) for seed in range(DRAWS)]


def share(drawn: list[list[Step]], name: str) -> float:
    return float(np.mean([any(step[0] == name for step in steps) for steps in drawn]))


@pytest.mark.parametrize("which", [0, 1])
def test_each_step_comes_with_its_probability(which: int) -> None:
    chances = {"blur": (0.9, 0.3), "solarise": (0.05, 0.4)}
    drawn = steps_of(which, colour_probability=0.7, grey=0.25, **chances)
    greys = [("saturation", 0.0) in steps for steps in drawn]
    found = {"hue": share(drawn, "hue"), "grey": float(np.mean(greys))} | {each: share(drawn, each) for each in chances}
    expected = {"hue": 0.7, "grey": 0.25} | {name: pair[which] for name, pair in chances.items()}
    for name, probability in expected.items():
        error = (probability * (1 - probability) / DRAWS) ** 0.5
        assert abs(found[name] - probability) < 4 * error, name
    sigmas = [amount for steps in drawn for name, amount in steps if name == "blur"]
    assert kstest(sigmas, "uniform", args=(0.1, 1.9)).pvalue > UNLIKELY
    joint = np.mean([g and any(s[0] == "hue" for s in steps) for g, steps in zip(greys, drawn, strict=True)])
    assert joint == pytest.approx(0.25 * 0.7, abs=0.03), "drawn independently"


def test_probabilities_of_nought_and_one_are_never_and_always() -> None:
    never = steps_of(0, colour_probability=0.0, grey=0.0, blur=(0.0, 0.0), solarise=(0.0, 0.0))
    assert never == [[]] * DRAWS
    always = steps_of(1, colour_probability=1.0, grey=1.0, blur=(1.0, 1.0), solarise=(1.0, 1.0))
    tail = {tuple(name for name, _ in steps[4:]) for steps in always}
    assert tail == {("saturation", "blur", "solarise")}
    assert {name for steps in always for name, _ in steps} == set(OPERATIONS)


def test_numbers_are_a_function_of_the_seed_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert uniforms(5, 4) == uniforms(5, 9)[:4]
    assert uniforms(5, 4) != uniforms(6, 4)
    assert uniforms(2**63 - 1, 2) != uniforms(2**62 - 1, 2)
    assert torch.equal(torch.rand(2), expected)
    assert uniforms(0, 2) == pytest.approx([0.0, 0.0], abs=1)
