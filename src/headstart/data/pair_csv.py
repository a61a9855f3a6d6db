"""CSV files that list pairs: the columns ``image`` and ``mask``, others are ignored."""

from pathlib import Path

from headstart.data.csv_source import csv_lines, folder_of, has_columns, header_of, relative_name, require_single
from headstart.data.imageset import is_file
from headstart.data.pair_folders import FoundPairs
from headstart.errors import DataError

IMAGE, MASK = "image", "mask"


def lists_pairs(file: Path) -> bool:
    """Whether ``file`` is a readable CSV with the columns image and mask."""
    return has_columns(file, IMAGE, MASK)


def read_pair_csv(file: Path) -> FoundPairs:
    """The pairs a CSV lists, in its order; UTF-8 with a header, as ``read_csv`` takes it.

    Images are looked for in the CSV's own folder, the one called like the CSV, and ``images``; masks in the CSV's own,
    ``masks``, ``masks/`` and the CSV's name, and the one called like the CSV; the folder that holds most is taken. A
    pair whose image or mask is missing, or not given, is unpaired. DataError for anything that cannot be read as meant,
    such as an image that is listed with two masks.
    """
    rows = _rows(file)
    beside, folder = file.with_suffix(""), file.parent
    image_root, _ = folder_of(file, [image for image, _ in rows], [folder, beside, folder / "images"])
    offered = [folder, folder / "masks", folder / "masks" / file.stem, beside]
    given = [mask for _, mask in rows if mask]
    mask_root = folder_of(file, given, offered)[0] if given else folder
    paired: list[tuple[str, str]] = []
    unpaired: dict[str, str] = {}
    for image, mask in rows:
        if not mask:
            unpaired[str(image_root / image)] = f"{file.name} gives no mask for it"
        elif not is_file(image_root / image):
            unpaired[str(image_root / image)] = f"{file.name} lists it, and there is no such file"
        elif not is_file(mask_root / mask):
            unpaired[str(image_root / image)] = f"no mask: there is no {mask_root / mask}, which {file.name} lists"
        else:
            paired.append((image, mask))
    return FoundPairs(
        image_root=image_root,
        mask_root=mask_root,
        images=tuple(image for image, _ in paired),
        masks=tuple(mask for _, mask in paired),
        every_image=tuple(image for image, _ in rows if is_file(image_root / image)),
        unpaired=unpaired,
        kind="csv of pairs",
        words=f"the pairs {file} lists",
    )


def _rows(file: Path) -> list[tuple[str, str]]:
    """(image, mask or "") of each line, each image once."""
    lines = csv_lines(file)
    header = header_of(lines[0][1]) if lines else []
    if not {IMAGE, MASK} <= set(header):
        raise DataError(
            f"{file} does not list pairs: it needs the columns {IMAGE} and {MASK}, and its first line has "
            f"{', '.join(header) or 'nothing'}."
        )
    require_single(file, header, IMAGE, MASK)
    at_image, at_mask = header.index(IMAGE), header.index(MASK)
    masks: dict[str, str] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(f"{file}, line {line}: {len(cells)} values under a header of {len(header)} columns.")
        image = relative_name(file, line, cells[at_image].strip())
        mask = cells[at_mask].strip() and relative_name(file, line, cells[at_mask].strip())
        if masks.setdefault(image, mask) != mask:
            raise DataError(f"{file}, line {line}: {image} is listed with the masks {masks[image]!r} and {mask!r}.")
    if not masks:
        raise DataError(f"{file} lists no pairs: it has a header and no other line.")
    return list(masks.items())
