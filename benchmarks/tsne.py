"""t-SNE of features beside scikit-learn's, with the trustworthiness of both.

    python -m benchmarks.tsne
    python -m benchmarks.tsne --quick

Features are seeded clusters on a curved surface of 40 dimensions, in noise. Both get the directions of the features,
perplexity 30, and their own defaults else. Ours is what a study draws: it counts kNN and silhouette in its time, too.
"""

import numpy as np
import torch
from benchmarks.harness import Row, measure_here
from benchmarks.report import parsed, parser, publish
from numpy.typing import NDArray
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from headstart.analysis.probes import normalised
from headstart.analysis.tsne import PERPLEXITY, lay_out

CLASSES, HIDDEN, NEIGHBOURS = 20, 40, 12
ALLOWED_LOSS = 0.005
Floats = NDArray[np.float32]


def clusters(n: int, d: int, seed: int = 0) -> tuple[Floats, NDArray[np.intp]]:
    """Features float32 (n, d), not negative, as those behind a rectifier are; and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=n)
    hidden = rng.normal(size=(CLASSES, HIDDEN))[labels] + rng.normal(size=(n, HIDDEN))
    mixed = hidden @ rng.normal(size=(HIDDEN, d)) / np.sqrt(HIDDEN) + 0.3 * rng.normal(size=(n, d))
    return np.maximum(mixed, 0).astype(np.float32), labels.astype(np.intp)


def main() -> None:
    """Measure, judge both layouts, and write the table."""
    known = parser(__doc__)
    known.add_argument("--images", type=int, default=None, help="5000, quick 400")
    known.add_argument("--dims", type=int, default=None, help="2048, quick 128")
    asked = parsed(known)
    n, d = asked.images or (400 if asked.quick else 5000), asked.dims or (128 if asked.quick else 2048)
    features, labels = clusters(n, d)
    directions = normalised(features)
    layouts: dict[str, NDArray[np.float64]] = {}

    def ours() -> None:
        layouts["ours"] = np.array(lay_out([(1, features)], labels, seed=0)[0].points)

    def theirs() -> None:
        peer = TSNE(perplexity=PERPLEXITY, random_state=0, n_jobs=asked.threads)
        layouts["theirs"] = peer.fit_transform(directions).astype(np.float64)

    torch.set_num_threads(asked.threads)
    with threadpool_limits(asked.threads):
        found = measure_here({"ours": ours, "theirs": theirs}, asked.rounds, warm_ups=0 if asked.quick else 1)
        trust = {
            name: float(trustworthiness(directions, points, n_neighbors=NEIGHBOURS)) for name, points in layouts.items()
        }
    if trust["ours"] < trust["theirs"] - ALLOWED_LOSS:
        raise SystemExit(f"Our layout is worse: trustworthiness {trust['ours']:.4f} against {trust['theirs']:.4f}.")
    row = Row(f"t-SNE, {n:,} x {d:,}", "scikit-learn's TSNE", found["ours"], found["theirs"], 1.3, "s")
    note = f"Trustworthiness ({NEIGHBOURS} neighbours): ours {trust['ours']:.4f}, theirs {trust['theirs']:.4f}."
    publish("tsne", [row], asked, {"images": n, "dimensions": d, "perplexity": PERPLEXITY}, [note])


if __name__ == "__main__":
    main()
