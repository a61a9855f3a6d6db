"""What a training reads: images that decode, from a pack where there can be one."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from headstart.data.decode import check_images, leave_out
from headstart.data.imageset import ImageSet
from headstart.data.pack.layout import PackError
from headstart.data.pack.make import Effort, build
from headstart.data.reduced import decode_as_asked
from headstart.data.threads import PATIENCE_SECONDS

logger = logging.getLogger(__name__)


def readable(
    images: ImageSet,
    quarantine_file: Path,
    strict: bool,
    workers: int,
    patience: float = PATIENCE_SECONDS,
    limit: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Those of ``images`` that decode, as ``check_images`` tells them, with their pixels in a pack.

    With a ``limit`` (GB of the cache of packs) of 0, or where no pack can be written, which is logged, each image is
    decoded once here and again whenever it is read. The pixels are the same either way. Raises what ``check_images``
    raises.
    """
    if limit:
        try:
            pack = build(images, limit=limit, effort=Effort(workers, patience, progress))
        except PackError as error:
            logger.warning("No pack of decoded images, so each is decoded whenever it is read: %s", error)
        else:
            failed = pack.reasons
            reasons = {name: failed[name] for name in images.names if name in failed}
            return replace(leave_out(images, reasons, quarantine_file, strict), decoded=pack)
    return check_images(images, quarantine_file, strict, workers, patience, progress, partial(decode_as_asked, images))
