"""Intervals, differences and label savings against closed forms, scipy, and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headstart.results import ClassifyResult, SegmentResult, SegmentScores
from headstart.studies.statistics import (
    label_saving,
    label_savings,
    paired_difference,
    paired_differences,
    rows_from,
    sample_sd,
    t_interval,
)

shares = st.floats(0, 1, allow_nan=False)


def result(start: str, trained: str, fraction: float, seed: int, accuracy: float, **fields) -> ClassifyResult:
    kind = start.partition("=")[0]
    letters = {
        "scratch/full": "A",
        "supervised/full": "B",
        "ssl/full": "C",
        "supervised/frozen": "D",
        "ssl/frozen": "E",
    }
    setting = f"{kind}/{trained}"
    values = {
        "setting": setting,
        "start": start,
        "trained": trained,
        "letter": letters.get(setting),
        "backbone": "resnet18",
        "recipe": "default",
        "label_fraction": fraction,
        "seed": seed,
        "accuracy": accuracy,
        "balanced_accuracy": accuracy,
        "n_train": round(1000 * fraction),
        "n_val": 200,
        "classes": ["a", "b"],
        "confusion": [],
        "frozen_views": None,
        "epochs": 1,
        "steps": 1,
        "weights": None,
        "precision": "fp32",
        "seconds": 2.0,
        "quarantined": 0,
    }
    return ClassifyResult(**(values | fields))


def segment_result(start: str, trained: str, fraction: float, seed: int, miou: float | None) -> SegmentResult:
    scores = SegmentScores(
        protocol="deepglobe6",
        miou=miou,
        pixel_accuracy=0.99,
        mean_dice=0.99,
        boundary_f1=None,
        boundary_px=None,
        classes=[],
        absent=[],
        labels=[],
        counts=[],
        n_images=7,
    )
    return SegmentResult(
        setting=f"{start.partition('=')[0]}/{trained}",
        start=start,
        trained=trained,
        model="unet",
        encoder="tu-test_resnet",
        recipe="default",
        label_fraction=fraction,
        seed=seed,
        protocol="deepglobe6",
        miou=miou,
        scores=scores,
        miou_by_protocol={"deepglobe6": miou, "ignore": 0.99},
        n_parameters=1,
        n_train=round(100 * fraction),
        n_val=7,
        classes=["water"],
        colours=[(0, 0, 255)],
        epochs=1,
        steps=1,
        weights=None,
        precision="fp32",
        seconds=3.0,
        quarantined=0,
    )


def test_rows_of_a_segmentation_hold_its_mean_iou_under_its_protocol():
    starts = ("ssl=a/one", "scratch")
    rows = rows_from(
        [segment_result(start, "full", 0.5, seed, 0.3 + 0.1 * seed) for start in starts for seed in (0, 1)]
    )
    assert [(row.setting, row.letter, row.metric) for row in rows] == [
        ("scratch/full", None, "miou"),
        ("ssl/full", None, "miou"),
    ]
    assert (rows[0].values, rows[0].n_labels, rows[0].seconds) == ([0.3, 0.4], 50, 6.0)
    (difference,) = paired_differences(rows)
    assert difference.values == [0.0, 0.0]


def test_interval_in_closed_form():
    # t(0.975; 2) = 4.302653; sd of 1, 2, 3 is 1; half width 4.302653 / sqrt(3) = 2.484138.
    assert sample_sd([1, 2, 3]) == pytest.approx(1.0)
    assert t_interval([1, 2, 3]) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # t(0.975; 1) = tan(0.475 pi) = 12.7062; sd of 0, 1 is 1 / sqrt(2).
    assert t_interval([0, 1]) == pytest.approx(
        (0.5 - math.tan(0.475 * math.pi) / 2, 0.5 + math.tan(0.475 * math.pi) / 2)
    )
    assert t_interval([0.4, 0.4, 0.4]) == pytest.approx((0.4, 0.4))


def test_one_seed_has_no_interval():
    assert t_interval([0.7]) is None
    assert sample_sd([0.7]) is None
    (row,) = rows_from([result("scratch", "full", 1.0, 0, 0.7)])
    assert (row.mean, row.sd, row.ci95) == (0.7, None, None)


def test_the_interval_covers_the_mean_95_times_in_100():
    samples = np.random.default_rng(0).normal(0.6, 0.03, size=(4000, 3))
    covered = np.mean([low <= 0.6 <= high for low, high in map(t_interval, samples)])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=8))
def test_paired_differences_agree_with_scipy(pairs):
    ours, theirs = map(np.array, zip(*pairs, strict=True))
    rows = rows_from(
        [result("ssl", "full", 0.1, i, value) for i, value in enumerate(ours)]
        + [result("scratch", "full", 0.1, i, value) for i, value in enumerate(theirs)]
    )
    (difference,) = paired_differences(rows)
    assert difference.mean == pytest.approx(float(np.mean(ours - theirs)))
    assert difference.ci95 is not None
    if np.std(ours - theirs) > 1e-9:
        expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
        assert difference.ci95 == pytest.approx((expected.low, expected.high))


def test_pairing_removes_what_the_seeds_have_in_common():
    hard_and_easy = [0.2, 0.5, 0.8]
    rows = rows_from(
        [result("scratch", "full", 0.1, i, value) for i, value in enumerate(hard_and_easy)]
        + [
            result("ssl", "full", 0.1, i, value + gain)
            for i, (value, gain) in enumerate(zip(hard_and_easy, [0.04, 0.05, 0.06], strict=True))
        ]
    )
    (difference,) = paired_differences(rows)
    assert difference.ci95[0] > 0  # clear when paired ...
    assert rows[1].ci95[0] < rows[0].mean < rows[1].ci95[1]  # ... and hidden otherwise


def test_only_common_seeds_are_paired_and_none_give_no_difference():
    seeds_012 = [result("scratch", "full", 0.1, seed, 0.1 * seed) for seed in (0, 1, 2)]
    seeds_321 = [result("ssl", "full", 0.1, seed, 0.1 * seed + 0.01 * seed) for seed in (3, 2, 1)]
    scratch, ssl = rows_from(seeds_321 + seeds_012)
    assert (ssl.seeds, scratch.seeds) == ([1, 2, 3], [0, 1, 2])
    assert paired_difference(ssl, scratch).values == pytest.approx([0.01, 0.02])
    alone = rows_from([seeds_012[0], seeds_321[0]])
    assert paired_difference(alone[1], alone[0]) is None
    assert paired_differences(alone) == []


def test_differences_stay_within_their_label_fraction():
    rows = rows_from(
        [
            result(start, "full", fraction, seed, value)
            for start, fraction, value in [("scratch", 1.0, 0.5), ("ssl", 1.0, 0.6), ("ssl", 0.1, 0.9)]
            for seed in (0, 1)
        ]
    )
    assert [(each.setting, each.label_fraction) for each in paired_differences(rows)] == [("ssl/full", 1.0)]


def test_rows_are_sorted_and_hold_what_was_run():
    settings = [
        ("ssl+supervised", "full"),
        ("scratch", "frozen"),
        ("ssl", "frozen"),
        ("supervised", "frozen"),
        ("ssl", "full"),
        ("ssl+supervised", "frozen"),
        ("supervised", "full"),
        ("scratch", "full"),
    ]
    rows = rows_from(
        [
            result(*setting, fraction, seed, 0.5 + 0.1 * seed)
            for fraction in (1.0, 0.1)
            for seed in (1, 0)
            for setting in settings
        ]
    )
    assert [row.letter for row in rows[::2]] == ["A", "B", "C", "D", "E", None, None, None]
    assert [row.setting for row in rows[10::2]] == ["ssl+supervised/full", "scratch/frozen", "ssl+supervised/frozen"]
    assert [row.label_fraction for row in rows] == [0.1, 1.0] * 8
    first = rows[0]
    assert (first.seeds, first.values, first.n_labels, first.seconds) == ([0, 1], [0.5, 0.6], 100, 4.0)
    assert first.mean == pytest.approx(0.55)


def test_a_run_done_twice_counts_once_and_is_said(caplog):
    rows = rows_from(
        [result("ssl", "full", 0.1, 0, value) for value in (0.3, 0.4)] + [result("ssl", "full", 0.1, 1, 0.5)]
    )
    assert rows[0].values == [0.4, 0.5]
    assert "run twice" in caplog.text


def test_two_starts_under_one_name_are_two_settings():
    rows = rows_from(
        [result(start, "full", 0.1, seed, 0.5) for start in ("ssl=a/one", "ssl=b/two", "scratch") for seed in (0, 1)]
    )
    assert [row.setting for row in rows] == ["scratch/full", "ssl (one)/full", "ssl (two)/full"]


def test_saving_is_linear_in_the_logarithm_of_the_fraction():
    # Half-way from 0.4 to 0.8 in accuracy is half-way from 0.01 to 1 in log fraction: 0.1.
    saving = label_saving("ssl/full", {0.01: 0.4, 1.0: 0.8}, target=0.6)
    assert (saving.status, saving.label_fraction) == ("reached", pytest.approx(0.1))
    # A quarter of the way from 0.1 to 1: 10 ** -0.75.
    assert label_saving("x", {0.1: 0.6, 1.0: 0.8}, 0.65).label_fraction == pytest.approx(10**-0.75)


def test_saving_at_its_edges():
    assert label_saving("x", {0.1: 0.7, 1.0: 0.8}, 0.7).status == "at_most"
    assert label_saving("x", {0.1: 0.7, 1.0: 0.8}, 0.7).label_fraction == 0.1
    never = label_saving("x", {0.1: 0.5, 1.0: 0.6}, 0.7)
    assert (never.status, never.label_fraction) == ("not_reached", None)
    assert label_saving("x", {0.1: 0.5, 1.0: 0.7}, 0.7).label_fraction == 1.0  # exactly, without a rounding error


def test_a_curve_that_falls_back_counts_from_its_first_crossing():
    curve = {0.1: 0.5, 0.3: 0.9, 0.5: 0.6, 1.0: 0.95}
    saving = label_saving("x", curve, 0.8)
    assert saving.label_fraction == pytest.approx(0.1 * 3**0.75)


def test_scratch_needs_all_labels_for_what_it_reaches_with_all_of_them():
    rising = [result("scratch", "full", f, s, a) for f, a in [(0.1, 0.3), (0.3, 0.5), (1.0, 0.7)] for s in (0, 1)]
    ahead = [result("supervised", "full", f, s, a) for f, a in [(0.1, 0.6), (0.3, 0.8), (1.0, 0.9)] for s in (0, 1)]
    scratch, supervised = label_savings(rows_from(rising + ahead))
    assert (scratch.setting, scratch.status, scratch.label_fraction) == ("scratch/full", "reached", 1.0)
    assert supervised.target == pytest.approx(0.7)
    assert supervised.label_fraction == pytest.approx(0.1 * math.sqrt(3))
    saturated = [result("scratch", "full", f, 0, a) for f, a in [(0.1, 0.3), (0.3, 0.9), (1.0, 0.7)]]
    (scratch,) = label_savings(rows_from(saturated))
    assert scratch.label_fraction == pytest.approx(0.1 * 3 ** (2 / 3))


def test_without_scratch_on_all_labels_there_is_no_target():
    assert label_savings(rows_from([result("ssl", "full", 1.0, 0, 0.5)])) == []
    assert label_savings(rows_from([result("scratch", "full", 0.5, 0, 0.5)])) == []


@given(st.dictionaries(st.floats(1e-3, 1), shares, min_size=1, max_size=6), shares)
def test_a_saving_lies_between_the_fractions_tried(curve, target):
    saving = label_saving("x", curve, target)
    if max(curve.values()) < target:
        assert saving.label_fraction is None
    else:
        first = min(fraction for fraction, mean in curve.items() if mean >= target)
        earlier = [fraction for fraction in curve if fraction < first]
        assert max(earlier, default=first) - 1e-12 <= saving.label_fraction <= first + 1e-12
