"""Image files as data URIs, made smaller where they would bloat the page."""

import base64
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

LARGEST_BYTES = 1_500_000
LARGEST_SIDE_PX = 2000
SMALLER_SIDE_PX = 1400
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """An image that lies within the page; sides in pixels."""

    uri: str
    width: int
    height: int


def read_picture(path: Path) -> Picture | None:
    """The image in ``path`` (PNG, JPEG or WebP as it is; others, and large ones, as JPEG). None: unreadable."""
    try:
        with Image.open(path) as image:
            if image.format in {"PNG", "JPEG", "WEBP"} and _small(image, path):
                return Picture(_uri(path.read_bytes(), image.format.lower()), *image.size)
            image.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX))
            return _as_jpeg(image.convert("RGB"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        LOG.warning("%s is left out of the report: %s", path, error)
        return None


def _small(image: Image.Image, path: Path) -> bool:
    """Whether the file may stay as it is. Reads all of it, so that a damaged file is found here."""
    image.load()
    return path.stat().st_size <= LARGEST_BYTES and max(image.size) <= LARGEST_SIDE_PX


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
