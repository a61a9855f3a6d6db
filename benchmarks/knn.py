"""The kNN probe beside scikit-learn's brute force, to the same answer.

    python -m benchmarks.knn
    python -m benchmarks.knn --quick

Features are seeded clusters, as many keys as the goal says; the queries are a part of them that both are given. The
answer is the vote of each query: the bench stops where the two do not agree.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmarks.harness import Row, measure_here
from benchmarks.report import parsed, parser, publish
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from headstart.analysis.probes import knn_hits

K, TEMPERATURE, CLASSES = 20, 0.07, 20
Floats = NDArray[np.float32]
Integers = NDArray[np.intp]
TIES = 0.001
"""Share of the queries whose votes may differ: those whose k-th neighbour is a tie in float32."""


def clusters(n: int, d: int, seed: int = 0) -> tuple[Floats, Integers]:
    """Features float32 (n, d) of overlapping classes, and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=n)
    centres = rng.normal(size=(CLASSES, d)).astype(np.float32)
    features = rng.standard_normal(size=(n, d), dtype=np.float32)
    features *= 8
    features += centres[labels]
    return features, labels.astype(np.intp)


def brute_force(keys: Floats, labels: Integers, queries: Floats, truth: Integers) -> Integers:
    """scikit-learn's weighted vote by cosine distance: the class of each query."""
    peer = KNeighborsClassifier(
        K, weights=lambda far: np.exp((1 - far) / TEMPERATURE), metric="cosine", algorithm="brute", n_jobs=1
    )
    votes: Integers = peer.fit(keys, labels).predict(queries)
    return votes


def kept(answers: dict[str, Any], name: str, work: Callable[[], Any]) -> None:
    """Do the work and keep its answer."""
    answers[name] = work()


def main() -> None:
    """Measure, compare the answers, and write the table."""
    known = parser(__doc__)
    known.add_argument("--keys", type=int, default=None, help="50000, quick 5000")
    known.add_argument("--dims", type=int, default=None, help="2048, quick 512")
    known.add_argument("--queries", type=int, default=None, help="5000, quick 500")
    asked = parsed(known)
    n, d = asked.keys or (5000 if asked.quick else 50_000), asked.dims or (512 if asked.quick else 2048)
    m = asked.queries or (500 if asked.quick else 5000)
    features, labels = clusters(n + m, d)
    data = features[:n], labels[:n], features[n:], labels[n:]
    answers: dict[str, Any] = {}
    torch.set_num_threads(asked.threads)
    with threadpool_limits(asked.threads):
        found = measure_here(
            {
                "ours": lambda: kept(answers, "ours", lambda: knn_hits(*data, K, TEMPERATURE)),
                "theirs": lambda: kept(answers, "theirs", lambda: brute_force(*data)),
            },
            asked.rounds,
        )
    same = knn_hits(*data[:3], answers["theirs"], K, TEMPERATURE)  # our votes held to theirs, right or wrong
    assert same is not None
    differ = 1 - float(np.mean(same))
    if differ > TIES:
        raise SystemExit(f"The answers differ for {differ:.2%} of the queries.")
    row = Row(f"kNN probe, {n:,} x {d:,}", "scikit-learn, brute force", found["ours"], found["theirs"], 2.0, "s")
    note = f"Votes that differ: {differ:.2%} of the queries; accuracy {answers['ours'].mean():.4f}."
    publish("knn", [row], asked, {"keys": n, "dimensions": d, "queries": m, "k": K}, [note])


if __name__ == "__main__":
    main()
