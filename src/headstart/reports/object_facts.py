"""What a report says of automatic masks, read from the directory of a ``headstart masks``."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headstart.reports.files import Setup, optional, read_notes, read_setup
from headstart.reports.pictures import Picture, read_tile
from headstart.results import MaskedImage, MasksResult

OVERLAY_SIDES = (900, 640, 480)
"""Longest side in pixels of an overlay on the page: the first with which all that are shown fit."""
OVERLAY_BYTES = 5_000_000
"""Most bytes of all overlays on a page."""
MOST_OVERLAYS = 24
FOLDER = "masks"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObjectFacts:
    """A run of ``headstart masks``; ``overlays`` are those images of it that are shown."""

    result: MasksResult
    overlays: tuple[tuple[MaskedImage, Picture], ...]
    setup: Setup | None = None


def read_objects(folder: Path, result: MasksResult) -> ObjectFacts:
    """All that is told of a run beside its ``result``."""
    chosen = spread(result.images, MOST_OVERLAYS)
    for side in OVERLAY_SIDES:
        shown = [(image, picture) for image in chosen if (picture := _overlay(folder, image, side)) is not None]
        if sum(len(picture.uri) for _, picture in shown) <= OVERLAY_BYTES:
            break
    return ObjectFacts(result, tuple(_fitting(shown)), read_setup(folder))


def read_objects_beside(folder: Path) -> ObjectFacts | None:
    """What lies in ``folder`` (the masks/ of a study); None where that is no finished run of ``headstart masks``."""
    result = optional(MasksResult, folder / "result.json")
    return None if result is None else read_objects(folder, result)


def read_object_notes(folder: Path) -> tuple[str, ...]:
    """What is to be said of the masks beside a study, or of why there are none."""
    return read_notes(folder / "notes.json")


def spread(images: list[MaskedImage], most: int) -> list[MaskedImage]:
    """At most ``most`` of the images, evenly over the list."""
    if len(images) <= most:
        return images
    return [images[i * len(images) // most] for i in range(most)]


def _fitting(shown: list[tuple[MaskedImage, Picture]]) -> Iterator[tuple[MaskedImage, Picture]]:
    taken = 0
    for image, picture in shown:
        taken += len(picture.uri)
        if taken <= OVERLAY_BYTES:
            yield image, picture


def _overlay(folder: Path, image: MaskedImage, side: int) -> Picture | None:
    path = folder / image.overlay
    if not path.resolve().is_relative_to(folder.resolve()):
        LOG.warning("%s is left out of the report: it does not lie within the run", image.overlay)
        return None
    return read_tile(path, side, is_mask=False)
