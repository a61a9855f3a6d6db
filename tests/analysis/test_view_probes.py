"""Alignment, uniformity and retrieval: the paper's own lines of code, closed forms, and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy.special import hyp0f1
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn.functional import normalize

from headstart.analysis import probes
from headstart.analysis.view_probes import alignment, retrieval_of, uniformity


def pairs(n: int, d: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(n, d))
    return first.astype(np.float32), (first + noise * rng.normal(size=(n, d))).astype(np.float32)


def test_alignment_and_uniformity_are_those_of_the_papers_code() -> None:
    """Wang and Isola (2020): ``align_loss`` with alpha 2 and ``uniform_loss`` with t 2."""
    first, second = (normalize(torch.from_numpy(view).double(), dim=1) for view in pairs(60, 12, 0.7))
    theirs = (first - second).norm(p=2, dim=1).pow(2).mean().item()
    assert alignment(3 * first.numpy(), second.numpy()) == pytest.approx(theirs, rel=1e-5)  # lengths do not count
    spread = torch.pdist(first, p=2).pow(2).mul(-2).exp().mean().log().item()
    assert uniformity(3 * first.numpy()) == pytest.approx(spread, rel=1e-5)


def test_alignment_and_uniformity_in_a_plain_loop() -> None:
    first, second = pairs(14, 5, 1.0, seed=1)
    unit = [[value / math.hypot(*row) for value in row.tolist()] for row in first]
    other = [[value / math.hypot(*row) for value in row.tolist()] for row in second]
    assert alignment(first, second) == pytest.approx(
        sum(math.dist(a, b) ** 2 for a, b in zip(unit, other, strict=True)) / 14, rel=1e-5
    )
    potentials = [math.exp(-2 * math.dist(unit[i], unit[j]) ** 2) for i in range(14) for j in range(14) if i != j]
    assert uniformity(first) == pytest.approx(math.log(sum(potentials) / len(potentials)), rel=1e-5)


def test_closed_forms() -> None:
    basis = np.eye(9)
    assert alignment(basis, 7 * basis) == pytest.approx(0)
    assert alignment(basis, -basis) == pytest.approx(4)
    assert alignment(basis, np.roll(basis, 1, axis=0)) == pytest.approx(2)
    assert uniformity(basis) == pytest.approx(-4)  # all squared distances are 2
    assert uniformity(np.array([[1.0, 0.0], [-3.0, 0.0]])) == pytest.approx(-8)
    assert uniformity(np.outer(np.arange(1, 9), [0.3, 0.1, 0.5])) == pytest.approx(0, abs=1e-5)  # one direction
    one_pair = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert uniformity(one_pair) == pytest.approx(math.log((1 + 2 * math.exp(-4)) / 3), rel=1e-5)


@pytest.mark.parametrize("d", [2, 3, 24])
def test_even_spread_has_the_papers_expectation(d: int) -> None:
    """Of points uniform on the sphere the potential is exp(-2 t) 0F1(; d/2; t^2), as the paper says."""
    points = np.random.default_rng(d).normal(size=(3000, d))
    assert uniformity(points) == pytest.approx(-4 + math.log(hyp0f1(d / 2, 4.0)), abs=0.02)


@pytest.mark.parametrize("chunk_elements", [1, 333, 1 << 23])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, chunk_elements: int) -> None:
    first, second = pairs(80, 6, 0.8)
    whole, found = uniformity(first), retrieval_of(first, second)
    monkeypatch.setattr(probes, "CHUNK_ELEMENTS", chunk_elements)
    assert uniformity(first) == pytest.approx(whole, rel=1e-12)
    assert retrieval_of(first, second) == pytest.approx(found)


def test_retrieval_is_scikit_learns_roc_auc_of_each_query() -> None:
    first, second = pairs(200, 8, 1.2)
    similarity = cosine_similarity(first, second)
    expected = [roc_auc_score(np.arange(200) == i, similarity[i]) for i in range(200)]
    assert 0.7 < np.mean(expected) < 0.97  # neither chance nor certainty, so that a wrong rank would show
    assert retrieval_of(first, second) == pytest.approx(expected, abs=1e-9)


def test_retrieval_is_one_without_noise_and_a_half_by_chance() -> None:
    same, other = pairs(50, 16, 0.0)[0], pairs(50, 16, 0.0, seed=1)[0]
    assert retrieval_of(same, 5 * same).tolist() == [1.0] * 50
    assert retrieval_of(np.eye(9)[:, :1] * 0 + 1, np.ones((9, 1))).tolist() == [0.5] * 9  # collapsed: all ties
    assert retrieval_of(same, other).mean() == pytest.approx(0.5, abs=0.1)
    turned = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert retrieval_of(turned, turned[[1, 0, 2]]).tolist() == [0.5, 0.25, 1.0]


def test_what_has_no_answer_and_what_does_not_fit() -> None:
    broken = np.array([[1.0, np.nan], [0.0, 1.0]])
    assert math.isnan(alignment(broken, np.eye(2)))
    assert math.isnan(alignment(np.eye(2), broken))
    assert math.isnan(uniformity(broken))
    assert np.isnan(retrieval_of(np.eye(2), broken)).all()
    for call in (
        lambda: alignment(np.ones((3, 2)), np.ones((2, 2))),
        lambda: retrieval_of(np.ones((0, 2)), np.ones((0, 2))),
        lambda: retrieval_of(np.ones((1, 2)), np.ones((1, 2))),
        lambda: uniformity(np.ones((1, 2))),
    ):
        with pytest.raises(ValueError, match=r"two views|two images"):
            call()
