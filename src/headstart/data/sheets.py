"""Contact sheets: pictures of the data and of the views, small enough for a report."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from headstart.data.decode import DecodeError, decode
from headstart.data.imageset import ImageSet
from headstart.data.splits import shuffled
from headstart.files import written_beside

MAX_BYTES = 600_000
MAX_CLASSES = 100
MAX_CELLS = 200
SINGLE_COLUMN = 8
CELL_SIZES = (96, 72, 56, 40, 28, 20)
GAP = 3
PAPER, INK, FRAME = "#ffffff", "#222222", "#888888"

Strip = tuple[str, list[Image.Image]]


def sample_sheet(
    images: ImageSet, classes: Sequence[str], path: Path, per_class: int = 6, seed: int = 0
) -> list[tuple[str, tuple[str, ...]]]:
    """Save a PNG sheet with a strip of images for each class, under 600 kB, and return what it shows, in order.

    The result is (class, file names) for each strip, read column by column. Up to ``per_class`` images are drawn by
    ``seed`` from each class, fewer where there are many classes (at least two), and the first 100 classes at most.
    Files that cannot be decoded are passed over. Without labels there are four strips of any images, of class "".
    """
    groups = _groups(images, classes, seed)[:MAX_CLASSES]
    n_each = max(1, min(per_class, MAX_CELLS // max(1, len(groups))))
    drawn = [(title, _thumbnails(images, order, n_each)) for title, order in groups]
    strips: list[Strip] = [(title, list(shown.values())) for title, shown in drawn if shown]
    n_columns = 1 if len(strips) <= SINGLE_COLUMN else round((1.5 * len(strips) / n_each) ** 0.5)
    _save_small(path, lambda cell: _strips(strips, cell, n_each, n_columns))
    return [(title, tuple(shown)) for title, shown in drawn if shown]


def pair_sheet(pairs: Sequence[Sequence[NDArray[np.uint8]]], path: Path) -> None:
    """Save a PNG sheet of pairs of pictures, or of longer rows that belong together (each picture (H, W, 3) uint8 RGB),
    under 600 kB: the pictures of a row share a frame.
    """
    if not pairs:
        raise ValueError("there are no pairs to draw")
    views = [tuple(Image.fromarray(view) for view in pair) for pair in pairs]
    n_columns = min(4, len(pairs))

    def render(cell: int) -> Image.Image:
        n = len(views[0])
        width, height, margin = n * cell + (n + 1) * GAP, cell + 2 * GAP, 4 * GAP
        n_rows = -(-len(views) // n_columns)
        sheet = Image.new("RGB", (n_columns * (width + margin) + margin, n_rows * (height + margin) + margin), PAPER)
        for i, pair in enumerate(views):
            x = margin + i % n_columns * (width + margin)
            y = margin + i // n_columns * (height + margin)
            sheet.paste(FRAME, (x, y, x + width, y + height))
            for j, view in enumerate(pair):
                sheet.paste(_cell(view, cell), (x + GAP + j * (cell + GAP), y + GAP))
        return sheet

    _save_small(path, render)


def _groups(images: ImageSet, classes: Sequence[str], seed: int) -> list[tuple[str, NDArray[np.int64]]]:
    """(title, indices in the order to try) of each strip."""
    if images.labels is None:
        return [("", part) for part in np.array_split(shuffled(len(images), seed, "sheet"), 4) if len(part)]
    labels = np.array(images.labels)
    members = [(name, np.flatnonzero(labels == i)) for i, name in enumerate(classes)]
    return [(name, found[shuffled(len(found), seed, "sheet", name)]) for name, found in members if len(found)]


def _thumbnails(images: ImageSet, order: NDArray[np.int64], n: int) -> dict[str, Image.Image]:
    shown: dict[str, Image.Image] = {}
    for i in order.tolist():
        if len(shown) == n:
            break
        try:
            shown[images.names[i]] = _cell(Image.fromarray(decode(images.path(i))), CELL_SIZES[0])
        except DecodeError:  # the check of the images tells of these
            continue
    return shown


def _cell(image: Image.Image, size: int) -> Image.Image:
    """The whole image in a white square of ``size`` pixels."""
    return ImageOps.pad(image, (size, size), Image.Resampling.BICUBIC, color=PAPER)


def _strips(strips: list[Strip], cell: int, n_each: int, n_columns: int) -> Image.Image:
    font = ImageFont.load_default(14)
    title = 20 if any(name for name, _ in strips) else 0
    margin = 4 * GAP
    width, height = n_each * (cell + GAP) - GAP, title + cell + margin
    n_rows = -(-len(strips) // n_columns)
    sheet = Image.new("RGB", (n_columns * (width + margin) + margin, n_rows * height + margin), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (name, shown) in enumerate(strips):
        x, y = margin + i // n_rows * (width + margin), margin + i % n_rows * height
        draw.text((x, y), _fitted(name, font, width), INK, font)
        for j, image in enumerate(shown):
            sheet.paste(_cell(image, cell), (x + j * (cell + GAP), y + title))
    return sheet


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """``text`` on one line, cut to ``width`` pixels."""
    line = " ".join(text.split())[:200]
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "...") > width:
        line = line[:-1]
    return line + "..."


def _save_small(path: Path, render: Callable[[int], Image.Image]) -> None:
    """Save ``render(cell size)`` with the largest cells that stay under 600 kB, in 256 colours if none does."""
    for cell in CELL_SIZES:
        data = _png(render(cell))
        if len(data) <= MAX_BYTES:
            break
    else:
        data = _png(render(CELL_SIZES[-1]).quantize(256))
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as beside:
        beside.write_bytes(data)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
