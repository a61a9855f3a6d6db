"""Every pair looked at once before anyone trains: what cannot be used, and what the rest holds."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from headstart.data.decode import DecodeError, quarantine
from headstart.data.imageset import ImageSet, fingerprint
from headstart.data.masks import read_labels
from headstart.data.measure import Measured, measured
from headstart.data.pairs import PairSet, PairSource
from headstart.data.palettes import Colour, Palette
from headstart.data.rasters import read_image
from headstart.data.threads import PATIENCE_SECONDS, read_in_threads
from headstart.errors import DataError
from headstart.results import DataFacts

logger = logging.getLogger(__name__)

SHOWN_FOREIGN = 20
COUNTED_FOREIGN = 1000
"""Foreign colours of one mask that are counted one by one; a photograph in place of a mask has more."""


@dataclass(frozen=True, eq=False)
class CheckedPairs:
    """Pairs that can be used, and what they hold: row i is pair i.

    ``pixel_counts`` int64 (n, len(palette.classes)); ``sizes`` int64 (n, 2), height and width; ``digests`` of the
    images' decoded pixels; ``channel_sums`` and ``channel_squares`` float64 (n, 3), of values in [0, 1].
    """

    pairs: PairSet
    pixel_counts: np.ndarray
    sizes: np.ndarray
    digests: tuple[str, ...]
    channel_sums: np.ndarray
    channel_squares: np.ndarray
    far: tuple[str, ...] = ()
    """Masks whose colours are far from those the palette's threshold reads them as (``Palette.is_far``)."""

    def __len__(self) -> int:
        return len(self.pairs)

    def subset(self, indices: np.ndarray) -> "CheckedPairs":
        """The pairs at ``indices``, in that order."""
        pairs = self.pairs.subset(indices)
        return CheckedPairs(
            pairs=pairs,
            pixel_counts=self.pixel_counts[indices],
            sizes=self.sizes[indices],
            digests=tuple(self.digests[i] for i in indices),
            channel_sums=self.channel_sums[indices],
            channel_squares=self.channel_squares[indices],
            far=tuple(name for name in pairs.masks.names if name in set(self.far)),
        )


@dataclass(frozen=True)
class _Look:
    """Of one pair: what is wrong with its image or its mask (one line), foreign colours, or what it holds."""

    image_reason: str | None = None
    mask_reason: str | None = None
    foreign: Counter[Colour | int] | None = None
    image: Measured | None = None
    counts: np.ndarray | None = None
    far: bool = False


def check_pairs(
    pairs: PairSet,
    palette: Palette,
    quarantine_file: Path,
    strict: bool,
    workers: int,
    nearest: bool = False,
    patience: float = PATIENCE_SECONDS,
) -> CheckedPairs:
    """``inspect_pairs``, for those who go on with what is left, which the log tells.

    DataError where ``strict`` and a pair cannot be used, and where none is left.
    """
    checked, failures = inspect_pairs(pairs, palette, quarantine_file, workers, nearest, patience)
    if not pairs:
        raise DataError("There are no pairs of an image and a mask.")
    if failures:
        told = f"{len(failures)} of {len(pairs)} pairs cannot be used (first: {failures[0]})"
        if strict:
            remedy = "Mend or remove them, or run without --strict"
            raise DataError(f"{told}. All are listed in {quarantine_file}. {remedy}.")
        if not len(checked):
            raise DataError(f"{told}, so none is left. All are listed in {quarantine_file}.")
        logger.warning("%s. They are left out and listed in %s.", told, quarantine_file)
    return checked


def inspect_pairs(
    pairs: PairSet,
    palette: Palette,
    quarantine_file: Path,
    workers: int,
    nearest: bool = False,
    patience: float = PATIENCE_SECONDS,
    progress: Callable[[int], None] | None = None,
) -> tuple[CheckedPairs, list[str]]:
    """Decode every image and mask once: the pairs that can be used, in their order, with what they hold, and a line on
    each of the others (path: reason).

    Those are the pairs whose image or mask cannot be decoded, or whose sizes differ; they are also written to
    ``quarantine_file``. ``workers`` threads decode; ``progress(done)`` is called in this thread. Raises DataError when
    masks have colours (or values) outside the palette, with all of them over all masks; MachineError where a pair has
    not come after ``patience`` seconds.
    """
    looks: list[_Look] = []
    look_at = partial(_look, pairs, palette, nearest)
    for _, look in read_in_threads(look_at, range(len(pairs)), workers, patience, named=pairs.words):
        looks.append(look.result())
        if progress is not None:
            progress(len(looks))
    failures = _quarantine(quarantine_file, pairs, looks)
    foreign = [look.foreign for look in looks if look.foreign]
    if foreign:
        raise DataError(_foreign_words(foreign, palette, pairs.masks, nearest))
    kept = [i for i, look in enumerate(looks) if look.counts is not None]
    images = [image for i in kept if (image := looks[i].image) is not None]
    counts = np.array([looks[i].counts for i in kept], dtype=np.int64).reshape(-1, len(palette.classes))
    checked = CheckedPairs(
        pairs=pairs.subset(kept),
        pixel_counts=counts,
        sizes=np.array([image.size for image in images], dtype=np.int64).reshape(-1, 2),
        digests=tuple(image.digest for image in images),
        channel_sums=np.array([image.sums for image in images]).reshape(-1, 3),
        channel_squares=np.array([image.squares for image in images]).reshape(-1, 3),
        far=tuple(pairs.masks.names[i] for i in kept if looks[i].far),
    )
    if checked.far:
        logger.warning("%s", far_words(checked.far, len(pairs), palette))
    return checked, failures


