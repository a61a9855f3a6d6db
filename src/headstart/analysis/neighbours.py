"""The nearest of many directions by cosine similarity, exactly, with most of the work in bf16 where that is native.

The product of all directions is taken in bf16, whose error has a bound; every key that could be among the nearest
within that bound is then compared in float32. Where a query has too many of these, all keys are.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

CANDIDATES = 4
"""Keys compared in float32 for each neighbour wanted."""
WORTH_IT = 1 << 26
"""Numbers in the keys from which on bf16 pays: below, the float32 product is as fast as choosing from it."""
MOST_UNDECIDED = 0.25
"""Share of a block's queries left undecided by bf16, above which the following blocks are compared in float32."""
ROUNDING = 1.01 * 2.0**-9
"""Relative error of a number written as bf16, half of the last of 8 bits, with one per cent for its own rounding."""
BLOCK_ROWS = 256
"""Keys rounded at a time, so that they stay in the processor's cache."""
BLOCK_NUMBERS = 1 << 22
"""Numbers of likely keys gathered at a time: 16 MB, whose memory the next ones take over."""


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
        chosen = CANDIDATES * k
        if not self.coarse or chosen >= len(self.keys):
            return self._compare_all(queries, k, own)
        similarity, index, decided = self._compare_likely(queries, k, chosen, own)
        undecided = (~decided).nonzero().flatten()
        if len(undecided):
            theirs = None if own is None else own[undecided]
            similarity[undecided], index[undecided] = self._compare_all(queries[undecided], k, theirs)
        self.coarse = len(undecided) <= MOST_UNDECIDED * len(queries)
        return similarity, index

    def _compare_all(self, queries: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
        similarity = without_own(queries @ self.keys.T, own)
        found = similarity.topk(k, dim=1, sorted=False)
        return found.values, found.indices

    def _compare_likely(
        self, queries: Tensor, k: int, chosen: int, own: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As ``nearest``, among the ``chosen`` keys that are nearest in bf16; and which queries that decides, (m,)."""
        rounded, (rounded_keys, lost) = queries.bfloat16(), self.rounded
        rough = without_own(rounded @ rounded_keys.T, own).topk(chosen + 1, dim=1)
        values, likely = rough.values.float(), rough.indices[:, :chosen]
        # Cauchy and Schwarz: what rounding q and k changes of their product; then the sums, in float32, of d products.
        error = (queries - rounded.float()).norm(dim=1) + lost * (1 + ROUNDING)
        error += queries.shape[1] * 2.0**-23
        at_least = values[:, k - 1] - values[:, k - 1].abs() * ROUNDING - error
        at_most = values[:, chosen] + values[:, chosen].abs() * ROUNDING + error
        products = self._compare_few(queries, likely)
        found = products.topk(k, dim=1, sorted=False)
        return found.values, likely.gather(1, found.indices), at_most < at_least

    def _compare_few(self, queries: Tensor, likely: Tensor) -> Tensor:
        """The products float32 (m, c) of each query (m, d) with its own ``likely`` keys, int64 (m, c)."""
        rows = max(1, BLOCK_NUMBERS // (likely.shape[1] * queries.shape[1]))
        products = queries.new_empty(likely.shape)
        for block, theirs, out in zip(queries.split(rows), likely.split(rows), products.split(rows), strict=True):
            out.copy_(torch.bmm(self.keys[theirs], block[:, :, None]).squeeze(2))
        return products


def neighbours_among(keys: Tensor) -> Neighbours:
    """Directions to look among, in bf16 first where there are many and the processor has it."""
    return Neighbours(keys, coarse=keys.numel() >= WORTH_IT and native_bf16())


def without_own(similarity: Tensor, own: Tensor | None) -> Tensor:
    """Similarities (m, n) in which query i is not near to the key ``own[i]``; changed in place."""
    if own is not None:
        similarity[torch.arange(len(similarity)), own] = -torch.inf
    return similarity
