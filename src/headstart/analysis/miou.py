"""Scores of masks that lie in two folders, wherever they come from."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.analysis.mask_folders import match_masks
from headstart.analysis.segmentation import Scorer
from headstart.configs.inference import MiouConfig
from headstart.data.masks import read_labels, read_mask
from headstart.data.pair_check import far_words
from headstart.data.palette_files import palette_named
from headstart.data.palettes import Palette
from headstart.data.threads import read_in_threads
from headstart.errors import DataError
from headstart.results import MiouResult

logger = logging.getLogger(__name__)

Indices = NDArray[np.uint8]
SHOWN = 5
MOST_THREADS = 8


def miou(config: MiouConfig) -> MiouResult:
    """Score every predicted mask against the true one of the same name.

    Memory is that of a few masks. DataError for an unknown palette, for masks that cannot be matched, read or
    understood, and for a prediction of another size than its truth.
    """
    palette = palette_named(config.palette)
    matched = match_masks(config.truth, config.predicted)
    logger.info("%d masks in %s, each with a prediction in %s.", len(matched.pairs), config.truth, config.predicted)
    if matched.left_out:
        logger.warning(
            "%d file(s) have no partner and are left out (first: %s).",
            len(matched.left_out),
            ", ".join(matched.left_out[:SHOWN]),
        )
    warn_of_far([pair[0] for pair in matched.pairs], palette)
    warn_of_far([pair[1] for pair in matched.pairs], palette)
    scorer = Scorer(palette.classes, palette.n_scored)
    for truth, predicted in read_pairs(matched.pairs, palette, config.nearest_colour):
        scorer.add(truth, predicted)
    return MiouResult(
        predicted=str(config.predicted),
        truth=str(config.truth),
        palette=palette.name,
        scores=scorer.scores(config.protocol),
        left_out=list(matched.left_out),
    )


def warn_of_far(masks: Sequence[Path], palette: Palette) -> None:
    """Say where a threshold reads masks whose colours are others; a few masks of a folder tell it."""
    looked_at = masks[:SHOWN]
    far = [str(path) for path in looked_at if palette.is_far(read_labels(path))]
    if far:
        logger.warning("%s", far_words(far, len(looked_at), palette))


def read_pairs(
    pairs: Sequence[tuple[Path, Path]], palette: Palette, nearest: bool
) -> Iterator[tuple[Indices, Indices]]:
    """Class indices (H, W) uint8 of truth and prediction, in order; read by threads, a few pairs ahead.

    DataError, with both paths, where the two differ in size.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)

    def read(pair: tuple[Path, Path]) -> tuple[Indices, Indices]:
        truth, predicted = (read_mask(path, palette, nearest) for path in pair)
        if truth.shape != predicted.shape:
            raise DataError(
                f"{pair[1]} is {_size(predicted)} pixels, but its truth {pair[0]} is {_size(truth)}. "
                "Bring the prediction to the size of the truth, without blending classes."
            )
        return truth, predicted

    for _, masks in read_in_threads(read, pairs, threads, ahead=threads, named=lambda pair: f"{pair[0]} or {pair[1]}"):
        yield masks.result()


def _size(mask: Indices) -> str:
    return f"{mask.shape[1]} x {mask.shape[0]}"
