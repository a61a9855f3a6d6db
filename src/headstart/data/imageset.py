"""A set of image files, with labels or without: what every loader and every split works on."""

import hashlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, SupportsIndex

import numpy as np
from numpy.typing import NDArray


class Decoded(Protocol):
    """Images that were decoded before."""

    def read(self, name: str, guess: int = -1) -> NDArray[np.uint8]:
        """The image called ``name``: uint8 (H, W, 3), writable; ``guess`` is where it may be found at once."""


@dataclass(frozen=True)
class ImageSet:
    """Image files: ``names`` are POSIX paths relative to ``root``, ``labels`` are class indices, one an image.

    ``side``: how many pixels the shorter side of an image is to have at most where it is read (``reduced.py``); None:
    images are read whole. ``decoded`` holds the same pixels ready; it changes none, so sets are equal without it.
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    side: int | None = None
    decoded: Decoded | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self.names):
            raise ValueError(f"{len(self.names)} names but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.names)

    def path(self, i: int) -> Path:
        """Where image ``i`` is."""
        return self.root / self.names[i]

    def subset(self, indices: Iterable[SupportsIndex]) -> "ImageSet":
        """The images at ``indices``, in that order."""
        chosen = [int(i) for i in indices]
        names = tuple(self.names[i] for i in chosen)
        return replace(self, names=names, labels=self.labels and tuple(self.labels[i] for i in chosen))

    def without(self, names: Container[str]) -> "ImageSet":
        """All images but those called ``names``, in order."""
        return self.subset(i for i, name in enumerate(self.names) if name not in names)

    def unlabelled(self) -> "ImageSet":
        """The same images, their labels forgotten."""
        return replace(self, labels=None)


def is_file(path: Path) -> bool:
    """Whether there is a file; a name that is too long for the system, or in a closed folder, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def class_counts(images: ImageSet | None, classes: Sequence[str]) -> list[int]:
    """Images of each class; nothing where there are no images or no labels."""
    if images is None or images.labels is None:
        return []
    return np.bincount(images.labels, minlength=len(classes)).tolist() if images.labels else [0] * len(classes)


def fingerprint(sets: Sequence[ImageSet], classes: Sequence[str]) -> str:
    """SHA-256 of the names, sizes in bytes and labels of all files; none is read."""
    digest = hashlib.sha256()
    for images in sets:
        digest.update(b"set\n")
        for i, name in enumerate(images.names):
            file = images.path(i)
            size = file.stat().st_size if is_file(file) else -1
            label = "" if images.labels is None else classes[images.labels[i]]
            digest.update(f"{name}\0{size}\0{label}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
