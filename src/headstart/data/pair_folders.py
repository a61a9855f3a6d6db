"""Folders of images with masks: which layouts there are, and which file belongs to which.

Files are paired by their path below the image and the mask folder, without the ending and without a ``_sat`` at the end
of an image's or a ``_mask`` at the end of a mask's name. Endings count in any capitals, hidden files and folders are
skipped, links are followed once. Nothing is guessed: two images, or two masks, of one name are both left out.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from headstart.data.folders import TRAIN_NAMES, VAL_NAMES, entry, find_images

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "gt")
IMAGE_END, MASK_END = re.compile(r"_sat$", re.IGNORECASE), re.compile(r"_mask$", re.IGNORECASE)


@dataclass(frozen=True)
class FoundPairs:
    """One side of a source: ``images[i]`` (below ``image_root``) belongs to ``masks[i]`` (below ``mask_root``).

    ``every_image`` are all images there, with a mask or without; ``unpaired`` is path -> why it is left out.
    """

    image_root: Path
    mask_root: Path
    images: tuple[str, ...]
    masks: tuple[str, ...]
    every_image: tuple[str, ...]
    unpaired: dict[str, str]
    kind: str
    words: str


@dataclass
class FoundSides:
    """Training pairs, validation pairs if there are some, and notes on what was seen and not used."""

    train: FoundPairs
    val: FoundPairs | None = None
    notes: list[str] = field(default_factory=list)


def find_pairs(folder: Path) -> FoundSides | None:
    """The pairs in ``folder``, by the first layout that fits; None where none has a single pair."""
    for layout in LAYOUTS:
        sides = layout(folder)
        if sides and sides.train.images:
            return sides
    return None


def named_pairs(root: Path) -> FoundPairs:
    """The pairs NAME_sat and NAME_mask below ``root``, at any depth, each in one folder."""
    names = find_images(root)
    images = [name for name in names if IMAGE_END.search(PurePosixPath(name).stem)]
    masks = [name for name in names if MASK_END.search(PurePosixPath(name).stem)]
    found = matched(root, root, images, masks, "named pairs", f"NAME_sat with NAME_mask in {root}")
    either = {*images, *masks}
    others = {str(root / name): "its name ends neither in _sat nor in _mask" for name in names if name not in either}
    found.unpaired.update(others if images and masks else {})
    return found


def folder_pairs(image_root: Path, mask_root: Path) -> FoundPairs:
    """The images below one folder with the masks of the same names below another."""
    words = f"images in {image_root} with masks in {mask_root}"
    return matched(
        image_root, mask_root, find_images(image_root), find_images(mask_root), "image and mask folders", words
    )


def matched(
    image_root: Path, mask_root: Path, images: Iterable[str], masks: Iterable[str], kind: str, words: str
) -> FoundPairs:
    """Pair names by their keys, in the order of the images."""
    images = tuple(images)
    images_of, masks_of = _by_key(images, IMAGE_END), _by_key(masks, MASK_END)
    paired: list[tuple[str, str]] = []
    unpaired: dict[str, str] = {}
    for key in dict.fromkeys([*images_of, *masks_of]):
        ours, theirs = images_of.get(key, []), masks_of.get(key, [])
        if len(ours) == len(theirs) == 1:
            paired.append((ours[0], theirs[0]))
            continue
        unpaired.update({str(image_root / name): _why(ours, theirs, "image", "mask", mask_root) for name in ours})
        unpaired.update({str(mask_root / name): _why(theirs, ours, "mask", "image", image_root) for name in theirs})
    return FoundPairs(
        image_root=image_root,
        mask_root=mask_root,
        images=tuple(image for image, _ in paired),
        masks=tuple(mask for _, mask in paired),
        every_image=images,
        unpaired=unpaired,
        kind=kind,
        words=words,
    )


def _by_key(names: Iterable[str], end: re.Pattern[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        path = PurePosixPath(name)
        found[str(path.with_name(end.sub("", path.stem) or path.stem))].append(name)
    return found


def _why(ours: list[str], theirs: list[str], what: str, partner: str, where: Path) -> str:
    if len(ours) > 1:
        return f"{len(ours)} {what}s have this name ({', '.join(ours)}); keep one"
    if len(theirs) > 1:
        return f"{len(theirs)} {partner}s have its name ({', '.join(theirs)}); keep one"
    return f"no {partner} of its name in {where}"


def _named_layout(folder: Path) -> FoundSides | None:
    """NAME_sat and NAME_mask: in train/ and a validation folder, else anywhere below ``folder``."""
    train = _first_folder(folder, TRAIN_NAMES)
    sides = FoundSides(named_pairs(train)) if train else None
    if sides is None or not sides.train.images:
        return FoundSides(named_pairs(folder))
    for part in _folders(folder, VAL_NAMES):
        _offer(sides, named_pairs(part), part)
    return sides


def _two_folders(folder: Path) -> FoundSides | None:
    """images/ beside masks/; the two sides are folders in each of them, or there is one side only."""
    images = _first_folder(folder, IMAGE_FOLDERS)
    for masks in _folders(folder, MASK_FOLDERS) if images else []:
        assert images
        train, mask_train = (_first_folder(root, TRAIN_NAMES) for root in (images, masks))
        whole = folder_pairs(images, masks) if not (train and mask_train) else folder_pairs(train, mask_train)
        sides = FoundSides(whole)
        if train and mask_train:
            _offer_folders(sides, _folders(images, VAL_NAMES), masks)
        if sides.train.images:
            return sides
    return None


def _folders_in_sides(folder: Path) -> FoundSides | None:
    """train/images beside train/masks, and the validation folder alike."""
    train = _first_folder(folder, TRAIN_NAMES)
    sides = _two_folders(train) if train else None
    if sides is None:
        return None
    for part in _folders(folder, VAL_NAMES):
        images, masks = _first_folder(part, IMAGE_FOLDERS), _folders(part, MASK_FOLDERS)
        if images and masks:
            _offer(sides, folder_pairs(images, masks[0]), part)
        elif find_images(part):
            sides.notes.append(f"{part}: images without masks, not used")
    return sides


def _masks_apart(folder: Path) -> FoundSides | None:
    """train/ with its masks in masks/train/, and the validation folder alike."""
    train = _first_folder(folder, TRAIN_NAMES)
    for masks in _folders(folder, MASK_FOLDERS) if train else []:
        mask_train = _first_folder(masks, TRAIN_NAMES)
        if train and mask_train:
            sides = FoundSides(folder_pairs(train, mask_train))
            _offer_folders(sides, _folders(folder, VAL_NAMES), masks)
            return sides
    return None


LAYOUTS = (_named_layout, _two_folders, _folders_in_sides, _masks_apart)


def _offer_folders(sides: FoundSides, parts: list[Path], masks: Path) -> None:
    """Offer the validation images of each of ``parts`` with those in the folder of that name in ``masks``."""
    for part in parts:
        beside = entry(masks, part.name.lower())
        if beside and beside.is_dir():
            _offer(sides, folder_pairs(part, beside), part)
        elif find_images(part):
            sides.notes.append(f"{part}: images without masks, not used")


def _offer(sides: FoundSides, found: FoundPairs, part: Path) -> None:
    """Take ``found`` for validation where it has pairs and there are none yet; else note what is not used."""
    if found.images and sides.val is None:
        sides.val = found
    elif found.images:
        sides.notes.append(f"{part}: {len(found.images)} further pairs, not used")
    elif found.every_image:
        sides.notes.append(f"{part}: {len(found.every_image)} images without masks, not used")


def _folders(folder: Path, names: Iterable[str]) -> list[Path]:
    found = (entry(folder, name) for name in names)
    return [path for path in found if path and path.is_dir()]


def _first_folder(folder: Path, names: Iterable[str]) -> Path | None:
    return next(iter(_folders(folder, names)), None)
