"""Image files to upright RGB pixels, and the quarantine of files that cannot be decoded.

How each kind of pixel becomes 8-bit RGB:

- 1-bit, grey, palette, RGB, YCbCr, HSV, CMYK: Pillow's conversion (CMYK without a colour profile).
- Transparency of any kind (RGBA, grey with alpha, a transparent palette entry or colour): composited on white.
- 16-bit grey: ``round(value / (2**bits - 1) * 255)``, where bits is the file's own depth (16, or 12 in some TIFFs); for
  16 bits that is a division by 257. The image is not stretched, so two images of one sensor stay comparable. 16-bit
  *colour* files are cut to their high byte by Pillow.
- 32-bit integers: read as 16-bit grey; a value outside 0 to 65535 is an error.
- Floating point: read as shares of white, ``round(value * 255)``; a value outside 0 to 1, or NaN, is an error. Nothing
  is guessed from the values, because a guess would differ from one file of a set to the next.
- EXIF orientation (JPEG, PNG, WebP, TIFF) is applied; EXIF that cannot be read counts as upright.
- Animations and multi-page files: the first frame.
- GeoTIFFs of more than three bands: the first three, whatever the others are. These, and TIFFs of a layout that Pillow
  does not know, are read by rasterio (extra ``geo``), with 8 bits a sample only.
"""

import csv
import logging
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from headstart.data.imageset import ImageSet
from headstart.data.rasters import TIFF_SUFFIXES, begins_like_tiff, has_further_bands, read_bands
from headstart.data.threads import PATIENCE_SECONDS, read_in_threads
from headstart.errors import DataError, HeadstartError, MachineError
from headstart.files import refused_read, written_beside

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
"""Pillow's readers that are tried, whatever the file is called; others (EPS, for one, runs a program) never are."""
MAX_PIXELS = 178_956_970
"""Larger images are taken for decompression bombs: Pillow's own limit, kept even where a program has lifted that."""
ORIENTATION_TAG = 0x0112
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV injection)."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> the operation that makes the stored pixels upright (EXIF 2.3, tag 0x0112)."""

Pixels = NDArray[np.uint8]


class DecodeError(DataError):
    """An image file cannot be decoded; ``reason`` is one short line without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")

    def __reduce__(self) -> tuple[type["DecodeError"], tuple[Path, str]]:
        """Picklable, so that it crosses from a loader's process whole."""
        return type(self), (self.path, self.reason)


def decode(path: Path, draft: int | None = None) -> Pixels:
    """The image in ``path`` as (H, W, 3) uint8 RGB in [0, 255], upright, C-contiguous and writable.

    ``draft``: a JPEG may come at 1/2, 1/4 or 1/8 of its size, as long as no side has fewer pixels than this. The rules
    for other kinds of pixels are at the top of this module.

    Raises DecodeError for anything that prevents it: a missing, truncated, damaged or foreign file, implausible sizes,
    values out of range. MachineError when not the file is to blame, but its disk, a network share or the memory.
    """
    try:
        refuse_special(path)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DecodeError(path, f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}")
            if has_further_bands(image):
                return read_bands(path, MAX_PIXELS)
            if draft is not None:
                image.draft(None, (draft, draft))
            image.load()
            bits, white_is_zero = _sample_format(image)
            return np.array(_rgb(upright(image), bits, white_is_zero), dtype=np.uint8)
    except DecodeError:
        raise
    except UnidentifiedImageError as error:
        return _by_rasterio(path, error)
    except Exception as error:  # Pillow's readers raise a dozen unrelated kinds on damaged files
        raise failure(path, error) from error


def failure(path: Path, error: Exception) -> HeadstartError:
    """Why ``path`` cannot be read, from what its reader raised: DecodeError where the file is to blame, MachineError
    where its disk or the machine is. A sound image must not be left out because a network share was away.
    """
    return refused_read(error, path) or DecodeError(path, reason_of(error))


def refuse_special(path: Path) -> None:
    """DecodeError for a pipe, a socket or a device: opening one can wait forever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DecodeError(path, "not a file, but a pipe, a socket or a device")


def _by_rasterio(path: Path, refusal: UnidentifiedImageError) -> Pixels:
    """A TIFF that Pillow does not know. DecodeError if rasterio does not either, or is not there."""
    if not is_tiff(path):
        raise DecodeError(path, reason_of(refusal)) from refusal
    try:
        return read_bands(path, MAX_PIXELS)
    except Exception as error:  # as above, of GDAL's drivers
        raise failure(path, error) from error


def is_tiff(path: Path) -> bool:
    """Whether the file is called and begins like a TIFF."""
    return path.suffix.lower() in TIFF_SUFFIXES and begins_like_tiff(path)


def reason_of(error: Exception) -> str:
    """What is wrong with an image file, in one line, from what its reader raised."""
    if isinstance(error, HeadstartError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "file not found"
    if isinstance(error, IsADirectoryError):
        return "is a folder"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a known format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS} pixels (a decompression bomb?)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split()) or "damaged"
    return f"{type(error).__name__}: {words}"[:200]


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation says; as it is stored where there is none that can be read."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF says nothing about the pixels, which are sound
        return image
    operation = UPRIGHT.get(orientation)
    return image if operation is None else image.transpose(operation)


def _sample_format(image: Image.Image) -> tuple[int, bool]:
    """Bits in use of a 16-bit grey sample, and whether its zero is white (TIFF tags BitsPerSample and
    PhotometricInterpretation, which Pillow heeds up to 8 bits only).
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(258, 16)
    return int(bits[0] if isinstance(bits, tuple) else bits), tags.get(262) == 0


