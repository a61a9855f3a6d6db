"""One BYOL training step on random tensors, ours beside byol-pytorch's and that of lightly's example.

    python -m benchmarks.byol
    python -m benchmarks.byol --quick

No decoding; ours and lightly's get ready views. byol-pytorch augments within its step, as its README has it; a second
line has that taken out. Each pair has the same backbone, hidden units and kind of optimiser. Ours computes in the
precision that it chooses by itself here (bf16 where native); a line without a goal has it in fp32, as the peers do.
"""

from typing import Any

from benchmarks.apart import Contestant, measure_apart
from benchmarks.harness import Row
from benchmarks.report import parsed, parser, publish

ADAM: dict[str, Any] = {"name": "adam", "lr": 3e-4}
SGD: dict[str, Any] = {"name": "sgd", "lr": 0.06, "momentum": 0.0}


def contestants(size: int, batch: int, steps: int, backbone: str = "resnet50") -> list[Contestant]:
    """Ours with the heads of either peer, and the peers; byol-pytorch's network is ResNet-50 whatever ``backbone``."""
    shape = {"size": size, "batch": batch, "steps": steps}
    named = {"backbone": backbone, **shape}
    wide, narrow = {**named, "hidden": 4096, "optim": ADAM}, {**named, "hidden": 1024, "optim": SGD}
    ours, readme = "benchmarks.steps:ours", "benchmarks.peer_steps:byol_pytorch"
    return [
        Contestant("ours, Adam", ours, wide),
        Contestant("ours, Adam, fp32", ours, {**wide, "precision": "fp32"}),
        Contestant("byol-pytorch", readme, shape, peer="byol-pytorch"),
        Contestant("byol-pytorch, not augmenting", readme, {**shape, "augment": False}, peer="byol-pytorch"),
        Contestant("ours, SGD", ours, narrow),
        Contestant("ours, SGD, fp32", ours, {**narrow, "precision": "fp32"}),
        Contestant("lightly", "benchmarks.peer_steps:lightly", named, peer="lightly"),
    ]


def main() -> None:
    """Measure, and write the table."""
    known = parser(__doc__)
    known.add_argument("--size", type=int, default=None, help="side of the views in pixels; 128, quick 64")
    known.add_argument("--batch", type=int, default=None, help="images a step; 32, quick 8")
    known.add_argument("--steps", type=int, default=1, help="steps a turn")
    asked = parsed(known)
    size, batch = asked.size or (64 if asked.quick else 128), asked.batch or (8 if asked.quick else 32)
    found = measure_apart(contestants(size, batch, asked.steps), asked.rounds, asked.threads)
    work = f"BYOL step, ResNet-50, {size} px, batch {batch}"
    rows = [
        Row(work, "byol-pytorch 0.9.1, its README", found["ours, Adam"], found["byol-pytorch"], 2.8),
        Row(work, "the same, its augmentation taken out", found["ours, Adam"], found["byol-pytorch, not augmenting"]),
        Row(
            f"{work}, fp32",
            "the same, its augmentation taken out",
            found["ours, Adam, fp32"],
            found["byol-pytorch, not augmenting"],
        ),
        Row(work, "lightly 1.6.0, its BYOL example", found["ours, SGD"], found["lightly"], 2.2),
        Row(f"{work}, fp32", "lightly 1.6.0, its BYOL example", found["ours, SGD, fp32"], found["lightly"]),
    ]
    publish("byol", rows, asked, {"size": size, "batch": batch, "steps_a_turn": asked.steps})


if __name__ == "__main__":
    main()
