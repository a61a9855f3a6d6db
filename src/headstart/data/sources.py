"""What ``--data`` can be: detected, and said aloud in ``Source.description``.

=====================  ================================================================================================
``PATH``               a folder: train/val pair, CSV, class folders or unlabelled images, whichever is found first
``PATH`` with pairs    of images and masks (``pairs.py``), and no CSV of labelled images: the images, never the masks
``PATH/train.csv``     a CSV beside its image folder; a val.csv (validation, valid, test) beside it is used too
``folder:PATH``        all images below PATH, without labels
``classes:PATH``       each folder of PATH is a class (or of PATH/train and PATH/val)
``csv:PATH``           this CSV alone, without the val.csv beside it
``demo:bluemarble``    the embedded data; ``demo:bluemarble:48`` with tiles of 48 pixels
``demo:landcover``     the same at 512 pixels, without labels (as pairs of images and masks, see ``pairs.py``)
=====================  ================================================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from headstart.data import bluemarble
from headstart.data.csv_source import lists_images, read_csv, why_unread
from headstart.data.folders import (
    TRAIN_NAMES,
    VAL_NAMES,
    Found,
    class_order,
    entry,
    find_images,
    provenance_in,
    read_class_folders,
    read_folder,
    read_unlabelled,
    source_path,
    unread_words,
)
from headstart.data.imageset import ImageSet, class_counts, fingerprint
from headstart.data.pair_csv import lists_pairs
from headstart.data.pairs import PairSource, has_pairs, open_pairs, pair_split
from headstart.data.splits import stratified_holdout
from headstart.errors import DataError
from headstart.results import DataFacts

__all__ = ["ImageSet", "Source", "data_facts", "labelled_split", "open_source", "unlabelled_images"]

Kind = Literal["folder", "class folders", "csv", "pairs", "demo"]

REMEDY = (
    "A source is a folder of images, a folder of class folders, a CSV (id,filename,label) beside its image folder, "
    "a folder with a train/val pair of any of these, a source of image/mask pairs, or demo:bluemarble."
)


SHOWN_TABLES = 3


@dataclass(frozen=True)
class Source:
    """Images found at ``spec``. ``classes`` is empty, and the sets have no labels, where it is unlabelled.

    ``description`` is one line on what was detected; ``split`` says how train and val were divided ("" without val);
    ``provenance`` is the text of a PROVENANCE.md in the source's folder.
    """

    spec: str
    kind: Kind
    description: str
    classes: tuple[str, ...]
    train: ImageSet
    val: ImageSet | None
    provenance: str = ""
    split: str = ""


def open_source(spec: str) -> Source:
    """Find out what ``spec`` is and list its images; no image is read. DataError with the remedy where nothing fits."""
    prefix, _, rest = spec.partition(":")
    if prefix == "demo":
        return _open_demo(spec, rest)
    forced = prefix in READERS and bool(rest)
    path = source_path(rest if forced else spec, REMEDY)
    if forced and (prefix == "csv") != path.is_file():
        raise DataError(f"{prefix}:{rest}: {path} is a {'file' if path.is_file() else 'folder'}. {REMEDY}")
    if _reads_as_pairs(path, prefix if forced else ""):
        return _images_of(open_pairs(spec))
    train, val = READERS[prefix](path) if forced else (_detect_csv(path) if path.is_file() else _detect(path))
    return _source(spec, path if path.is_dir() else path.parent, train, val)


def _open_demo(spec: str, rest: str) -> Source:
    name, _, tile = rest.partition(":")
    if rest == "landcover":
        return _images_of(open_pairs(spec))
    if name != "bluemarble" or (tile and not tile.isdecimal()):
        raise DataError(
            f"There is no {spec}. The embedded data is demo:bluemarble, demo:bluemarble:TILE in pixels, or "
            "demo:landcover."
        )
    tile_size = int(tile) if tile else bluemarble.DEFAULT_TILE_SIZE
    opened = open_source(str(bluemarble.cached_bluemarble(tile_size)))
    n_val = len(opened.val) if opened.val else 0
    description = (
        f"Blue Marble tiles of {tile_size} pixels with {len(opened.classes)} main climate groups: "
        f"{len(opened.train)} for training and {n_val} for validation, from {opened.train.root.parent}"
    )
    return replace(opened, spec=spec, kind="demo", description=description, split=bluemarble.SPLIT_WORDS)


def _reads_as_pairs(path: Path, forced: str) -> bool:
    """Whether a path holds pairs, of which the images are read. A CSV of labelled images says otherwise, and so does a
    prefix, but for csv: before a CSV of pairs.
    """
    if path.is_file():
        return lists_pairs(path) and not lists_images(path)
    return not forced and not any(lists_images(file) for file in path.glob("*.csv")) and has_pairs(str(path))


def _images_of(pairs: PairSource) -> Source:
    """The images of a source of pairs, those without a mask too, unlabelled.

    Where there is no validation side, the images that ``pair_split`` holds out are set apart here too: what is
    pre-trained on these images must not have seen what a segmentation is judged by.
    """
    (train, val), split = pairs.every_image, pairs.split
    if val is None and len(pairs.train) > 1:
        _, held_out, split = pair_split(pairs)
        val = held_out.images
        train = train.without(frozenset(val.names))
    return Source(
        spec=pairs.spec,
        kind="demo" if pairs.kind == "demo" else "pairs",
        description=f"{len(train)} images, their masks are not read: {pairs.description}",
        classes=(),
        train=train,
        val=val,
        provenance=pairs.provenance,
        split=split,
    )


Pair = tuple[Found, Found | None]


def _detect(folder: Path) -> Pair:
    train = _part(folder, TRAIN_NAMES)
    val = _part(folder, VAL_NAMES)
    if train and (val or train.is_file()):
        return _read(train), _read(val) if val else None
    if train and len(find_images(train)) == len(find_images(folder)) > 0:
        return _read(train), None
    lists = [file for file in sorted(folder.glob("*.csv")) if lists_images(file)]
    if len(lists) > 1:
        raise DataError(
            f"{folder} has several CSV files that list images: {', '.join(file.name for file in lists)}. "
            f"Name one of them ({lists[0]}), or write folder:{folder} to read all images without labels."
        )
    return (read_csv(lists[0]) if lists else _noting_tables(read_folder(folder), folder)), None


def _noting_tables(found: Found, folder: Path) -> Found:
    """``found``, whose words also say which CSV files in ``folder`` are not read, and why."""
    tables = sorted(folder.glob("*.csv"))
    told = [f"{file.name} is not used: {why_unread(file).rstrip('.')}" for file in tables[:SHOWN_TABLES]]
    told += [f"nor are {len(tables) - SHOWN_TABLES} more CSV files"] * (len(tables) > SHOWN_TABLES)
    return replace(found, words="; ".join([found.words, *told]))


def _detect_csv(file: Path) -> Pair:
    val = None
    if file.stem.lower() in TRAIN_NAMES:
        val = next((part for name in VAL_NAMES if (part := entry(file.parent, f"{name}.csv"))), None)
    return read_csv(file), read_csv(val) if val else None


def _part(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The CSV, else the folder with images, that is first among ``names``, whatever its capitals."""
    for name in names:
        table, images = entry(folder, f"{name}.csv"), entry(folder, name)
        if table and table.is_file():
            return table
        if images and images.is_dir() and find_images(images):
            return images
    return None


