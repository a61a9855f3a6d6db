"""Regions with one class each, from probabilities and masks in memory."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from headstart.analysis.segmentation import Scorer
from headstart.inference.raster_output import NODATA_INDEX
from headstart.inference.tiles import Strip
from headstart.sam.record import Mask, dense, mask_of
from headstart.sam.refine import MaskRegions, refine

SIZE = (40, 50)


def mask(pixels: np.ndarray) -> Mask:
    height, width = pixels.shape
    place = {"point": (0.0, 0.0), "crop": (0, 0, width, height)}
    return mask_of(pixels, (height, width), predicted_iou=0.9, stability=0.95, **place)


def box(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = SIZE) -> Mask:
    pixels = np.zeros(size, bool)
    pixels[y0:y1, x0:x1] = True
    return mask(pixels)


def shares(seed: int = 0, n_classes: int = 4, size: tuple[int, int] = SIZE) -> Tensor:
    """Probabilities with patches, so that regions differ."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, n_classes, 6, 7, generator=generator) * 3
    logits = torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0]
    return torch.softmax(logits + torch.randn(logits.shape, generator=generator), 0)


def speckles(n: int = 25, seed: int = 0) -> list[Mask]:
    """Overlapping masks with holes and of several parts, no two of one area."""
    rng = np.random.default_rng(seed)
    found: dict[int, Mask] = {}
    while len(found) < n:
        y0, x0 = rng.integers(0, SIZE[0] - 3), rng.integers(0, SIZE[1] - 3)
        pixels = np.zeros(SIZE, bool)
        window = pixels[y0 : y0 + rng.integers(3, 30), x0 : x0 + rng.integers(3, 30)]
        window[:] = rng.random(window.shape) < 0.8
        found.setdefault(int(pixels.sum()), mask(pixels))
    return list(found.values())


def slowly(probabilities: Tensor, masks: Sequence[Mask], margin: float, valid: np.ndarray) -> np.ndarray:
    """The rule as it is written, by bitmaps and a loop over pixels."""
    answer = probabilities.numpy().astype(np.float64)
    chosen: list[tuple[int, int, np.ndarray]] = []
    for each in masks:
        pixels = dense(each) & valid
        means = answer[:, pixels].mean(axis=1)
        first, second = np.argsort(-means)[:2]
        if means[first] - means[second] >= margin:
            chosen.append((each.area, int(first), dense(each)))
    classes = answer.argmax(axis=0).astype(np.uint8)
    for y, x in np.ndindex(*classes.shape):
        holding = [(area, index) for area, index, pixels in chosen if pixels[y, x]]
        if holding:
            classes[y, x] = min(holding)[1]
    classes[~valid] = NODATA_INDEX
    return classes