def pair_facts(
    source: PairSource, train: CheckedPairs, val: CheckedPairs | None, palette: Palette, words: str, quarantined: int
) -> DataFacts:
    """What the source held, its classes counted in pixels, the ignored class last. ``words`` say how it was divided;
    without ``val``, nobody looked at the validation side.

    The fingerprint depends on the palette, too: the same masks mean something else by another one.
    """
    looked_at = [checked for checked in (train, val) if checked is not None]
    sides = [side for checked in looked_at for side in (checked.pairs.images, checked.pairs.masks)]
    return DataFacts(
        spec=source.spec,
        kind=source.kind,
        description=source.description,
        classes=list(palette.classes),
        train_counts=train.pixel_counts.sum(axis=0).tolist(),
        val_counts=[] if val is None else val.pixel_counts.sum(axis=0).tolist(),
        counted="pixels",
        n_train=len(train),
        n_val=0 if val is None else len(val),
        n_unlabelled=0,
        quarantined=quarantined,
        split=words,
        provenance=source.provenance,
        fingerprint=hashlib.sha256(f"{fingerprint(sides, ())}{json.dumps(palette.to_dict())}".encode()).hexdigest(),
    )


def pair_leaks(train: CheckedPairs, val: CheckedPairs) -> list[tuple[str, str]]:
    """The validation images whose pixels equal those of a training image: (path of the first such one, its path)."""
    first: dict[str, int] = {}
    for i, digest in enumerate(train.digests):
        first.setdefault(digest, i)
    return [
        (str(train.pairs.images.path(first[digest])), str(val.pairs.images.path(i)))
        for i, digest in enumerate(val.digests)
        if digest in first
    ]


def quarantine_unpaired(source: PairSource, quarantine_file: Path) -> None:
    """Write the files that are in no pair to the quarantine file, beside what is there."""
    if source.unpaired:
        quarantine(quarantine_file, ImageSet(Path(), tuple(source.unpaired)), source.unpaired)


def far_words(far: Sequence[str], n_masks: int, palette: Palette) -> str:
    """What to say of masks that a threshold reads, though their colours are others."""
    return (
        f"{len(far)} of {n_masks} masks have many pixels far from the colours of the palette {palette.name} (first: "
        f"{far[0]}). They were read by its threshold of {palette.threshold}: check that it is the masks' palette."
    )


def _look(pairs: PairSet, palette: Palette, nearest: bool, i: int) -> _Look:
    try:
        image = read_image(pairs.images.path(i))
    except DecodeError as error:
        return _Look(image_reason=error.reason)
    path = pairs.masks.path(i)
    try:
        labels = read_labels(path)
    except DecodeError as error:
        return _Look(mask_reason=error.reason)
    if labels.shape[:2] != image.shape[:2]:
        sizes = [f"{width} x {height}" for height, width in (image.shape[:2], labels.shape[:2])]
        return _Look(image_reason=f"it has {sizes[0]} pixels and its mask {path.name} has {sizes[1]}")
    try:
        indices = palette.to_indices(labels, nearest)
    except DataError:
        found = palette.foreign(labels)
        return _Look(foreign=Counter(dict(list(found.items())[:COUNTED_FOREIGN])))
    counts = np.bincount(indices.reshape(-1), minlength=len(palette.classes))
    return _Look(image=measured(image), counts=counts, far=palette.is_far(labels))


def _quarantine(file: Path, pairs: PairSet, looks: list[_Look]) -> list[str]:
    """Write what is wrong with images and masks to the quarantine file; a line on each (path: reason)."""
    of_images = {pairs.images.names[i]: look.image_reason for i, look in enumerate(looks) if look.image_reason}
    of_masks = {pairs.masks.names[i]: look.mask_reason for i, look in enumerate(looks) if look.mask_reason}
    quarantine(file, pairs.images, of_images)
    quarantine(file, pairs.masks, of_masks)
    return [
        f"{side.root / name}: {reason}"
        for side, reasons in ((pairs.images, of_images), (pairs.masks, of_masks))
        for name, reason in reasons.items()
    ]


def _foreign_words(foreign: list[Counter[Colour | int]], palette: Palette, masks: ImageSet, nearest: bool) -> str:
    pixels: Counter[Colour | int] = Counter()
    files: Counter[Colour | int] = Counter()
    for found in foreign:
        pixels.update(found)
        files.update(found.keys())
    numbers = [each for each in pixels if isinstance(each, int)]
    what = "value(s)" if len(numbers) == len(pixels) else "colour(s)" if not numbers else "colour(s) or value(s)"
    shown = ", ".join(
        f"{each if isinstance(each, int) else list(each)} ({count} px in {files[each]} masks)"
        for each, count in pixels.most_common(SHOWN_FOREIGN)
    )
    more = f", and {len(pixels) - SHOWN_FOREIGN} more" if len(pixels) > SHOWN_FOREIGN else ""
    remedy = "Give the palette that belongs to these masks (--palette NAME or FILE.yaml)"
    if len(numbers) < len(pixels) and not nearest:
        remedy += ", or read each of these colours as the nearest one in the palette (--nearest-colour)"
    return (
        f"{len(foreign)} of {len(masks)} masks in {masks.root} have {len(pixels)} {what} that the palette "
        f"{palette.name} does not know: {shown}{more}. {remedy}."
    )