def _read(path: Path) -> Found:
    return read_csv(path) if path.is_file() else read_folder(path)


def _forced_classes(folder: Path) -> Pair:
    """Class folders of train/ and val/ where both hold folders and no loose images; else of ``folder`` itself."""
    parts = [entry(folder, name) for name in (*TRAIN_NAMES, *VAL_NAMES)]
    train, val = (
        next((part for part in some if part and all("/" in name for name in find_images(part) or ("",))), None)
        for some in (parts[: len(TRAIN_NAMES)], parts[len(TRAIN_NAMES) :])
    )
    if train and val:
        return read_class_folders(train), read_class_folders(val)
    return read_class_folders(folder), None


READERS: dict[str, Callable[[Path], Pair]] = {
    "folder": lambda path: (read_unlabelled(path), None),
    "classes": _forced_classes,
    "csv": lambda path: (read_csv(path), None),
}
"""Prefix of a spec -> how it forces the path to be read."""


def _source(spec: str, folder: Path, train: Found, val: Found | None) -> Source:
    notes = []
    if val and val.labels is None and train.labels is not None:
        notes.append(f"{val.words}: no labels, so they are not used")
        val = None
    notes += _not_used([found for found in (train, val) if found])
    classes = class_order(train.labels or ())
    train_set = _image_set(train, classes)
    val_set = _val_set(val, classes, train.labels is not None) if val else None
    told = f"{len(train_set)} images" + (f" of {len(classes)} classes" if classes else "") + f": {train.words}"
    if val and val_set:
        told += f"; validation: {len(val_set)} images: {val.words}"
    return Source(
        spec=spec,
        kind=_kind(train),
        description="; ".join([told, *notes]),
        classes=classes,
        train=train_set,
        val=val_set,
        provenance=provenance_in(folder),
        split="train and validation images as the source gives them" if val_set else "",
    )


