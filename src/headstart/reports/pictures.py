"""Image files as data URIs, made smaller where they would bloat the page."""

import base64
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
"""Pillow's readers that are tried; others (EPS, for one, runs a program) never are, whatever a file is called."""
LARGEST_BYTES = 1_500_000
LARGEST_SIDE_PX = 2000
SMALLER_SIDE_PX = 1400
SMALL_SIDE_PX = 160
"""Images up to here are shown larger than they are, and so with their pixels as squares."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """An image that lies within the page; sides in pixels."""

    uri: str
    width: int
    height: int

    @property
    def is_small(self) -> bool:
        """Whether its single pixels can be seen."""
        return max(self.width, self.height) <= SMALL_SIDE_PX


def read_picture(path: Path) -> Picture | None:
    """The image in ``path`` (PNG, JPEG or WebP as it is; others, and large ones, as JPEG). None: unreadable."""

    def embed(image: Image.Image) -> Picture:
        if image.format in {"PNG", "JPEG", "WEBP"} and _fits(image, path, LARGEST_SIDE_PX):
            return Picture(_uri(path.read_bytes(), image.format.lower()), *image.size)
        image.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX))
        return _as_jpeg(image.convert("RGB"))

    return _read(path, embed)


def read_tile(path: Path, side: int, is_mask: bool) -> Picture | None:
    """The image in ``path`` with no side above ``side`` pixels: a mask as PNG in its very colours, a larger photograph
    as JPEG. None: unreadable.
    """

    def embed(image: Image.Image) -> Picture:
        if image.format == "PNG" and _fits(image, path, min(side, LARGEST_SIDE_PX if is_mask else SMALL_SIDE_PX)):
            return Picture(_uri(path.read_bytes(), "png"), *image.size)
        shown = image.convert("RGB")
        shown.thumbnail((side, side), Image.Resampling.NEAREST if is_mask else Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        kind = "PNG" if is_mask or max(shown.size) <= SMALL_SIDE_PX else "JPEG"
        shown.save(buffer, kind, optimize=True, quality=85)
        return Picture(_uri(buffer.getvalue(), kind.lower()), *shown.size)

    return _read(path, embed)


def _read(path: Path, embed: Callable[[Image.Image], Picture]) -> Picture | None:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return embed(image)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        LOG.warning("%s is left out of the report: %s", path, error)
        return None


def _fits(image: Image.Image, path: Path, side: int) -> bool:
    """Whether the file may stay as it is. Reads all of it, so that a damaged file is found here."""
    image.load()
    return path.stat().st_size <= LARGEST_BYTES and max(image.size) <= side


def _as_jpeg(image: Image.Image) -> Picture:
    for side, quality in ((LARGEST_SIDE_PX, 85), (SMALLER_SIDE_PX, 75), (SMALLER_SIDE_PX, 50)):
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= LARGEST_BYTES:
            break
    return Picture(_uri(buffer.getvalue(), "jpeg"), *image.size)


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
