"""Reading images for training without augmentation: ours from a pack, torchvision's ImageFolder from the JPEGs.

    python -m benchmarks.reading
    python -m benchmarks.reading --quick

Both give batches of the middle square of each image, its shorter side being 64 px: as uint8 (Resize, CenterCrop), and
as normalised float32, which is what a network gets. torchvision's by each number of workers: the faster one counts.
"""

from pathlib import Path
from typing import Any

from benchmarks.apart import Contestant, measure_apart
from benchmarks.folder import better
from benchmarks.harness import Row
from benchmarks.photos import photo_folder
from benchmarks.report import parsed, parser, publish

WORKERS = (0, 2)
GOAL = 40.0


def contestants(data: Path, packs: Path, size: int, batch: int) -> list[Contestant]:
    """Ours and torchvision's, each as uint8 and as float32."""
    shape: dict[str, Any] = {"data": str(data), "size": size, "batch": batch}
    entered = []
    for kind, floats in (("uint8", False), ("float32", True)):
        ours = {**shape, "packs": str(packs), "floats": floats}
        entered.append(Contestant(f"ours, {kind}", "benchmarks.readers:ours", ours))
        for n in WORKERS:
            theirs = {**shape, "floats": floats, "workers": n}
            entered.append(Contestant(f"torchvision, {kind}, {n} workers", "benchmarks.readers:image_folder", theirs))
    return entered


def main() -> None:
    """Measure, and write the table."""
    known = parser(__doc__)
    known.add_argument("--images", type=int, default=None, help="JPEGs in the folder; 2000, quick 128")
    known.add_argument("--size", type=int, default=64, help="side of the squares in pixels")
    known.add_argument("--batch", type=int, default=64, help="images a batch")
    asked = parsed(known)
    n = asked.images or (128 if asked.quick else 2000)
    data = photo_folder(asked.out / "data", n)
    entered = contestants(data, asked.out / "packs", asked.size, asked.batch)
    found = measure_apart(entered, asked.rounds, asked.threads)
    rows = []
    for kind in ("uint8", "float32"):
        theirs = {name: sample for name, sample in found.items() if name.startswith(f"torchvision, {kind}")}
        name, sample = better(theirs)
        work = f"reading for training, {asked.size} px, {kind}"
        against = f"torchvision ImageFolder, Resize, CenterCrop, {name.rpartition(', ')[2]}"
        rows.append(Row(work, against, found[f"ours, {kind}"], sample, GOAL))
    publish("reading", rows, asked, {"images": n, "size": asked.size, "batch": asked.batch})


if __name__ == "__main__":
    main()
