"""The nearest of many directions by cosine similarity, exactly, with most of the work in bf16 where that is native.

The product of all directions is taken in bf16, whose error has a bound; every key that could be among the nearest
within that bound is then compared in float32. Where a query has too many of these, all keys are.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

CANDIDATES = 8
"""Keys nearest in bf16 that are looked at for each neighbour wanted."""
WORTH_IT = 1 << 26
"""Numbers in the keys from which on bf16 pays: below, the float32 product is as fast as choosing from it."""
MOST_UNDECIDED = 0.25
"""Share of the queries left undecided by bf16, above which the following ones are compared in float32 at once."""
FIRST_QUERIES = 32
"""The share is taken of no fewer than so many, so that a single query does not settle it."""
ROUNDING = 1.01 * 2.0**-8
"""Relative error of a number in bf16, half of the last of its 8 bits, with one per cent for its own rounding."""
BLOCK_ROWS = 256
"""Keys rounded at a time, so that they stay in the processor's cache."""
BLOCK_SIMILARITIES = 1 << 23
"""Similarities held at a time: 32 MB of float32."""


def native_bf16() -> bool:
    """Whether this processor multiplies bf16 itself."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(flag, False) for flag in ("avx512_bf16", "amx_bf16"))


@dataclass
class Neighbours:
    """Directions to look among: ``keys`` float32 (n, d) of norm 1 (or 0) each. ``coarse``: begin in bf16."""

    keys: Tensor
    coarse: bool

    @cached_property
    def rounded(self) -> tuple[Tensor, float]:
        """The keys as bf16, and the largest norm of what a key loses by that."""
        rounded = torch.empty(self.keys.shape, dtype=torch.bfloat16)
        lost = 0.0
        for exact, written in zip(self.keys.split(BLOCK_ROWS), rounded.split(BLOCK_ROWS), strict=True):
            written.copy_(exact)
            lost = max(lost, float((exact - written.float()).norm(dim=1).max()))
        return rounded, lost

    def nearest(self, queries: Tensor, k: int, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Similarity float32 and index int64, (m, k) each and in no order, of the ``k`` keys nearest to each query.

        queries: float32 (m, d) of norm 1 (or 0). own: int64 (m,), the key that a query is itself, which is no neighbour
        of its own.
        """
        similarity, index = queries.new_empty((len(queries), k)), torch.empty((len(queries), k), dtype=torch.int64)
        left, seen, undecided = [torch.arange(0)], 0, 0
        for rows in self._blocks(torch.arange(len(queries))):
            if not self.coarse or CANDIDATES * k >= len(self.keys):
                left.append(rows)
                continue
            theirs = None if own is None else own[rows]
            similarity[rows], index[rows], decided = self._compare_likely(queries[rows], k, theirs)
            left.append(rows[~decided])
            seen, undecided = seen + len(rows), undecided + len(left[-1])
            self.coarse = undecided <= MOST_UNDECIDED * max(seen, FIRST_QUERIES)
        for rows in self._blocks(torch.cat(left)):
            theirs = None if own is None else own[rows]
            similarity[rows], index[rows] = self._compare_all(queries[rows], k, theirs)
        return similarity, index

    def _blocks(self, rows: Tensor) -> Iterable[Tensor]:
        """As many queries at a time as may be compared with all keys."""
        return rows.split(max(1, BLOCK_SIMILARITIES // len(self.keys))) if len(rows) else ()

    def _compare_all(self, queries: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
        found = without_own(queries @ self.keys.T, own).topk(k, dim=1, sorted=False)
        return found.values, found.indices

    def _compare_likely(self, queries: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """As ``nearest``, among those of the keys nearest in bf16 that the bound leaves; and which queries that
        decides, bool (m,).
        """
        rounded, (rounded_keys, lost) = queries.bfloat16(), self.rounded
        rough = without_own(rounded @ rounded_keys.T, own).topk(CANDIDATES * k + 1, dim=1)
        values = rough.values.float()
        # Cauchy and Schwarz: what rounding q and k changes of their product; then the sums, in float32, of d products.
        error = (queries - rounded.float()).norm(dim=1, keepdim=True) + lost * (1 + ROUNDING)
        error = error + queries.shape[1] * 2.0**-23 + values.abs() * ROUNDING
        possible = values + error >= (values - error)[:, k - 1 : k]
        decided, possible = ~possible[:, -1], possible[:, :-1]
        products = torch.full(possible.shape, -torch.inf)
        products[possible] = self._products(queries, possible.sum(1), rough.indices[:, :-1][possible])
        found = products.topk(k, dim=1, sorted=False)
        return found.values, rough.indices.gather(1, found.indices), decided

    def _products(self, queries: Tensor, counts: Tensor, keys: Tensor) -> Tensor:
        """Each query (m, d) times ``counts`` of the keys that are listed query after query: float32 (len(keys),)."""
        ends = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        shape = (len(queries), len(self.keys))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            pairs = torch.sparse_csr_tensor(ends, keys, torch.zeros(len(keys)), size=shape, check_invariants=False)
        products: Tensor = torch.sparse.sampled_addmm(pairs, queries, self.keys.T, beta=0.0).values()
        return products


def neighbours_among(keys: Tensor) -> Neighbours:
    """Directions to look among, in bf16 first where there are many and the processor has it."""
    return Neighbours(keys, coarse=keys.numel() >= WORTH_IT and native_bf16())


def without_own(similarity: Tensor, own: Tensor | None) -> Tensor:
    """Similarities (m, n) in which query i is not near to the key ``own[i]``; changed in place."""
    if own is not None:
        similarity[torch.arange(len(similarity)), own] = -torch.inf
    return similarity
