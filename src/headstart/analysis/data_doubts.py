"""What about a checked source a user should know before training, a line each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

SMALL_SHARE = 0.01
SMALL_SIDE_PX = 32
IGNORED_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Side:
    """Images of one side: their paths, sizes int64 (n, 2) (height, width), digests of their pixels, sums and sums of
    squares of their channels' values float64 (n, 3), items of each class int64 (classes,), and how many images have
    no item of a class that is not ignored.
    """

    paths: tuple[str, ...]
    sizes: np.ndarray
    digests: tuple[str, ...]
    sums: np.ndarray
    squares: np.ndarray
    counts: np.ndarray
    n_unscored: int = 0

    @classmethod
    def empty(cls, n_classes: int) -> "Side":
        """No images."""
        sizes, sums = np.zeros((0, 2), dtype=np.int64), np.zeros((0, 3))
        return cls((), sizes, (), sums, sums, np.zeros(n_classes, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shares(self) -> np.ndarray:
        """Shares of the classes in all items: float64 (classes,), zeros where there are none."""
        return self.counts / max(1, int(self.counts.sum()))


@dataclass(frozen=True, eq=False)
class Checked:
    """A source after every file was looked at; all but the first ``n_scored`` classes are ignored. ``n_offered_val`` is
    how many images the validation side had before those that cannot be used were left out.
    """

    kind: str
    description: str
    classes: tuple[str, ...]
    n_scored: int
    counted: Literal["images", "pixels"]
    train: Side
    val: Side
    split: str
    n_offered_val: int


def doubts(
    checked: Checked, groups: Sequence[Sequence[int]], leaks: Sequence[Sequence[int]], paths: Sequence[str]
) -> list[str]:
    """The warnings about a source. ``groups`` are of equal images, ``leaks`` those of them on both sides, as indices of
    ``paths``, training images first.
    """
    lost = checked.n_offered_val > 0 and not len(checked.val)
    return [
        *[f"None of the {checked.n_offered_val} validation images can be used: there is nothing to judge by."] * lost,
        *class_doubts(checked),
        *copy_doubts(groups, leaks, paths, len(checked.train)),
        *size_doubts(np.concatenate([checked.train.sizes, checked.val.sizes])),
    ]


def class_doubts(checked: Checked) -> list[str]:
    """Classes that cannot be learned or not be judged, that are rare, or that are all there is."""
    names, n = checked.classes[: checked.n_scored], checked.n_scored
    if not n or not (checked.train.counts.any() or checked.val.counts.any()):
        return []
    train, val = checked.train.counts[:n], checked.val.counts[:n]
    present = [names[i] for i in np.flatnonzero(train + val)]
    if len(present) < 2:
        alone = f"There is one class only ({present[0]})" if present else "There is no class but the ignored one"
        return [f"{alone}: there is nothing to tell apart. Is this the right palette, are these the right labels?"]
    found: list[str] = []
    rare = [i for i in np.flatnonzero(train) if train[i] / train.sum() < SMALL_SHARE]
    for where, lacking in (
        ("no training and no validation image has it", (train == 0) & (val == 0)),
        ("no training image has it, so it cannot be learned", (train == 0) & (val > 0)),
        ("no validation image has it, so it is not judged", (train > 0) & (val == 0) & bool(len(checked.val))),
    ):
        found += [f"{names[i]}: {where}." for i in np.flatnonzero(lacking)]
    found += [f"{names[i]} is rare: {train[i] / train.sum():.2%} of the training {checked.counted}." for i in rare]
    ignored = checked.train.shares[n:].sum()
    if ignored > IGNORED_SHARE:
        found.append(f"{ignored:.0%} of the training pixels are ignored ({checked.classes[n]}).")
    unscored = checked.train.n_unscored + checked.val.n_unscored
    if unscored:
        found.append(f"{unscored} mask(s) have ignored pixels only: nothing is learned from or judged by these pairs.")
    return found


def copy_doubts(
    groups: Sequence[Sequence[int]], leaks: Sequence[Sequence[int]], paths: Sequence[str], n_train: int
) -> list[str]:
    """Images that are there more than once; those on both sides of the split make the scores too good."""
    found = []
    if leaks:
        n = sum(i >= n_train for group in leaks for i in group)
        first, other = leaks[0][0], next(i for i in leaks[0] if i >= n_train)
        found.append(
            f"{n} validation image(s) are among the training images too (such as {paths[other]}, which equals "
            f"{paths[first]}): the scores will be too good. Remove them from one side."
        )
    within = sum(len(group) - 1 for group in groups if group not in leaks)
    if within:
        found.append(f"{within} image(s) repeat another one of the same side, pixel for pixel.")
    return found


def size_doubts(sizes: np.ndarray) -> list[str]:
    """Sizes (n, 2) that stand out from the rest, or are too small to see much in."""
    counts = Counter((int(height), int(width)) for height, width in sizes)
    found = []
    (height, width), number = counts.most_common(1)[0]
    others = len(sizes) - number
    if others and number >= len(sizes) / 2:
        odd = next(size for size, _ in counts.most_common() if size != (height, width))
        found.append(f"{others} image(s) are not {width} x {height} as most are (such as {odd[1]} x {odd[0]}).")
    small = int((sizes.min(axis=1) < SMALL_SIDE_PX).sum())
    if small:
        found.append(f"{small} image(s) are smaller than {SMALL_SIDE_PX} pixels.")
    return found
