"""Counting true against predicted classes over the pixels of a mask: ours beside what people write in NumPy.

python -m benchmarks.pixel_confusion --size 512 --classes 7

Every round takes each way through the whole set of images, in turn, so that a machine that is slower for a while is so
for all of them. The others get int64 masks, as argmax gives them; ours gets uint8, as masks are kept here. For
comparison ours gets int64 once, too, and the commonest of the others uint8. Processor time is measured, of one thread.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import starmap
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.metrics import confusion_matrix

from headstart.analysis.pixel_confusion import pixel_confusion

Mask = NDArray[np.integer]
Masks = NDArray[np.integer]
Way = Callable[[Mask, Mask], NDArray[np.int64]]

OURS = "headstart, uint8"


def one_class_at_a_time(truth: Mask, predicted: Mask, n: int) -> NDArray[np.int64]:
    """Three sums a class (n, 3): all that IoU needs, and less than the matrix."""
    return np.array(
        [(np.sum(truth == i), np.sum(predicted == i), np.sum((predicted == i) & (truth == i))) for i in range(n)]
    )


def one_pair_at_a_time(truth: Mask, predicted: Mask, n: int) -> NDArray[np.int64]:
    """The matrix (n, n) by comparing every class with every class."""
    return np.array([[np.sum((truth == i) & (predicted == j)) for j in range(n)] for i in range(n)])


def bincount(truth: Mask, predicted: Mask, n: int) -> NDArray[np.int64]:
    """The matrix (n, n) from one number for each pair of classes."""
    return np.bincount((truth * n + predicted).ravel(), minlength=n * n).reshape(n, n)


def scikit_learn(truth: Mask, predicted: Mask, n: int) -> NDArray[np.int64]:
    """The matrix (n, n)."""
    counts: NDArray[np.int64] = confusion_matrix(truth.ravel(), predicted.ravel(), labels=np.arange(n))
    return counts


def regions(size: int, n: int, sigma: float, seed: int) -> NDArray[np.uint8]:
    """A mask (size, size) of smooth regions; ``sigma`` is how far they reach, in pixels."""
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.normal(size=(size, size)), sigma) for _ in range(n)]
    return np.argmax(fields, axis=0).astype(np.uint8)


def mask_sets(size: int, n: int, images: int) -> dict[str, Masks]:
    """Truths and predictions (2, images, size, size) uint8 by what they are like, the most orderly first."""
    rng = np.random.default_rng(0)
    truth, other = regions(size, n, size / 20, seed=0), regions(size, n, size / 20, seed=1)
    wrong = gaussian_filter(rng.normal(size=(size, size)), size / 40) > 0
    fine = regions(size, n, 3, seed=2)
    noise = rng.integers(0, n, (2, size, size), dtype=np.uint8)
    kinds = {
        "one class": np.full((2, size, size), n - 1, dtype=np.uint8),
        "large regions": np.stack([truth, np.where(wrong, other, truth)]),
        "small regions, 15 % speckled": np.stack([fine, np.where(rng.random((size, size)) < 0.15, noise[0], fine)]),
        "noise": noise,
    }
    moves = rng.integers(0, size, images).tolist()
    return {kind: np.stack([np.roll(pair, move, axis=1) for move in moves], axis=1) for kind, pair in kinds.items()}


def image_by_image(way: Way) -> Callable[[Masks], NDArray[np.int64]]:
    """Takes a way through a set of masks and adds up what it counts."""
    return lambda masks: sum(starmap(way, zip(*masks, strict=True)), np.int64(0))


def ways(n: int) -> dict[str, tuple[type[np.integer], Callable[[Masks], NDArray[np.int64]]]]:
    """What is compared: name -> the integers that the masks are given in, and a function of the whole set."""
    ours, three_sums = partial(pixel_confusion, n=n), partial(one_class_at_a_time, n=n)
    return {
        OURS: (np.uint8, image_by_image(ours)),
        "headstart, int64": (np.int64, image_by_image(ours)),
        "each class, 3 sums": (np.int64, image_by_image(three_sums)),
        "each class, set at once": (np.int64, lambda masks: three_sums(*masks)),
        "each class, uint8": (np.uint8, image_by_image(three_sums)),
        "each pair of classes": (np.int64, image_by_image(partial(one_pair_at_a_time, n=n))),
        "bincount": (np.int64, image_by_image(partial(bincount, n=n))),
        "scikit-learn": (np.int64, image_by_image(partial(scikit_learn, n=n))),
    }


def check(counted: dict[str, NDArray[np.int64]]) -> None:
    """All ways give the same numbers, or nothing is worth measuring."""
    counts = counted[OURS]
    sums = np.stack([counts.sum(1), counts.sum(0), counts.diagonal()], axis=1)
    for name, result in counted.items():
        assert np.array_equal(result, sums if name.startswith("each class") else counts), name


def measure(runs: dict[str, Callable[[], object]], images: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds of processor time an image of each way, one number a round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.process_time()
            run()
            times[name].append(1e6 * (time.process_time() - began) / images)
    return times


def main() -> None:
    """Measure and print a table for each kind of mask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    print(f"{args.images} images of {args.size} x {args.size}, {args.classes} classes, {args.rounds} rounds")
    print(
        "microseconds an image: median (least to most), and how many times what ours takes (least to most of a round)"
    )
    for kind, masks in mask_sets(args.size, args.classes, args.images).items():
        given = {np.uint8: masks, np.int64: masks.astype(np.int64)}
        runs = {name: partial(way, given[dtype]) for name, (dtype, way) in ways(args.classes).items()}
        check({name: run() for name, run in runs.items()})
        times = measure(runs, args.images, args.rounds)
        print(f"\n{kind}")
        for name, each in times.items():
            ratios = [theirs / ours for theirs, ours in zip(each, times[OURS], strict=True)]
            spread = f"({min(each):.0f} to {max(each):.0f})"
            print(
                f"  {name:22} {median(each):7.0f} {spread:17} {median(ratios):6.1f} x "
                f"({min(ratios):.1f} to {max(ratios):.1f})"
            )


if __name__ == "__main__":
    main()
