"""The pairs a segmentation is trained and judged on: split, checked, and drawn."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from headstart.analysis.store import Store
from headstart.configs.run import HELD_OUT_PARTS
from headstart.configs.segment import SegmentConfig
from headstart.configs.study import StudyConfig
from headstart.data.pair_check import CheckedPairs, far_words, pair_facts, pair_leaks, quarantine_unpaired
from headstart.data.pairs import PairSet, PairSource, pair_split
from headstart.data.palette_files import resolve_palette
from headstart.data.palettes import Palette
from headstart.data.splits import Indices, hold_out_part, nested_fraction
from headstart.data.threads import reader_threads
from headstart.errors import DataError
from headstart.results import DataFacts, held_out_words
from headstart.training.intake import take_in
from headstart.training.session import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentData:
    """Pairs for training (the label fraction drawn) and to be judged on, all decodable.

    ``class_pixels`` are the training pixels of each class of the palette; ``warnings`` what a user should know.
    """

    train: PairSet
    val: PairSet
    palette: Palette
    class_pixels: tuple[int, ...]
    quarantined: int
    warnings: tuple[str, ...]


def read_pairs(session: Session, config: SegmentConfig, source: PairSource, store: Store) -> SegmentData:
    """Split the source, check both sides, draw the label fraction and write data.json.

    Where the config holds a part of the drawn pairs out, no validation pair is read.

    DataError when a mask has colours outside the palette, when nothing is left, or when one class is all there is.
    """
    palette = resolve_palette(config.palette, source)
    with session.fabric.rank_zero_first():
        if config.held_out is None:
            train, val, facts = take_in_pairs(config, source, palette, store, session.first)
        else:
            train, facts = take_in_training(config, config.held_out, source, palette, store, session.first)
    chosen, alike = pairs_drawn(len(train), config.label_fraction, config.seed)
    known = train
    if config.held_out is not None:
        chosen, held_out = hold_out_part(chosen, alike, config.held_out, HELD_OUT_PARTS, config.seed)
        known, val = train.subset(chosen), train.subset(held_out)
    pixels = train.pixel_counts[chosen].sum(axis=0)
    refuse_hopeless(palette, pixels, val.pixel_counts, config)
    logger.info("%d training pairs, judged on %d others (%s).", len(chosen), len(val), facts.split)
    return SegmentData(
        train=train.pairs.subset(chosen),
        val=val.pairs,
        palette=palette,
        class_pixels=tuple(pixels.tolist()),
        quarantined=facts.quarantined,
        warnings=tuple(doubts(palette, pixels, known, val)),
    )


def pairs_drawn(n: int, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """The share of ``n`` training pairs that a training is given, and their labels: int64 (k,) each. The labels, by
    which parts of them are balanced, are all the same: a pair is of no class.
    """
    chosen = nested_fraction(n, fraction, seed)
    return chosen, np.zeros_like(chosen)


def take_in_pairs(
    config: SegmentConfig | StudyConfig, source: PairSource, palette: Palette, store: Store, write: bool = True
) -> tuple[CheckedPairs, CheckedPairs, DataFacts]:
    """Training and validation pairs that can be used, and the facts about them, written to data.json."""
    *offered, words = pair_split(source)
    (train, val), facts = _take_in(config, source, palette, offered, words, store, write)
    return train, val, facts


def take_in_training(
    config: SegmentConfig, held_out: int, source: PairSource, palette: Palette, store: Store, write: bool = True
) -> tuple[CheckedPairs, DataFacts]:
    """The same of the training pairs alone, of which a part is to be held out: no validation pair is read."""
    offered, _, _ = pair_split(source)
    words = f"images {held_out_words(held_out, HELD_OUT_PARTS)}"
    (train,), facts = _take_in(config, source, palette, [offered], words, store, write)
    return train, facts


def _take_in(
    config: SegmentConfig | StudyConfig,
    source: PairSource,
    palette: Palette,
    offered: Sequence[PairSet],
    words: str,
    store: Store,
    write: bool,
) -> tuple[list[CheckedPairs], DataFacts]:
    logger.info("%s", source.description)
    set_unpaired_aside(source, config.out / "quarantine.csv", config.strict)
    check = partial(
        store.checked_pairs,
        palette=palette,
        quarantine=config.out / "quarantine.csv",
        strict=config.strict,
        workers=reader_threads(config.workers),
        patience=config.file_seconds,
        nearest=config.nearest_colour,
    )

    def facts_of(train: CheckedPairs, val: CheckedPairs | None = None, *, quarantined: int) -> DataFacts:
        return pair_facts(source, train, val, palette, words, quarantined + len(source.unpaired))

    return take_in(config.out, source.train.images.root, offered, check, facts_of, write)


def set_unpaired_aside(source: PairSource, quarantine: Path, strict: bool) -> None:
    """List the files without a partner in the quarantine file; DataError where ``strict`` and there are any."""
    quarantine_unpaired(source, quarantine)
    if not source.unpaired:
        return
    path, reason = next(iter(source.unpaired.items()))
    told = f"{len(source.unpaired)} file(s) of {source.spec} are in no pair (first: {path}: {reason})"
    if strict:
        raise DataError(f"{told}. All are listed in {quarantine}. Mend or remove them, or run without --strict.")
    logger.warning("%s. They are left out and listed in %s.", told, quarantine)


def refuse_hopeless(palette: Palette, pixels: np.ndarray, val_counts: np.ndarray, config: SegmentConfig) -> None:
    """DataError when the training masks hold fewer than two classes to tell apart, or those for validation none."""
    if not val_counts[:, : palette.n_scored].any():
        which = "validation" if config.held_out is None else "held-out"
        raise DataError(
            f"The {which} masks of {config.data} hold no pixel of a class, only ignored ones: nothing could be "
            f"scored. Check --palette ({palette.name}), or take other pairs for validation."
        )
    outputs = pixels if config.ignored == "learn" else pixels[: palette.n_scored]
    present = [palette.classes[i] for i in np.flatnonzero(outputs)]
    if len(present) < 2:
        found = f"only {present[0]}" if present else "no pixel of a class, only ignored ones"
        raise DataError(
            f"The training masks of {config.data} hold {found}; there is nothing to tell apart. Check --palette "
            f"({palette.name}), or take more pairs (--label-fraction {config.label_fraction:g})."
        )


def doubts(palette: Palette, pixels: np.ndarray, train: CheckedPairs, val: CheckedPairs) -> list[str]:
    """What about the data would make the scores say less than they seem to; each is also logged."""
    found = []
    absent = [palette.classes[i] for i in range(palette.n_scored) if pixels[i] == 0]
    in_val = [palette.classes[i] for i in range(palette.n_scored) if pixels[i] == 0 and val.pixel_counts[:, i].any()]
    if in_val:
        found.append(
            f"No training pixel of {', '.join(in_val)}, which the validation masks have: it cannot be learned."
        )
    elif absent:
        found.append(f"No pixel of {', '.join(absent)} in the training masks.")
    found += [far_words(side.far, len(side), palette) for side in (train, val) if side.far]
    leaks = pair_leaks(train, val)
    if leaks:
        found.append(
            f"{len(leaks)} validation image(s) are among the training images too (such as {leaks[0][1]}): the scores "
            "are too good. headstart data check lists them."
        )
    for words in found:
        logger.warning("%s", words)
    return found