def _rgb(image: Image.Image, bits: int, white_is_zero: bool) -> Image.Image | Pixels:
    if image.mode.startswith("I;16"):
        white = 2**bits - 1
        values = white - np.asarray(image).astype(np.int32) if white_is_zero else np.asarray(image)
        return _grey(values, white, image.info.get("transparency"))
    if image.mode == "I":
        return _grey(np.asarray(image), 65535, image.info.get("transparency"))
    if image.mode == "F":
        return _grey(np.asarray(image), 1, None)
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, with_alpha).convert("RGB")


def _grey(values: np.ndarray, white: int, transparent: object) -> Pixels:
    """Grey ``values`` (H, W) in [0, ``white``] as (H, W, 3) uint8; the ``transparent`` value becomes white."""
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= white):
        raise ValueError(f"grey values from {low:g} to {high:g} are not within 0 to {white}; scale them first")
    grey = np.rint(values.astype(np.float64) * (255 / white)).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def check_images(
    images: ImageSet,
    quarantine_file: Path,
    strict: bool,
    workers: int,
    patience: float = PATIENCE_SECONDS,
    progress: Callable[[int, int], None] | None = None,
    read: Callable[[Path], object] = decode,
) -> ImageSet:
    """Decode every image once, by ``read``, and return those that decode, in their order.

    The others are left out as ``leave_out`` has it. ``workers`` threads decode (at least one); ``progress(done,
    total)`` is called in this thread. MachineError where an image has not come after ``patience`` seconds.
    """

    def failure_of(path: Path) -> str | None:
        try:
            read(path)
        except DecodeError as error:
            return error.reason
        return None

    reasons: dict[str, str] = {}
    paths = (images.path(i) for i in range(len(images)))
    for i, (_, look) in enumerate(read_in_threads(failure_of, paths, workers, patience)):
        reason = look.result()
        if reason is not None:
            reasons[images.names[i]] = reason
        if progress is not None:
            progress(i + 1, len(images))
    return leave_out(images, reasons, quarantine_file, strict)


def leave_out(images: ImageSet, reasons: Mapping[str, str], quarantine_file: Path, strict: bool) -> ImageSet:
    """The images without those that have a reason (by name) why they do not decode.

    These are written to ``quarantine_file`` (path, reason) and counted in the log. Lines of earlier checks of
    other images stay, lines of these images are replaced: a rerun adds nothing twice. Raises DataError where
    ``strict`` and there is a reason, and where no image is left; MachineError where their folder is gone.
    """
    if reasons and not images.root.is_dir():
        raise MachineError(f"{images.root} went away while its images were checked. Bring its disk or share back.")
    quarantine(quarantine_file, images, reasons)
    if not reasons:
        return images
    name, reason = next(iter(reasons.items()))
    told = f"{len(reasons)} of {len(images)} images in {images.root} cannot be decoded (first: {name}: {reason})"
    if strict:
        raise DataError(f"{told}. All are listed in {quarantine_file}. Mend or remove them, or run without --strict.")
    if len(reasons) == len(images):
        raise DataError(f"{told}, so none is left. All are listed in {quarantine_file}.")
    logger.warning("%s. They are left out and listed in %s.", told, quarantine_file)
    return images.without(reasons)


def quarantine(file: Path, images: ImageSet, reasons: Mapping[str, str]) -> None:
    """Make ``file`` say what is wrong with ``images`` (``reasons`` by name), keeping its lines on any others.

    CSV with the columns path and reason, whole or not at all; without a line to write there is no file.
    """
    ours = {_cell(images.root / name) for name in images.names}
    rows = [row for row in read_quarantine(file) if row[0] not in ours]
    rows += [(_cell(images.root / name), reason) for name, reason in reasons.items()]
    if not rows:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        written_beside(file) as beside,
        beside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        csv.writer(stream).writerows([("path", "reason"), *rows])


def _cell(path: Path) -> str:
    """A path as a table holds it: one that a spreadsheet would take for a formula begins with ``./``."""
    text = str(path)
    return f"./{text}" if text.startswith(FORMULA_SIGNS) else text


def read_quarantine(file: Path) -> list[tuple[str, str]]:
    """The (path, reason) lines of a quarantine file; none where there is no file."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return [(row["path"], row["reason"]) for row in csv.DictReader(stream)]