def _not_used(sides: list[Found]) -> list[str]:
    """What lies beside the images and is not read: images that a CSV does not list, pictures of other formats."""
    notes = []
    listed = {side.root / name for side in sides for name in side.names}
    for root in dict.fromkeys(side.root for side in sides):
        others = [name for name in find_images(root) if root / name not in listed]
        if others:
            notes.append(f"{len(others)} image(s) in {root} are not listed, so they are not used (such as {others[0]})")
        notes += unread_words(root)
    return notes


def _kind(found: Found) -> Kind:
    kinds: dict[str, Kind] = {"folder": "folder", "class folders": "class folders", "csv": "csv"}
    return kinds[found.kind]


def _image_set(found: Found, classes: tuple[str, ...]) -> ImageSet:
    index = {name: i for i, name in enumerate(classes)}
    labels = None if found.labels is None else tuple(index[label] for label in found.labels)
    return ImageSet(found.root, found.names, labels)


def _val_set(found: Found, classes: tuple[str, ...], labelled: bool) -> ImageSet:
    if not labelled or found.labels is None:
        return ImageSet(found.root, found.names)
    foreign = [name for name in class_order(found.labels) if name not in classes]
    if foreign:
        shown = ", ".join(foreign[:10]) + (", ..." if len(foreign) > 10 else "")
        raise DataError(
            f"The validation images ({found.words}) have {len(foreign)} class(es) that no training image has: {shown}. "
            "Give both the same classes; csv:PATH or classes:PATH opens the training images alone."
        )
    return _image_set(found, classes)


def unlabelled_images(source: Source) -> ImageSet:
    """The training images, their labels (if any) forgotten."""
    return source.train.unlabelled()


def can_hold_out(source: Source) -> bool:
    """Whether there are two classes or more, and images enough to hold some of them out."""
    labels = source.train.labels
    return labels is not None and len(source.classes) > 1 and len(labels) > len(set(labels))


def offered_images(source: Source) -> tuple[ImageSet, ImageSet | None, str]:
    """The images to pre-train on, those to keep out of it where there are some, and words on how they were divided.

    Labelled images that a study would hold out for validation are held out here too: what pre-training has seen must
    not be what the study judges by.
    """
    if source.val is None and can_hold_out(source):
        return labelled_split(source)
    return source.train, source.val, source.split


def labelled_split(source: Source, seed: int = 0, val_fraction: float = 0.2) -> tuple[ImageSet, ImageSet, str]:
    """Training and validation images, both labelled, and words on how they were divided.

    The source's own validation images where it has them, else ``val_fraction`` of each class held out (the same images
    for the same ``seed``). DataError without labels, or with one class only.
    """
    if source.train.labels is None:
        raise DataError(
            f"{source.spec} has no labels ({source.description}). Put each class into its own folder (two or more) and "
            "write classes:PATH, or list the images in a CSV with the columns id,filename,label."
        )
    if len(source.classes) < 2:
        raise DataError(f"{source.spec} has one class only ({source.classes[0]}); there is nothing to tell apart.")
    if source.val is not None:
        return source.train, source.val, source.split
    train, val = stratified_holdout(source.train.labels, val_fraction, seed)
    if not len(val):
        raise DataError(f"{source.spec} has one image in each class: none can be held out for validation.")
    words = f"{val_fraction:.0%} of each class held out for validation (stratified, seed {seed})"
    return source.train.subset(train), source.train.subset(val), words


def data_facts(
    source: Source,
    train: ImageSet | None = None,
    val: ImageSet | None = None,
    split: str | None = None,
    *,
    quarantined: int = 0,
) -> DataFacts:
    """What the source held. Give ``train``, ``val`` and ``split`` of ``labelled_split`` (or after the check of the
    images) to tell those; without ``train`` they are the source's own.

    ``n_train`` and ``n_val`` count all images of either set; ``n_unlabelled`` those of both without a label. The
    fingerprint is a SHA-256 of names, sizes in bytes and class names; no image is read.
    """
    if train is None:
        train, val = source.train, source.val
    sets = [images for images in (train, val) if images is not None]
    return DataFacts(
        spec=source.spec,
        kind=source.kind,
        description=source.description,
        classes=list(source.classes),
        train_counts=class_counts(train, source.classes),
        val_counts=class_counts(val, source.classes),
        n_train=len(train),
        n_val=len(val) if val else 0,
        n_unlabelled=sum(len(images) for images in sets if images.labels is None),
        quarantined=quarantined,
        split=source.split if split is None else split,
        provenance=source.provenance,
        fingerprint=fingerprint(sets, source.classes),
    )
