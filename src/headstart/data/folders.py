"""Folders of images: which files count, in what order, and when sub-folders are classes."""

import errno
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from headstart.errors import DataError
from headstart.results import printable

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "validation", "valid", "test")
"""What folders and CSV files of the two sides may be called, in any capitals; the first that is there is taken."""
PROVENANCE_FILE = "PROVENANCE.md"

OTHER_SUFFIXES = (".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".dng", ".cr2", ".nef", ".arw")
"""Endings of pictures that are not read; a source's description counts them, so that none is dropped unseen."""

NOT_THERE = {errno.ENOENT, errno.ENOTDIR}
UNUSABLE = {errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG}
"""What the system says of a path that is not there, and of one that cannot be followed."""

NaturalKey = tuple[tuple[tuple[int | str, ...], ...], str]


@dataclass(frozen=True)
class Found:
    """Images as a folder or a CSV gives them. ``labels`` are class names, one an image, or None; ``words`` say how the
    images were read, for the description.
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    kind: str
    words: str


def natural_key(name: str) -> NaturalKey:
    """Sorts a path with its numbers as numbers: a2/x9, a2/x10, a10/x1. Keys are equal only for equal names."""
    parts = (re.split(r"([0-9]+)", part.casefold()) for part in name.split("/"))
    return tuple(tuple(int(text) if i % 2 else text for i, text in enumerate(part)) for part in parts), name


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct classes: as integers where all are integers, else in natural order."""
    distinct = set(labels)
    if all(re.fullmatch(r"[+-]?[0-9]+", label) for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct, key=natural_key))


def find_images(root: Path) -> tuple[str, ...]:
    """POSIX paths, relative to ``root``, of all image files below it, in natural order.

    Hidden files and folders are skipped. Linked folders are followed, but each real folder is visited once, so that a
    link to a parent cannot loop.
    """
    names: list[str] = []
    visited: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(root, onerror=_warn, followlinks=True):
        state = Path(folder).stat()
        if (state.st_dev, state.st_ino) in visited:
            subfolders.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        subfolders[:] = sorted((name for name in subfolders if not name.startswith(".")), key=natural_key)
        images = (name for name in files if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."))
        names += ((Path(folder) / name).relative_to(root).as_posix() for name in images)
    return tuple(sorted(names, key=natural_key))


def source_path(text: str, remedy: str) -> Path:
    """The folder or CSV that a source names, there and readable. DataError, with ``remedy``, for anything else."""
    if not text.strip():
        raise DataError(f"No path is given. {remedy}")
    try:
        path = Path(text).expanduser()
        if path.is_dir():
            os.scandir(path).close()
        elif not path.exists():
            raise DataError(f"There is no {path}. {remedy}")
        elif not path.is_file() or path.suffix.lower() != ".csv":
            raise DataError(f"{path} is a file, but not a CSV. {remedy}")
    except RuntimeError as error:  # of ~user
        raise DataError(f"{text}: {error} {remedy}") from None
    except OSError as error:
        if error.errno not in NOT_THERE | UNUSABLE:
            raise
        raise DataError(f"{shortened(text)} cannot be read: {error.strerror}. {remedy}") from None
    return path


def shortened(text: str) -> str:
    """A path for a message; of a very long one the two ends."""
    return text if len(text) <= 200 else f"{text[:90]} ... {text[-90:]}"


def unread_words(root: Path) -> list[str]:
    """What below ``root`` is not read: pictures of other formats, by their endings, and folders without permission."""
    closed: list[str] = []
    endings = Counter(
        PurePosixPath(name).suffix.lower()
        for _, _, files in os.walk(root, onerror=lambda error: closed.append(f"{error.filename} ({error.strerror})"))
        for name in files
        if name.lower().endswith(OTHER_SUFFIXES) and not name.startswith(".")
    )
    counts = ", ".join(f"{number} {ending}" for ending, number in sorted(endings.items()))
    told = [f"not read in {root}, being of other formats: {counts} (convert them to PNG or JPEG)"] * bool(counts)
    return told + [f"{len(closed)} folder(s) cannot be read: {', '.join(closed[:3])}"] * bool(closed)


def entry(folder: Path, name: str) -> Path | None:
    """What is called ``name`` (in lower case) in ``folder``, whatever its capitals."""
    try:
        return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name), None)
    except PermissionError:  # which find_images tells
        return None


def provenance_in(folder: Path) -> str:
    """The text of the PROVENANCE.md in ``folder``, if there is one."""
    file = folder / PROVENANCE_FILE
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _warn(error: OSError) -> None:
    _warn_once(str(error.filename), str(error.strerror))


@lru_cache
def _warn_once(name: str, reason: str) -> None:
    """A source is walked several times while it is detected; one warning is enough."""
    logger.warning("%s is left out: %s.", name, reason)


def require_images(root: Path) -> tuple[str, ...]:
    """``find_images``; DataError when there are none."""
    names = find_images(root)
    if not names:
        raise DataError(
            f"No images in {root}: looked for files ending in {', '.join(IMAGE_SUFFIXES)} (or capitals) at any depth, "
            "hidden ones left out. Check the path, or convert the images to one of these formats."
        )
    return names


def read_folder(root: Path) -> Found:
    """Class folders where every image lies exactly one level down in two or more folders; else unlabelled images."""
    names = require_images(root)
    folders = {str(PurePosixPath(name).parent) for name in names}
    if "." not in folders and len(folders) >= 2 and not any("/" in folder for folder in folders):
        found = read_class_folders(root)
        hint = f"each image lies one level down; write folder:{root} to read them without labels"
        return Found(root, found.names, found.labels, found.kind, f"{found.words} ({hint})")
    return read_unlabelled(root)


def read_unlabelled(root: Path) -> Found:
    """All images below ``root``, at any depth, without labels."""
    names = require_images(root)
    n_folders = len({PurePosixPath(name).parent for name in names})
    return Found(
        root, names, None, "folder", f"unlabelled images in {root}" + f" ({n_folders} folders)" * (n_folders > 1)
    )


def read_class_folders(root: Path) -> Found:
    """The images below each folder of ``root``, at any depth, labelled with the folder's name.

    DataError when an image lies directly in ``root``, or there are fewer than two folders with images.
    """
    names = require_images(root)
    loose = [name for name in names if "/" not in name]
    if loose:
        raise DataError(
            f"{root} cannot be read as class folders: {len(loose)} image(s) lie in none (such as {loose[0]}). "
            f"Move each into the folder of its class, or write folder:{root} to read all images without labels."
        )
    labels = tuple(printable(name.split("/", 1)[0]) for name in names)
    if len(set(labels)) < 2:
        raise DataError(
            f"{root} cannot be read as class folders: only {labels[0]} holds images, and at least two classes are "
            f"needed. Write folder:{root} to read the images without labels."
        )
    return Found(root, names, labels, "class folders", f"class folders in {root}")
