"""The probes against scikit-learn, against naive loops, and against numbers that can be worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from headstart.analysis import neighbours, probes
from headstart.analysis.probes import (
    effective_rank,
    feature_std,
    gain_error,
    knn_accuracy,
    knn_hits,
    leave_one_out_hits,
    leave_one_out_knn,
    mean_gain_error,
    silhouette,
)


def clusters(n: int, d: int, n_classes: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    centres = rng.normal(size=(n_classes, d))
    return (centres[labels] + spread * rng.normal(size=(n, d))).astype(np.float32), labels


def naive_prediction(train, labels, query, k, temperature, leave_out=None):
    similarity = [
        -math.inf if i == leave_out else float(row @ query / (np.linalg.norm(row) * np.linalg.norm(query)))
        for i, row in enumerate(train.astype(np.float64))
    ]
    votes: dict[int, float] = {}
    for i in sorted(range(len(train)), key=lambda i: -similarity[i])[:k]:
        votes[int(labels[i])] = votes.get(int(labels[i]), 0.0) + math.exp(similarity[i] / temperature)
    return max(sorted(votes), key=lambda label: votes[label])


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (200, 0.07), (20, 1.0)])
def test_knn_agrees_with_scikit_learn(k, temperature):
    features, labels = clusters(700, 24, 7, spread=1.5, seed=k)
    train, val, train_labels, val_labels = features[:500], features[500:], labels[:500], labels[500:]
    theirs = KNeighborsClassifier(
        k, weights=lambda distance: np.exp((1 - distance) / temperature), metric="cosine", algorithm="brute"
    ).fit(train, train_labels)
    expected = theirs.score(val, val_labels)
    assert 0.2 < expected < 0.98  # neither trivial nor chance, so that a wrong vote would show
    assert knn_accuracy(train, train_labels, val, val_labels, k, temperature) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("chunk_elements", [1, 333, 1 << 23])
def test_chunks_do_not_change_the_answer_and_it_is_the_naive_one(monkeypatch, chunk_elements):
    monkeypatch.setattr(probes, "CHUNK_ELEMENTS", chunk_elements)
    monkeypatch.setattr(neighbours, "BLOCK_SIMILARITIES", chunk_elements)
    features, labels = clusters(90, 8, 4, spread=1.2, seed=1)
    labels = np.array([3, 11, -5, 40])[labels]  # labels need not be 0, 1, 2, ...
    one_out = [naive_prediction(features, labels, features[i], 5, 0.07, leave_out=i) for i in range(90)]
    assert leave_one_out_knn(features, labels, k=5) == pytest.approx(np.mean(np.array(one_out) == labels))
    split = [naive_prediction(features[:60], labels[:60], row, 5, 0.07) for row in features[60:]]
    accuracy = knn_accuracy(features[:60], labels[:60], features[60:], labels[60:], k=5)
    assert accuracy == pytest.approx(np.mean(np.array(split) == labels[60:]))


def test_leaving_out_is_not_looking_at_oneself():
    pairs = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    crossed = np.array([0, 1, 0, 1])  # each image's nearest other image is of the other class
    assert leave_one_out_knn(pairs, crossed, k=1) == 0.0
    assert knn_accuracy(pairs, crossed, pairs, crossed, k=1) == 1.0


def test_a_near_neighbour_outvotes_two_far_ones_only_at_a_low_temperature():
    train = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels = np.array([0, 1, 1])
    query, truth = np.array([[1.0, 0.0]]), np.array([0])
    assert knn_accuracy(train, labels, query, truth, k=3, temperature=0.07) == 1.0
    assert knn_accuracy(train, labels, query, truth, k=3, temperature=100.0) == 0.0


def test_knn_survives_tiny_temperatures_huge_and_zero_features():
    features = np.array([[1e30, 0.0], [2e30, 1e28], [0.0, 1e-30], [0.0, 3e-30], [0.0, 0.0]])
    labels = np.array([0, 0, 1, 1, 1])
    assert knn_accuracy(features, labels, features[:4], labels[:4], k=2, temperature=1e-6) == 1.0


def test_features_that_are_not_finite_have_no_answer():
    features = np.array([[1.0, 0.0], [np.inf, 1.0], [0.0, 1.0]])
    labels = np.array([0, 1, 1])
    assert math.isnan(knn_accuracy(features, labels, features[:1], labels[:1]))
    assert math.isnan(leave_one_out_knn(features, labels))
    assert math.isnan(feature_std(features))
    assert math.isnan(effective_rank(features))
    assert math.isnan(silhouette(features, labels))


@pytest.mark.parametrize(
    "call",
    [
        lambda: knn_accuracy(np.ones((3, 2)), np.zeros(3, int), np.ones((1, 3)), np.zeros(1, int)),
        lambda: knn_accuracy(np.ones((3, 2)), np.zeros(2, int), np.ones((1, 2)), np.zeros(1, int)),
        lambda: knn_accuracy(np.ones((3, 2)), np.zeros(3), np.ones((1, 2)), np.zeros(1, int)),
        lambda: knn_accuracy(np.ones((3, 2)), np.zeros(3, int), np.ones((1, 2)), np.zeros(1, int), k=0),
        lambda: knn_accuracy(np.ones((0, 2)), np.zeros(0, int), np.ones((1, 2)), np.zeros(1, int)),
        lambda: leave_one_out_knn(np.ones((1, 2)), np.zeros(1, int)),
        lambda: feature_std(np.ones(4)),
        lambda: silhouette(np.eye(3), np.zeros(3, int)),
    ],
)
def test_inputs_that_do_not_fit_are_refused(call):
    with pytest.raises(ValueError, match=r"features|labels|k must|two"):
        call()


def test_feature_std_is_one_on_the_sphere_and_zero_when_collapsed():
    even = np.concatenate([np.eye(64), -np.eye(64)])  # every dimension: mean 0, mean square 1 / 64
    assert feature_std(even) == pytest.approx(1.0, abs=1e-6)
    assert feature_std(1e4 * np.random.default_rng(0).normal(size=(5000, 32))) == pytest.approx(1.0, abs=0.01)
    constant = np.tile(np.random.default_rng(1).normal(size=16), (50, 1))
    assert feature_std(constant) == pytest.approx(0.0, abs=1e-6)
    assert feature_std(constant * np.linspace(1, 9, 50)[:, None]) == pytest.approx(0.0, abs=1e-6)  # only lengths differ


def test_effective_rank_in_closed_form():
    rng = np.random.default_rng(0)
    assert effective_rank(np.eye(12)) == pytest.approx(12)
    orthogonal = np.linalg.qr(rng.normal(size=(200, 8)))[0]
    assert effective_rank(orthogonal @ np.linalg.qr(rng.normal(size=(30, 8)))[0].T) == pytest.approx(8, rel=1e-3)
    assert effective_rank(np.outer(rng.normal(size=40), rng.normal(size=10))) == pytest.approx(1, abs=1e-3)
    assert effective_rank(np.full((40, 10), 0.3)) == pytest.approx(1)  # not centred: one direction, not none
    assert effective_rank(np.zeros((5, 3))) == 0.0
    # Singular values 3 and 1: shares 3/4 and 1/4, entropy ln 4 - (3/4) ln 3.
    assert effective_rank(np.diag([3.0, 1.0, 0.0])) == pytest.approx(4 / 3**0.75)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_spread_and_rank_stay_in_their_ranges_and_ignore_scale(n, d, seed, scale):
    features = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    assert 0 <= feature_std(features) <= 1 + 1e-6
    assert 1 - 1e-6 <= effective_rank(features) <= min(n, d) + 1e-6
    assert effective_rank(features * np.float32(scale)) == pytest.approx(effective_rank(features), rel=1e-4)


def test_silhouette_agrees_with_scikit_learn_and_knows_its_edges():
    features, labels = clusters(120, 10, 3, spread=0.8, seed=2)
    assert silhouette(features, labels) == pytest.approx(silhouette_score(features, labels, metric="cosine"))
    one_alone = np.where(np.arange(120) == 7, 99, labels)
    assert -1 <= silhouette(features, one_alone) <= 1
    assert silhouette(np.eye(4), np.arange(4)) == 0.0
    assert silhouette(np.array([[1, 0], [1, 0], [0, 1], [0, 1]]), np.array([0, 0, 1, 1])) == pytest.approx(1.0)


def test_hits_are_of_each_image_and_their_share_is_the_accuracy():
    features, labels = clusters(90, 8, 4, spread=1.2, seed=1)
    one_out = leave_one_out_hits(features, labels, k=5)
    naive = [naive_prediction(features, labels, features[i], 5, 0.07, leave_out=i) for i in range(90)]
    assert one_out.tolist() == (np.array(naive) == labels).tolist()
    theirs = KNeighborsClassifier(5, weights=lambda d: np.exp((1 - d) / 0.07), metric="cosine", algorithm="brute")
    predicted = theirs.fit(features[:60], labels[:60]).predict(features[60:])
    found = knn_hits(features[:60], labels[:60], features[60:], labels[60:], k=5)
    assert found.tolist() == (predicted == labels[60:]).tolist()
    assert found.mean() == knn_accuracy(features[:60], labels[:60], features[60:], labels[60:], k=5)


def test_gain_error_in_closed_form():
    yes, no = np.ones(98, bool), np.zeros(98, bool)
    assert gain_error(yes, yes) == pytest.approx(1 / 100)  # nothing changed, and yet not certain
    assert gain_error(no, yes) == pytest.approx(math.sqrt(99 - 98**2 / 100) / 100)
    six_won = np.arange(98) < 6
    assert gain_error(no, six_won) == pytest.approx(math.sqrt(7 - 36 / 100) / 100)
    assert gain_error(no, six_won) == gain_error(six_won, no)
    assert math.isnan(gain_error(None, yes))
    with pytest.raises(ValueError, match="same images"):
        gain_error(no, no[:5])


def test_gain_error_is_how_far_the_gain_moves_when_the_images_are_drawn_again():
    """A bootstrap over the images, which knows nothing of the formula; images right both times do not count."""
    rng = np.random.default_rng(0)
    before = rng.random(800) < 0.5
    now = np.where(rng.random(800) < 0.8, before, rng.random(800) < 0.6)
    drawn = rng.integers(800, size=(4000, 800))
    gains = now[drawn].mean(1) - before[drawn].mean(1)
    assert gain_error(before, now) == pytest.approx(gains.std(), rel=0.05)
    unpaired = math.sqrt(before.var() / 800 + now.var() / 800)
    assert gain_error(before, now) < 0.75 * unpaired


def test_mean_gain_error_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    before = rng.random(40)
    now = before + rng.normal(0.1, 0.05, 40)
    theirs = ttest_rel(now, before)
    assert (now - before).mean() / mean_gain_error(before, now) == pytest.approx(theirs.statistic)
    assert mean_gain_error(before, before) == 0
    assert math.isnan(mean_gain_error(before, np.where(np.arange(40) == 3, np.nan, now)))
    with pytest.raises(ValueError, match="same two or more images"):
        mean_gain_error(before, now[:5])
