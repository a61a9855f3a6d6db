"""Sources of image/mask pairs: what ``--data`` can be for segmentation, detected and said aloud.

=====================  ================================================================================================
``PATH``               a folder: a CSV of pairs, NAME_sat with NAME_mask, or image and mask folders, with a validation
                       side or without (docs/reference/segmentation-data.md has all layouts)
``PATH/train.csv``     a CSV with the columns image and mask; a val.csv (validation, valid, test) beside it is used too
``csv:PATH``           this CSV alone
``demo:bluemarble``    the embedded imagery with climate groups; ``demo:bluemarble:48`` with tiles of 48 pixels
``demo:landcover``     the same at 512 pixels, in the layout and colours of DeepGlobe
=====================  ================================================================================================
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, SupportsIndex

from headstart.data import bluemarble
from headstart.data.folders import TRAIN_NAMES, VAL_NAMES, entry, find_images, provenance_in, source_path
from headstart.data.imageset import ImageSet
from headstart.data.pair_csv import lists_pairs, read_pair_csv
from headstart.data.pair_folders import FoundPairs, FoundSides, find_pairs
from headstart.data.splits import shuffled
from headstart.errors import DataError

PairKind = Literal["named pairs", "image and mask folders", "csv of pairs", "demo"]

LAYOUTS = (
    "Pairs are NAME_sat.jpg with NAME_mask.png in one folder; images/ beside masks/ with equal names (or train/images "
    "beside train/masks, images/train beside masks/train, train/ beside masks/train); a CSV with the columns image and "
    "mask; demo:bluemarble; or demo:landcover. See docs/reference/segmentation-data.md."
)
LEAK_WORDS = "tiles that lie side by side can be on both sides, which makes the scores look better than they are"
SHOWN_REASONS = 3


@dataclass(frozen=True)
class PairSet:
    """Images and their masks: ``masks.path(i)`` is the mask of ``images.path(i)``."""

    images: ImageSet
    masks: ImageSet

    def __post_init__(self) -> None:
        if len(self.images) != len(self.masks):
            raise ValueError(f"{len(self.images)} images but {len(self.masks)} masks")

    def __len__(self) -> int:
        return len(self.images)

    def words(self, i: int) -> str:
        """The files of pair ``i``."""
        return f"{self.images.path(i)} or its mask {self.masks.path(i)}"

    def subset(self, indices: Iterable[SupportsIndex]) -> "PairSet":
        """The pairs at ``indices``, in that order."""
        chosen = [int(i) for i in indices]
        return PairSet(self.images.subset(chosen), self.masks.subset(chosen))

    def without(self, image_names: Container[str]) -> "PairSet":
        """All pairs but those whose image is called one of ``image_names``, in order."""
        return self.subset(i for i, name in enumerate(self.images.names) if name not in image_names)


@dataclass(frozen=True)
class PairSource:
    """Pairs found at ``spec``. ``description`` is one line on what was detected; ``palette`` names the palette that the
    layout implies for masks of colours, if any; ``unpaired`` is path -> why the file is in no pair.

    ``folder`` is where the source lies (and its palette.yaml, if any); ``every_image`` are the images of the training
    and of the validation side, with a mask or without.
    """

    spec: str
    kind: PairKind
    description: str
    train: PairSet
    val: PairSet | None
    folder: Path
    every_image: tuple[ImageSet, ImageSet | None]
    provenance: str = ""
    split: str = ""
    palette: str | None = None
    unpaired: dict[str, str] = field(default_factory=dict)


def open_pairs(spec: str) -> PairSource:
    """Find out what ``spec`` is and list its pairs; no image is read. DataError with the layouts where nothing fits."""
    prefix, _, rest = spec.partition(":")
    if prefix == "demo":
        return _open_demo(spec, rest)
    if prefix in ("folder", "classes") and rest:
        raise DataError(f"{spec} reads images without masks; for pairs give the path alone. {LAYOUTS}")
    path = source_path(spec.removeprefix("csv:"), LAYOUTS)
    if path.is_dir() and prefix == "csv":
        raise DataError(f"{spec}: {path} is a folder, not a CSV. {LAYOUTS}")
    sides = _detect(path, alone=prefix == "csv")
    if sides is None or not sides.train.images:
        raise DataError(f"{path} holds no pair of an image and a mask{_what_is_there(path, sides)}. {LAYOUTS}")
    return _source(spec, path if path.is_dir() else path.parent, sides)


def has_pairs(spec: str) -> bool:
    """Whether ``open_pairs`` would find pairs at ``spec``, or a CSV that means to list some."""
    prefix, _, rest = spec.partition(":")
    if prefix == "demo":
        return rest.partition(":")[0] in ("bluemarble", "landcover")
    if prefix in ("folder", "classes"):
        return False
    try:
        path = source_path(spec.removeprefix("csv:"), LAYOUTS)
    except DataError:
        return False
    if path.is_dir():
        return _listed(path) is not None or find_pairs(path) is not None
    return lists_pairs(path)


def pair_split(source: PairSource, seed: int = 0, val_fraction: float = 0.2) -> tuple[PairSet, PairSet, str]:
    """Training and validation pairs, and words on how they were divided.

    The source's own validation pairs where it has them, else ``val_fraction`` of the pairs held out at random: the same
    ones for the same ``seed``. At least one pair is on either side; DataError with fewer than two.
    """
    if source.val is not None:
        return source.train, source.val, source.split
    n = len(source.train)
    if n < 2:
        raise DataError(f"{source.spec} has {n} pair only: none can be held out for validation. Add pairs.")
    order = shuffled(n, seed, "pair holdout")
    held_out = min(max(1, round(val_fraction * n)), n - 1)
    words = f"{val_fraction:.0%} of the pairs held out for validation at random (seed {seed}); {LEAK_WORDS}"
    return source.train.subset(sorted(order[held_out:])), source.train.subset(sorted(order[:held_out])), words


def _open_demo(spec: str, rest: str) -> PairSource:
    from headstart.data.landcover import cached_landcover  # imports the palettes and the decoder

    name, _, tile = rest.partition(":")
    if name == "landcover" and not tile:
        opened = open_pairs(str(cached_landcover()))
        words = "Blue Marble tiles with main climate groups, in the layout and colours of DeepGlobe, 512 pixels"
    elif name == "bluemarble" and (not tile or tile.isdecimal()):
        tile_size = int(tile) if tile else bluemarble.DEFAULT_TILE_SIZE
        opened = replace(open_pairs(str(bluemarble.cached_bluemarble(tile_size))), palette="bluemarble")
        words = f"Blue Marble tiles of {tile_size} pixels with main climate groups"
    else:
        raise DataError(
            f"There is no {spec}. The embedded data is demo:bluemarble, demo:bluemarble:TILE in pixels, or "
            "demo:landcover."
        )
    n_val = len(opened.val) if opened.val else 0
    told = f"{words}: {len(opened.train)} pairs for training and {n_val} for validation, from {opened.folder}"
    return replace(opened, spec=spec, kind="demo", description=told, split=bluemarble.SPLIT_WORDS)


def _detect(path: Path, alone: bool) -> FoundSides | None:
    if path.is_dir():
        file = _listed(path)
        return _of_csv(file, alone=False) if file else find_pairs(path)
    return _of_csv(path, alone)


def _listed(folder: Path) -> Path | None:
    """The CSV of pairs in ``folder``: train.csv, or the only one. DataError where there are several others."""
    train = next((file for name in TRAIN_NAMES if (file := entry(folder, f"{name}.csv")) and lists_pairs(file)), None)
    lists = [train] if train else [file for file in sorted(folder.glob("*.csv")) if lists_pairs(file)]
    if len(lists) > 1:
        raise DataError(
            f"{folder} has several CSV files that list pairs: {', '.join(file.name for file in lists)}. "
            f"Name one of them ({lists[0]})."
        )
    return lists[0] if lists else None


def _of_csv(file: Path, alone: bool) -> FoundSides:
    sides = FoundSides(read_pair_csv(file))
    if alone or file.stem.lower() not in TRAIN_NAMES:
        return sides
    beside = (entry(file.parent, f"{name}.csv") for name in VAL_NAMES)
    val = next((part for part in beside if part and lists_pairs(part)), None)
    if val and (found := read_pair_csv(val)).images:
        sides.val = found
    return sides


def _source(spec: str, folder: Path, sides: FoundSides) -> PairSource:
    train, val = sides.train, sides.val
    unpaired = {**train.unpaired, **(val.unpaired if val else {})}
    told = f"{len(train.images)} pairs: {train.words}"
    if val:
        told += f"; validation: {len(val.images)} pairs: {val.words}"
    if unpaired:
        path, reason = next(iter(unpaired.items()))
        sides.notes.append(f"{len(unpaired)} file(s) in no pair (such as {path}: {reason})")
    kinds: dict[str, PairKind] = {
        "named pairs": "named pairs",
        "image and mask folders": "image and mask folders",
        "csv of pairs": "csv of pairs",
    }
    return PairSource(
        spec=spec,
        kind=kinds[train.kind],
        description="; ".join([told, *sides.notes]),
        train=_pair_set(train),
        val=_pair_set(val) if val else None,
        folder=folder,
        every_image=(_every(train), _every(val) if val else None),
        provenance=provenance_in(folder),
        split="train and validation pairs as the source gives them" if val else "",
        palette="deepglobe" if train.kind == "named pairs" else None,
        unpaired=unpaired,
    )


def _pair_set(found: FoundPairs) -> PairSet:
    return PairSet(ImageSet(found.image_root, found.images), ImageSet(found.mask_root, found.masks))


def _every(found: FoundPairs) -> ImageSet:
    return ImageSet(found.image_root, found.every_image)


def _what_is_there(path: Path, sides: FoundSides | None) -> str:
    """Why nothing was found, as far as one can see: nothing there, or files that do not match."""
    if sides and sides.train.unpaired:
        reasons = list(sides.train.unpaired.items())[:SHOWN_REASONS]
        return " (" + "; ".join(f"{path}: {reason}" for path, reason in reasons) + ")"
    if path.is_dir():
        names = find_images(path)
        shown = ", ".join(names[:SHOWN_REASONS]) + (", ..." if len(names) > SHOWN_REASONS else "")
        return f" ({len(names)} image files below it: {shown})" if names else " (no image files at all)"
    return ""
