"""``headstart data pack``: packs of a source's images before a training asks for them."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from headstart.configs.data import DataPackConfig
from headstart.data.pack.make import Effort, build
from headstart.data.reduced import side_for
from headstart.data.sources import offered_images, open_source
from headstart.data.threads import reader_threads
from headstart.results import DataPackResult, PackedSide

logger = logging.getLogger(__name__)


def pack_source(config: DataPackConfig, watch: Callable[[int, int], None]) -> DataPackResult:
    """Pack the images of ``config.data``, training and validation images each on their own, as trainings ask for them.

    ``watch(done, total)`` is called while a side is decoded. DataError where it is no source, PackError where no pack
    can be written, MachineError where a file does not come.
    """
    began = time.monotonic()
    source = open_source(config.data)
    logger.info("%s", source.description)
    threads = reader_threads(config.workers)
    side = side_for(config.views, config.image_size)
    effort, packs = Effort(threads, config.file_seconds, watch), []
    train, val, _ = offered_images(source)
    for offered in (train, val):
        if offered is None:
            continue
        images = replace(offered, side=side)
        pack = build(images, config.out, config.pack_limit, effort)
        told = PackedSide(
            folder=str(pack.folder),
            n_images=len(pack) - len(pack.reasons),
            n_bytes=pack.facts.n_bytes,
            quarantined={str(images.root / name): reason for name, reason in pack.reasons.items()},
        )
        packs.append(told)
    return DataPackResult(
        spec=source.spec,
        description=source.description,
        side=side,
        seconds=time.monotonic() - began,
        packs=packs,
    )
