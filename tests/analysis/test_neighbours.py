"""The nearest directions, begun in bf16, are those of a comparison of all in float32, however close the keys lie."""

import numpy as np
import pytest
import torch
from torch import Tensor

from headstart.analysis import neighbours, probes
from headstart.analysis.neighbours import Neighbours


def directions(n: int, d: int, seed: int, spread: float = 1.0) -> Tensor:
    """float32 (n, d) of norm 1: around a common direction, the closer the smaller ``spread``."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.ones(d) / d**0.5 + spread * torch.randn(n, d, generator=generator) / d**0.5
    return torch.nn.functional.normalize(points, dim=1)


def assert_nearest(keys: Tensor, queries: Tensor, index: Tensor, own: Tensor | None = None) -> None:
    """The chosen keys are as near, in float64, as the nearest are: which of two equally near ones is left open."""
    similarity = queries.double() @ keys.double().T
    if own is not None:
        similarity[torch.arange(len(queries)), own] = -1
    assert all(len(set(row)) == index.shape[1] for row in index.tolist())
    best = similarity.topk(index.shape[1], dim=1).values
    torch.testing.assert_close(similarity.gather(1, index).sort(1, descending=True).values, best, rtol=0, atol=1e-6)


@pytest.mark.parametrize("spread", [3.0, 1.0, 0.3, 0.05])
def test_bf16_first_finds_the_same_neighbours(spread):
    keys, queries = directions(3000, 96, 0, spread), directions(150, 96, 1, spread)
    similarity, index = Neighbours(keys, coarse=True).nearest(queries, 20)
    assert_nearest(keys, queries, index)
    torch.testing.assert_close(similarity, (queries @ keys.T).gather(1, index), rtol=0, atol=1e-6)


@pytest.mark.parametrize("coarse", [True, False])
def test_no_query_is_its_own_neighbour(coarse):
    keys = directions(1000, 64, 2)
    own = torch.arange(100, 200)
    _, index = Neighbours(keys, coarse).nearest(keys[100:200], 5, own)
    assert not (index == own[:, None]).any()
    assert_nearest(keys, keys[100:200], index, own)


@pytest.mark.parametrize("similarities", [1, 5000, 1 << 23])
def test_blocks_do_not_change_the_neighbours(monkeypatch, similarities):
    monkeypatch.setattr(neighbours, "BLOCK_SIMILARITIES", similarities)
    keys, queries = directions(2000, 64, 10, 0.6), directions(70, 64, 11, 0.6)
    _, index = Neighbours(keys, coarse=True).nearest(queries, 7)
    assert_nearest(keys, queries, index)


def test_spread_out_directions_are_decided_without_comparing_all(monkeypatch):
    keys, queries = directions(4000, 256, 3, 30.0), directions(64, 256, 4, 30.0)
    compared = []
    whole = Neighbours._compare_all

    def counted(self, queries, k, own):
        compared.append(len(queries))
        return whole(self, queries, k, own)

    monkeypatch.setattr(Neighbours, "_compare_all", counted)
    among = Neighbours(keys, coarse=True)
    among.nearest(queries, 10)
    assert sum(compared) < 0.1 * len(queries)
    assert among.coarse


def test_close_directions_are_no_longer_begun_in_bf16():
    among = Neighbours(directions(2000, 64, 5, 0.01), coarse=True)
    among.nearest(directions(50, 64, 6, 0.01), 10)
    assert not among.coarse


def test_the_error_of_bf16_stays_within_its_bound():
    keys, queries = directions(500, 2048, 7, 2.0), directions(40, 2048, 8, 2.0)
    rounded, lost = Neighbours(keys, coarse=True).rounded
    rough = (queries.bfloat16() @ rounded.T).double()
    bound = (queries - queries.bfloat16().float()).norm(dim=1)[:, None] + 1.01 * lost + 2048 * 2.0**-23
    gap = (rough - queries.double() @ keys.double().T).abs()
    assert (gap <= bound + neighbours.ROUNDING * rough.abs()).all()
    assert gap.max() > 1e-5  # there is an error to be bounded


def test_numbers_that_bf16_rounds_as_far_as_it_can_are_within_the_bound():
    """Two keys whose products bf16 puts in the wrong order: one rounds down by all but a half of the last bit."""
    query = torch.zeros(40)
    query[:4] = 0.5
    nearer = torch.tensor([0.5, 0.25, 0.125, 0.12890625 + 0.49 * 2.0**-10])
    farther = torch.tensor([0.5, 0.25, 0.125 - 2.0**-11, 0.12890625 + 0.51 * 2.0**-10])
    keys = torch.zeros(202, 40)
    keys[0, :4], keys[1, :4] = nearer, farther
    for row, first in ((0, 4), (1, 20)):  # filled up to norm 1 (and 0.002), where the query has nothing
        left = 1 - keys[row].square().sum()
        keys[row, first : first + 8] = (left / 8).sqrt().bfloat16().float()  # which bf16 holds exactly
    keys[2:, 36] = 1.0
    _, index = Neighbours(keys, coarse=True).nearest(query[None], 1)
    assert index.item() == int((keys.double() @ query.double()).argmax()) == 0


def test_no_queries_have_no_neighbours():
    similarity, index = Neighbours(directions(100, 8, 12), coarse=True).nearest(torch.empty(0, 8), 5)
    assert similarity.shape == index.shape == (0, 5)


def test_the_probe_is_the_same_begun_in_bf16(monkeypatch):
    rng = np.random.default_rng(9)
    labels = rng.integers(5, size=1500)
    features = rng.normal(size=(5, 40))[labels] + 2.5 * rng.normal(size=(1500, 40))
    hits = {}
    for coarse in (True, False):
        monkeypatch.setattr(probes, "neighbours_among", lambda keys, coarse=coarse: Neighbours(keys, coarse))
        hits[coarse] = probes.knn_hits(features[:1200], labels[:1200], features[1200:], labels[1200:])
    assert 0.3 < hits[True].mean() < 0.95
    np.testing.assert_array_equal(hits[True], hits[False])
