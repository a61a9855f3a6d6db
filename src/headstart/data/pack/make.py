"""Making a pack of a set of images, once, whoever asks for it first."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL
from PIL import Image, features

from headstart.data.decode import FORMATS, DecodeError, Pixels, failure, refuse_special
from headstart.data.imageset import ImageSet
from headstart.data.pack.cache import discard, gigabytes, locked, packs_folder, reserve, used
from headstart.data.pack.layout import INDEX, SCHEMA, PackError, PackFacts, as_bytes
from headstart.data.pack.reader import Pack, open_pack
from headstart.data.pack.writer import Writer, writing
from headstart.data.reduced import DRAFT_FACTOR, decode_as_asked, reduced_size
from headstart.data.threads import PATIENCE_SECONDS, read_in_threads
from headstart.results import printable

logger = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_LIMIT = 20.0
"""GB."""
NO_PIXELS = np.empty((0, 0, 3), np.uint8)
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Effort:
    """How files are read: threads, seconds that one may take, and what is told of (done, total) images."""

    threads: int = 1
    patience: float = PATIENCE_SECONDS
    progress: Watch | None = None


def build(
    images: ImageSet, folder: Path | None = None, limit: float = DEFAULT_LIMIT, effort: Effort | None = None
) -> Pack:
    """The pack of ``images`` (read as ``images.side`` says) in a folder of packs; made where it is not there.

    Args:
        images: their labels do not matter; a name that occurs twice is stored once.
        folder: of packs, by default that of the cache.
        limit: GB (1e9 bytes) that all packs in the folder may take; others are removed to make room.

    What cannot be decoded has a reason in ``Pack.reasons`` in place of pixels. Raises PackError where no pack can
    be written, MachineError where a file does not come.
    """
    folder, effort = folder or packs_folder(), effort or Effort()
    names = sorted(set(images.names), key=as_bytes)
    ordered = replace(images, names=tuple(names), labels=None)
    key = content_key(ordered, effort)
    with locked(folder, key):
        pack = _found(folder / key)
        if pack is None:
            pack = _made(folder, key, ordered, limit, effort)
    used(pack.folder)
    return pack


def settings(side: int | None) -> dict[str, Any]:
    """All that decides on the pixels beside the files: a change of any of it is another pack."""
    versions = {"pillow": PIL.__version__, "jpeg": features.version("libjpeg_turbo") or features.version("jpg")}
    versions["rasterio"] = version("rasterio") if find_spec("rasterio") else "none"  # may read what Pillow cannot
    return {"schema": SCHEMA, "side": side, "draft_factor": DRAFT_FACTOR, "resize": "bicubic", **versions}


def content_key(images: ImageSet, effort: Effort) -> str:
    """SHA-256 over the settings, the names and the content of all files, which are read for it: 64 hex digits."""
    total = hashlib.sha256(repr(sorted(settings(images.side).items())).encode())
    for name, digest in zip(images.names, _in_threads(_digest, images, effort), strict=True):
        total.update(b"%d:%b" % (len(as_bytes(name)), as_bytes(name)))
        total.update(digest)
    return total.hexdigest()


def planned_bytes(images: ImageSet, effort: Effort) -> int:
    """How many bytes a pack takes, from the files' headers; what has no header that is known counts as nothing."""

    def pixels(path: Path) -> int:
        size = _size(path)
        if size is None:
            return 0
        height, width = size if images.side is None else reduced_size(*size, images.side)
        return height * width * 3

    names = sum(len(as_bytes(name)) for name in images.names)
    Image.init()  # imports Pillow's readers, which is not to count as the time of the first file
    return sum(_in_threads(pixels, images, effort)) + names + INDEX.itemsize * (len(images) + 1)


def _found(folder: Path) -> Pack | None:
    """The pack that is there; one that is damaged is removed."""
    if not folder.exists():
        return None
    try:
        return open_pack(folder)
    except PackError as error:
        logger.warning("%s", error)
        discard(folder)
    return None


def _made(folder: Path, key: str, images: ImageSet, limit: float, effort: Effort) -> Pack:
    needed = planned_bytes(images, effort)
    facts = PackFacts(
        schema_version=SCHEMA,
        complete=False,
        key=key,
        settings=settings(images.side),
        n_images=len(images),
        n_bytes=needed,
    )
    part = reserve(folder, facts, limit)
    told = "whole" if images.side is None else f"at most {images.side} px on the shorter side"
    logger.info(
        "Packing %d images, %s: %s of the %g GB of --pack-limit, into %s.",
        len(images),
        told,
        gigabytes(needed),
        limit,
        folder,
    )
    try:
        _fill(part, facts, images, effort)
        with writing(part):
            part.rename(folder / key)
    except BaseException:
        discard(part)
        raise
    return open_pack(folder / key)


def _fill(part: Path, facts: PackFacts, images: ImageSet, effort: Effort) -> None:
    """Decode every image once and write it, or why that is impossible."""
    reasons: dict[int, str] = {}

    def decoded(path: Path) -> Pixels | str:
        try:
            return decode_as_asked(images, path)
        except DecodeError as error:
            return error.reason

    with Writer(part) as writer:
        for done, (name, found) in enumerate(zip(images.names, _in_threads(decoded, images, effort), strict=True)):
            if isinstance(found, str):
                reasons[done] = printable(found)
                writer.add(name, NO_PIXELS)
            else:
                writer.add(name, found)
            if effort.progress is not None:
                effort.progress(done + 1, len(images))
        writer.finish(facts.model_copy(update={"quarantined": reasons}))


def _in_threads(read: Callable[[Path], T], images: ImageSet, effort: Effort) -> Iterator[T]:
    paths = (images.path(i) for i in range(len(images)))
    for _, future in read_in_threads(read, paths, effort.threads, effort.patience):
        yield future.result()


def _digest(path: Path) -> bytes:
    """SHA-256 of a file's content; of why it cannot be read where the file is to blame."""
    try:
        refuse_special(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except DecodeError as error:
        return hashlib.sha256(error.reason.encode()).digest()
    except OSError as error:
        told = failure(path, error)
        if not isinstance(told, DecodeError):
            raise told from error
        return hashlib.sha256(told.reason.encode()).digest()


def _size(path: Path) -> tuple[int, int] | None:
    """(height, width) as a file's header has it."""
    try:
        refuse_special(path)
        with Image.open(path, formats=FORMATS) as image:
            return image.height, image.width
    except Exception:  # as in decode: Pillow's readers raise a dozen unrelated kinds on damaged files
        return None
