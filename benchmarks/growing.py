"""Work of a size that can be chosen, for ``benchmarks/growth.py``."""

import tempfile
from pathlib import Path

import numpy as np
from benchmarks.harness import Way
from benchmarks.photos import photo_folder
from benchmarks.steps import ours

import headstart
from headstart.configs.study import StudyConfig
from headstart.data.loaders import epoch_order

SIDE = 32
STUDY_IMAGES = 60


def made_pack(place: str, n: int) -> Path:
    """A pack of ``n`` images of 32 x 32 random pixels: the folder, whose name is their number."""
    from headstart.data.pack.layout import SCHEMA, PackFacts
    from headstart.data.pack.writer import Writer

    folder = Path(place) / f"pack-{n}"
    if folder.is_dir():
        return folder
    part = Path(tempfile.mkdtemp(dir=place))
    facts = PackFacts(schema_version=SCHEMA, complete=False, key=f"{n}", settings={"side": SIDE}, n_images=n, n_bytes=0)
    rng = np.random.default_rng(n)
    with Writer(part) as writer:
        for i in range(n):
            writer.add(f"{i:08}.jpg", rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
        writer.finish(facts)
    part.rename(folder)
    return folder


def pack(place: str, n: int) -> Way:
    """Read every image of a pack once, in the order of an epoch, by name."""
    from headstart.data.pack import open_pack

    opened = open_pack(made_pack(place, n))
    epoch = iter(range(10**9))

    def way() -> float:
        for i in epoch_order(n, 0, next(epoch)):
            opened.read(f"{i:08}.jpg")
        return n

    return way


def opening(place: str, n: int) -> Way:
    """Open a pack; units are its images."""
    from headstart.data.pack import open_pack

    folder = made_pack(place, n)

    def way() -> float:
        return len(open_pack(folder))

    return way


def step(size: int, batch: int) -> Way:
    """A step of ResNet-18 on random views; units are pixels."""
    one = ours("resnet18", size, batch)
    return lambda: (one() or 0) * size**2


def study(place: str, seeds: int) -> Way:
    """A study of a full and a frozen training from scratch on 60 photographs; units are seeds."""
    data = photo_folder(Path(place), STUDY_IMAGES, workers=1)

    def way() -> float:
        with tempfile.TemporaryDirectory(dir=place) as out:
            headstart.study(
                StudyConfig(
                    data=str(data),
                    out=Path(out) / "study",
                    starts=("scratch",),
                    label_fractions=(1.0,),
                    lr_grid=(1.0,),
                    backbone="test_resnet",
                    image_size=32,
                    seeds=seeds,
                    epochs=2,
                    min_steps=0,
                    workers=0,
                )
            )
        return seeds

    return way
