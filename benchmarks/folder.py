"""Pre-training from a folder of JPEGs, second epoch on: beside lightly's BYOL example and beside our step alone.

    python -m benchmarks.folder
    python -m benchmarks.folder --quick

ResNet-18 at 64 px, the views of recipe ``default``; lightly with its own transform (``BYOLTransform``), data set and
loader, by each number of workers: the faster one counts. Heads, batch and kind of optimiser are the same on both sides.
The ceiling is our step on ready random views of the same shape. Ours is ``headstart.pretrain`` itself, a turn of it an
epoch; what it does before its second epoch
(checks, packing) is not counted.
"""

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.apart import Contestant, measure_apart
from benchmarks.harness import Row, Sample
from benchmarks.photos import photo_folder
from benchmarks.report import parsed, parser, publish

HIDDEN = 1024
"""Hidden units of lightly's heads; ours get as many."""
SGD: dict[str, Any] = {"name": "sgd", "lr": 0.06, "momentum": 0.0}
LIGHTLY_WORKERS = (0, 2)


def contestants(data: Path, out: Path, shape: dict[str, Any], epochs: int) -> list[Contestant]:
    """``shape`` has backbone, size and batch; ``epochs`` is how long our training is."""
    heads = {"hidden": HIDDEN, "optim": SGD}
    training = {**shape, **heads, "data": str(data), "out": str(out), "epochs": epochs}
    theirs = {**shape, "data": str(data)}
    return [
        Contestant("ours", "benchmarks.epochs:ours", training, takes_turns=True),
        Contestant(
            "ours, 1 worker", "benchmarks.epochs:ours", {**training, "out": f"{out}-1", "workers": 1}, takes_turns=True
        ),
        Contestant("our step", "benchmarks.steps:ours", {**shape, **heads, "steps": 10}),
        *(
            Contestant(f"lightly, {n} workers", "benchmarks.peer_epochs:lightly", {**theirs, "workers": n}, "lightly")
            for n in LIGHTLY_WORKERS
        ),
    ]


def better(samples: dict[str, Sample]) -> tuple[str, Sample]:
    """The faster of those that were measured, by the median; the first one where none was."""
    measured = {name: sample for name, sample in samples.items() if not sample.failed and sample.seconds}
    name = max(measured, key=lambda each: median(measured[each].rates)) if measured else next(iter(samples))
    return name, samples[name]


def main() -> None:
    """Measure, and write the table."""
    known = parser(__doc__)
    known.add_argument("--images", type=int, default=None, help="JPEGs in the folder; 2000, quick 128")
    known.add_argument("--size", type=int, default=64, help="side of the views in pixels")
    known.add_argument("--batch", type=int, default=64, help="images a step")
    known.add_argument("--data", type=Path, default=None, help="a folder of folders of JPEGs, instead of a made one")
    asked = parsed(known)
    data = asked.data or photo_folder(asked.out / "data", asked.images or (128 if asked.quick else 2000))
    shape = {"backbone": "resnet18", "size": asked.size, "batch": asked.batch}
    with tempfile.TemporaryDirectory() as place:
        entered = contestants(data, Path(place) / "run", shape, asked.rounds + 2)
        found = measure_apart(entered, asked.rounds, asked.threads)
    name, theirs = better({name: found[name] for name in found if name.startswith("lightly")})
    work = f"pre-training from JPEGs, ResNet-18, {asked.size} px, batch {asked.batch}"
    rows = [
        Row(work, f"lightly 1.6.0's BYOL example, {name.partition(', ')[2]}", found["ours"], theirs, 1.7),
        Row(work, "our step on random tensors", found["ours"], found["our step"], 0.9),
        Row(
            f"{work}, views in a loader process",
            "the same, views in the training's process",
            found["ours, 1 worker"],
            found["ours"],
        ),
        *(
            Row(work, f"lightly, {n} workers", found["ours"], found[f"lightly, {n} workers"])
            for n in LIGHTLY_WORKERS
            if f"lightly, {n} workers" != name
        ),
    ]
    publish("folder", rows, asked, {"images": sum(1 for _ in data.rglob("*.jpg")), **shape})


if __name__ == "__main__":
    main()
