"""Which items are used: label fractions, hold-outs and spatial blocks. Plain functions of labels and a seed.

Random order comes from the raw 64-bit stream of NumPy's Philox generator, which NumPy keeps the same from version to
version (its ``permutation`` may change).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.data.seeds import derive

Indices = NDArray[np.int64]


def stratified_fraction(labels: ArrayLike, fraction: float, seed: int) -> Indices:
    """Indices of ``fraction`` of the items of each class, ascending; int64 (k,).

    Each class gives ``round(fraction * n)`` of its n items (halves up), and at least one, so the total can differ from
    ``fraction`` of all by half an item a class. Nested: with one seed, a smaller fraction's items are among a larger
    one's. Labels are any integers, (n,); ``fraction`` is in (0, 1]. Raises ValueError otherwise.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction is above 0 and at most 1, not {fraction}")
    kept = [order[: max(1, _rounded(fraction * len(order)))] for order in _shuffled_classes(labels, "fraction", seed)]
    return _ascending(kept)


def nested_fraction(n: int, fraction: float, seed: int) -> Indices:
    """Indices of ``fraction`` of ``n`` items without classes, at least one, ascending; int64 (k,).

    With one seed, a smaller fraction's items are among a larger one's. ValueError unless ``fraction`` is in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction is above 0 and at most 1, not {fraction}")
    return np.sort(shuffled(n, seed, "fraction")[: max(1, _rounded(fraction * n))])


def stratified_holdout(labels: ArrayLike, val_fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Training and validation indices, both ascending: ``val_fraction`` of each class is held out.

    Each class of two or more items has at least one on either side; a class of one stays in training.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"a validation fraction is above 0 and below 1, not {val_fraction}")
    train, val = [], []
    for order in _shuffled_classes(labels, "holdout", seed):
        held_out = min(max(1, _rounded(val_fraction * len(order))), len(order) - 1)
        val.append(order[:held_out])
        train.append(order[held_out:])
    return _ascending(train), _ascending(val)


def stratified_parts(labels: ArrayLike, parts: int, seed: int) -> Indices:
    """Which of ``parts`` disjoint parts each item is held out in: int64 (n,), -1 for an item that none holds out.

    Those are the only items of their class, so that what is left beside any part still has every class. The items of
    a class are dealt out in a seeded order, each class going on where the one before ended: two parts differ by at
    most one item, in all and of every class. All labels equal: parts of items without classes. ValueError unless
    there are at least two parts.
    """
    if parts < 2:
        raise ValueError(f"at least two parts, not {parts}")
    part_of = np.full(np.asarray(labels).shape, -1, dtype=np.int64)
    dealt = 0
    for order in _shuffled_classes(labels, "parts", seed):
        if len(order) > 1:
            part_of[order] = (dealt + np.arange(len(order))) % parts
            dealt += len(order)
    return part_of


def part_sizes(labels: ArrayLike, parts: int, seed: int) -> list[int]:
    """Items in each of the parts of ``stratified_parts``."""
    part_of = stratified_parts(labels, parts, seed)
    return [int((part_of == part).sum()) for part in range(parts)]


def hold_out_part(chosen: Indices, labels: ArrayLike, part: int, parts: int, seed: int) -> tuple[Indices, Indices]:
    """``chosen`` items (n,) with their ``labels`` (n,), divided: those that stay, and those of one part (from 0) of
    ``stratified_parts``; both in their order.
    """
    part_of = stratified_parts(labels, parts, seed)
    return chosen[part_of != part], chosen[part_of == part]


def shuffled(n: int, *seed_parts: int | str) -> Indices:
    """A permutation of 0..n-1 as a function of ``seed_parts`` alone; int64 (n,)."""
    keys = np.random.Philox(derive(*seed_parts)).random_raw(n)
    return np.argsort(np.asarray(keys, dtype=np.uint64), kind="stable").astype(np.int64)


def _shuffled_classes(labels: ArrayLike, purpose: str, seed: int) -> list[Indices]:
    given = np.asarray(labels)
    if given.ndim != 1 or not (np.issubdtype(given.dtype, np.integer) or given.size == 0):
        raise ValueError(f"labels are a list of integers, not {given.dtype} of shape {given.shape}")
    members = {int(label): np.flatnonzero(given == label).astype(np.int64) for label in np.unique(given)}
    return [items[shuffled(len(items), seed, purpose, label)] for label, items in members.items()]


def _rounded(value: float) -> int:
    """Halves up; the small addition keeps 0.7 * 45 = 31.499999999999996 at 32."""
    return int(np.floor(value + 0.5 + 1e-9))


def _ascending(parts: list[Indices]) -> Indices:
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)


def best_block_draw(counts: NDArray[np.int64], share: float, draws: int, seed: int) -> Indices:
    """Which blocks to hold out for validation, ascending: the best of ``draws`` seeded draws.

    ``counts`` (blocks, classes) are items of each class in each block; empty blocks are never drawn. A draw takes
    ``share`` of the others, and is judged by how far the class shares of its items are from those of all items (half
    the sum of the absolute differences); a draw that leaves a class out of either side loses to any that does not.
    """
    offered = np.flatnonzero(counts.sum(axis=1) > 0)
    size = max(1, _rounded(share * len(offered)))
    whole = counts.sum(axis=0)
    target = whole / max(1, whole.sum())
    best: tuple[int, float] | None = None
    chosen = np.zeros(0, dtype=np.int64)
    for draw in range(draws):
        blocks = offered[shuffled(len(offered), seed, "blocks", draw)[:size]]
        held_out = counts[blocks].sum(axis=0)
        absent = int((((held_out == 0) | (held_out == whole)) & (whole > 0)).sum())
        score = (absent, float(np.abs(held_out / max(1, held_out.sum()) - target).sum() / 2))
        if best is None or score < best:
            best, chosen = score, blocks
    return np.sort(chosen)


Rectangle = tuple[int, int, int, int]
"""Pixels (top, left, bottom, right), the last two exclusive."""


def blocks_of(height: int, width: int, block: int) -> list[Rectangle]:
    """The blocks of ``block`` pixels that cover an image, row by row; those at the far edges are cut to the image."""
    return [
        (top, left, min(top + block, height), min(left + block, width))
        for top in range(0, height, block)
        for left in range(0, width, block)
    ]


def tiles_in(block: Rectangle, tile: int, inset: int = 0) -> list[Rectangle]:
    """The square tiles of ``tile`` pixels that fit into ``block``, row by row, all at least ``inset`` from its edges.

    With an inset above zero no tile touches another block, however the blocks are arranged.
    """
    top, left, bottom, right = block
    return [
        (y, x, y + tile, x + tile)
        for y in range(top + inset, bottom - inset - tile + 1, tile)
        for x in range(left + inset, right - inset - tile + 1, tile)
    ]