@pytest.mark.parametrize("margin", [0.0, 0.15, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_rule_as_it_is_written(margin: float, seed: int) -> None:
    valid = np.random.default_rng(seed).random(SIZE) < 0.9
    probabilities, masks = shares(seed), speckles(seed=seed)
    expected = slowly(probabilities, masks, margin, valid)
    assert len(np.unique(expected)) > 2
    assert np.array_equal(refine(probabilities, masks, margin, torch.from_numpy(valid)), expected)
    assert np.array_equal(refine(probabilities, masks[::-1], margin, torch.from_numpy(valid)), expected)


def test_without_masks_nothing_changes() -> None:
    probabilities = shares()
    assert np.array_equal(refine(probabilities, [], 0.0), probabilities.argmax(0).numpy())


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_probabilities_that_are_constant_within_regions_stay(margin: float) -> None:
    masks = [box(0, 0, 20, 40), box(20, 0, 50, 15), box(20, 15, 50, 40), box(25, 20, 30, 30)]
    probabilities = torch.zeros(3, *SIZE)
    for i, each in enumerate(masks):
        probabilities[:, torch.from_numpy(dense(each))] = torch.tensor([[0.5], [0.3], [0.2]]).roll(i % 3, 0)
    whole = probabilities.argmax(0).numpy()
    assert len(np.unique(whole)) == 3
    assert np.array_equal(refine(probabilities, masks, margin), whole)


def test_a_region_has_the_class_of_the_largest_mean() -> None:
    probabilities = torch.full((2, *SIZE), 0.5)
    probabilities[:, 10:20, 10:17] = torch.tensor([0.4, 0.6]).view(2, 1, 1)  # 70 % of the region, and little
    probabilities[:, 10:20, 17:20] = torch.tensor([1.0, 0.0]).view(2, 1, 1)  # 30 %, and much: 0.58 in the mean
    region = box(10, 10, 20, 20)
    assert (refine(probabilities, [region], 0.0)[dense(region)] == 0).all()
    assert (refine(probabilities, [region], 0.15)[10:20, 10:20] == 0).all()
    unsure = refine(probabilities, [region], 0.17)  # the margin is 0.16
    assert (unsure[10:20, 10:17] == 1).all()
    assert (unsure[10:20, 17:20] == 0).all()


def test_the_smallest_sure_region_wins_and_an_unsure_one_lets_the_larger_through() -> None:
    probabilities = torch.zeros(3, *SIZE)
    probabilities[0] = 1
    probabilities[:, 5:15, 5:15] = torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1)
    probabilities[:, 20:30, 20:30] = torch.tensor([0.1, 0.46, 0.44]).view(3, 1, 1)
    masks = [box(5, 5, 15, 15), box(0, 0, 50, 40), box(20, 20, 30, 30)]
    classes = refine(probabilities, masks, 0.2)
    assert (classes[5:15, 5:15] == 1).all()
    assert (classes[20:30, 20:30] == 0).all()
    assert (refine(probabilities, masks, 0.0)[20:30, 20:30] == 1).all()


def test_nodata_stays_and_counts_nowhere() -> None:
    probabilities = torch.zeros(2, *SIZE)
    probabilities[0] = 1
    probabilities[:, :, 10:20] = torch.tensor([0.0, 1.0]).view(2, 1, 1)
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[:, :10] = False  # most of the region; its stored probabilities favour the other class
    classes = refine(probabilities, [box(0, 0, 15, 40)], 0.0, valid)
    assert (classes[:, :10] == NODATA_INDEX).all()
    assert (classes[:, 10:20] == 1).all()
    nothing = refine(probabilities, [box(0, 0, 5, 5)], 0.0, valid)  # a region without a valid pixel
    assert np.array_equal(nothing, np.where(valid.numpy(), probabilities.argmax(0).numpy(), NODATA_INDEX))


def strips(probabilities: Tensor, valid: Tensor, rows: int, cols: int) -> Iterator[tuple[Strip, int]]:
    height, width = valid.shape
    for left in range(0, width, cols):
        for row, top in enumerate(range(0, height, rows)):
            bottom = min(top + rows, height)
            part, kept = (each[..., top:bottom, left : left + cols] for each in (probabilities, valid))
            yield Strip(row, top, bottom, part if bool(kept.any()) else None, kept), left


@pytest.mark.parametrize(("rows", "cols"), [(7, 50), (40, 11), (9, 13)])
def test_strips_come_to_the_same_as_the_whole(rows: int, cols: int) -> None:
    probabilities, masks = shares(5), speckles(seed=5)
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[:18, :26] = False  # whole strips have no valid pixel
    whole = refine(probabilities, masks, 0.1, valid)
    regions = MaskRegions(SIZE, masks, 4, 0.1)
    own = np.where(valid.numpy(), probabilities.argmax(0).numpy(), NODATA_INDEX).astype(np.uint8)
    for strip, left in strips(probabilities, valid, rows, cols):
        regions.add(regions.sums(strip, left).ravel())
    made = np.zeros_like(own)
    for strip, left in strips(probabilities, valid, rows, cols):
        window = (left, strip.top, min(left + cols, SIZE[1]), strip.bottom)
        place = np.s_[strip.top : strip.bottom, left : left + cols]
        made[place] = regions.repainted(window, own[place])
    assert np.array_equal(made, whole)
    assert not np.array_equal(whole, own)


def test_masks_of_another_image_are_refused() -> None:
    with pytest.raises(ValueError, match="another size"):
        refine(shares(), [box(0, 0, 5, 5, size=(30, 30))], 0.0)


def test_true_regions_sharpen_and_wrong_ones_blur() -> None:
    truth = np.zeros(SIZE, np.uint8)
    truth[8:30, 8:25] = 1
    truth[20:38, 30:48] = 2
    generator = torch.Generator().manual_seed(0)
    logits = torch.nn.functional.one_hot(torch.from_numpy(truth).long(), 3).movedim(2, 0) * 1.5
    probabilities = torch.softmax(logits + torch.randn(logits.shape, generator=generator), 0)

    def miou(masks: list[Mask]) -> float:
        scorer = Scorer(("a", "b", "c"), 3)
        scorer.add(truth, refine(probabilities, masks, 0.1))
        scores = scorer.scores("ignore")
        assert scores.miou is not None
        return scores.miou

    own = miou([])
    assert own < 0.8
    assert miou([mask(truth == index) for index in range(3)]) == 1
    assert miou([box(0, 0, 50, 40)]) < own
