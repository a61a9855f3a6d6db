"""Label fractions and hold-outs: shares, nesting, disjointness, determinism."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.splits import (
    best_block_draw,
    blocks_of,
    hold_out_part,
    part_sizes,
    shuffled,
    stratified_fraction,
    stratified_holdout,
    stratified_parts,
    tiles_in,
)

label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=120)
fractions = st.floats(0.001, 1.0)
seeds = st.integers(0, 2**31)


@given(label_lists, fractions, seeds)
def test_each_class_gives_its_share_within_one_item(labels: list[int], fraction: float, seed: int) -> None:
    given_labels = np.array(labels)
    chosen = stratified_fraction(given_labels, fraction, seed)
    for label in set(labels):
        n, taken = labels.count(label), int((given_labels[chosen] == label).sum())
        assert taken >= 1
        assert abs(taken - fraction * n) < 1


@given(label_lists, fractions, fractions, seeds)
def test_a_smaller_fraction_is_within_a_larger_one(labels: list[int], one: float, other: float, seed: int) -> None:
    smaller, larger = (set(stratified_fraction(labels, f, seed).tolist()) for f in sorted((one, other)))
    assert smaller <= larger


@given(label_lists, fractions, seeds)
def test_a_fraction_is_ascending_distinct_and_deterministic(labels: list[int], fraction: float, seed: int) -> None:
    chosen = stratified_fraction(labels, fraction, seed)
    assert chosen.dtype == np.int64
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, stratified_fraction(tuple(labels), fraction, seed))


@given(label_lists, seeds)
def test_the_whole_is_everything(labels: list[int], seed: int) -> None:
    assert stratified_fraction(labels, 1.0, seed).tolist() == list(range(len(labels)))


@given(label_lists, st.floats(0.01, 0.99), seeds)
def test_a_holdout_divides_every_class(labels: list[int], fraction: float, seed: int) -> None:
    given_labels = np.array(labels)
    train, val = stratified_holdout(labels, fraction, seed)
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(len(labels)))
    for label in set(labels):
        n, held_out = labels.count(label), int((given_labels[val] == label).sum())
        assert held_out == 0 if n == 1 else 1 <= held_out <= n - 1
        assert abs(held_out - fraction * n) <= 1
    again = stratified_holdout(labels, fraction, seed)
    assert np.array_equal(train, again[0])
    assert np.array_equal(val, again[1])


@given(label_lists, st.integers(2, 7), seeds)
def test_parts_are_disjoint_even_and_leave_every_class_in_training(labels: list[int], parts: int, seed: int) -> None:
    given_labels = np.array(labels)
    items = np.arange(len(labels)) * 3  # indices of a fraction of a larger set
    divided = [hold_out_part(items, given_labels, part, parts, seed) for part in range(parts)]
    held_out = [index for _, held in divided for index in held.tolist()]
    alone = [int(items[i]) for i, label in enumerate(labels) if labels.count(label) == 1]
    assert sorted(held_out) == sorted(set(items.tolist()) - set(alone))  # disjoint, and all that can be held out
    for stay, held in divided:
        assert sorted([*stay.tolist(), *held.tolist()]) == items.tolist()
        assert set(given_labels[stay // 3].tolist()) == set(labels)
    sizes = part_sizes(given_labels, parts, seed)
    assert sizes == [len(held) for _, held in divided]
    assert max(sizes) - min(sizes) <= 1
    for label in set(labels) - {labels[index // 3] for index in alone}:
        of_class = [int((given_labels[held // 3] == label).sum()) for _, held in divided]
        assert max(of_class) - min(of_class) <= 1


def test_parts_depend_on_the_labels_and_the_seed_alone() -> None:
    """Golden: another division would change every learning rate chosen."""
    labels = np.repeat([0, 1, 2], [6, 4, 1])
    assert stratified_parts(labels, 5, 0).tolist() == [3, 0, 1, 0, 4, 2, 1, 3, 2, 4, -1]
    assert stratified_parts(labels, 5, 0).tolist() != stratified_parts(labels, 5, 1).tolist()
    with pytest.raises(ValueError, match="at least two parts"):
        stratified_parts(labels, 1, 0)


def test_seeds_and_purposes_choose_differently() -> None:
    labels = np.repeat([0, 1], 100)
    assert not np.array_equal(stratified_fraction(labels, 0.3, 0), stratified_fraction(labels, 0.3, 1))
    assert not np.array_equal(stratified_holdout(labels, 0.3, 0)[1], stratified_holdout(labels, 0.3, 1)[1])
    assert not np.array_equal(stratified_fraction(labels, 0.3, 0), stratified_holdout(labels, 0.3, 0)[1])


def test_a_class_is_drawn_alike_whatever_other_classes_do() -> None:
    alone = stratified_fraction(np.zeros(50, dtype=int), 0.2, 3)
    beside = stratified_fraction(np.repeat([0, 1], 50), 0.2, 3)
    assert np.array_equal(alone, beside[beside < 50])


def test_the_order_never_changes() -> None:
    """Golden: a changed order would change every published split."""
    assert shuffled(8, 0, "golden").tolist() == [2, 6, 1, 4, 5, 0, 7, 3]
    assert sorted(shuffled(1000, 1).tolist()) == list(range(1000))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_impossible_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        stratified_fraction([0, 1], fraction, 0)
    with pytest.raises(ValueError, match="fraction"):
        stratified_holdout([0, 1], fraction, 0)


def test_labels_must_be_integers() -> None:
    with pytest.raises(ValueError, match="integers"):
        stratified_fraction([0.5, 1.5], 0.5, 0)


def test_the_best_draw_of_blocks_matches_the_whole() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 40, (60, 5)) * (rng.random((60, 5)) < 0.4)
    counts[:10] = 0
    chosen = best_block_draw(counts, 0.3, 200, seed=0)
    whole = counts.sum(0) / counts.sum()
    share = counts[chosen].sum(0) / counts[chosen].sum()
    assert len(chosen) == round(0.3 * (counts.sum(1) > 0).sum())
    assert counts[chosen].sum(1).min() > 0
    assert np.abs(share - whole).sum() / 2 < 0.05
    assert np.array_equal(chosen, best_block_draw(counts, 0.3, 200, seed=0))


def test_a_draw_that_keeps_every_class_on_both_sides_is_preferred() -> None:
    counts = np.array([[90, 0], [90, 0], [5, 1], [5, 1]])
    assert len({2, 3} & set(best_block_draw(counts, 0.5, 50, seed=0).tolist())) == 1


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40))
def test_blocks_cover_an_image_once(height: int, width: int, block: int) -> None:
    covered = np.zeros((height, width), dtype=int)
    for top, left, bottom, right in blocks_of(height, width, block):
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20), st.integers(0, 20))
def test_tiles_lie_inside_their_block_without_overlap(height: int, width: int, tile: int, inset: int) -> None:
    covered = np.zeros((height, width), dtype=int)
    tiles = tiles_in((0, 0, height, width), tile, inset)
    for top, left, bottom, right in tiles:
        assert (bottom - top, right - left) == (tile, tile)
        assert min(top, left, height - bottom, width - right) >= inset
        covered[top:bottom, left:right] += 1
    assert covered.max(initial=0) <= 1
    assert len(tiles) == max(0, (height - 2 * inset) // tile) * max(0, (width - 2 * inset) // tile)
