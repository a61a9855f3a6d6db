"""Image files as bytes: sound ones of every format, odd ones to be read, and bad ones to be refused."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

NOISE = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 90}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "jpeg tiff": ("TIFF", {"compression": "jpeg"}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
}


def saved(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    """An image as the bytes of a file."""
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def sound(name: str) -> bytes:
    """A file of ``FORMATS``."""
    kind, options = FORMATS[name]
    return saved(NOISE, kind, **options)


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG of any stated size, RGB, around ``data``."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    """A BMP of any stated size, without pixels."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def gif(width: int, height: int) -> bytes:
    """A GIF of any stated size, without pixels."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x01\x00\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + frame


def tiff(width: int, height: int) -> bytes:
    """A grey 8-bit TIFF of any stated size, without pixels."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, min(width * height, 2**32 - 1))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)


def floats(value: float) -> bytes:
    """A floating-point TIFF with one pixel of ``value`` among zeros."""
    values = np.zeros((4, 5), dtype=np.float32)
    values[1, 2] = value
    return saved(values, "TIFF")


BAD: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "known format"),
    "one byte.jpg": (b"\xff", "known format"),
    "zeros.tif": (bytes(1000), "known format"),
    "text.jpg": (b"hello", "known format"),
    "page.png": (b"<!DOCTYPE html><html></html>", "known format"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "known format"),
    "drawing.svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "known format"),
    "archive.jpg": (b"PK\x03\x04" + bytes(40), "known format"),
    "program.png": (b"\x7fELF" + bytes(40), "known format"),
    "pdf.tif": (b"%PDF-1.7\n", "known format"),
    "postscript.png": (saved(NOISE, "EPS"), "known format"),
    "pixmap.png": (saved(NOISE, "PPM"), "known format"),
    "icon.png": (saved(Image.fromarray(NOISE), "ICO", sizes=[(16, 16)]), "known format"),
    "magic only.png": (b"\x89PNG\r\n\x1a\n", "."),
    "magic only.jpg": (b"\xff\xd8\xff", "."),
    "magic only.tif": (b"II*\0", "."),
    "magic only.gif.bmp": (b"GIF89a", "."),
    "magic only.webp": (b"RIFF\0\0\0\0WEBP", "."),
    "magic only.bmp": (b"BM", "."),
    "no pixels.png": (png(5, 5), "truncated"),
    "no width.png": (png(0, 5), "known format"),
    "no height.png": (png(5, 0), "known format"),
    "no size.png": (png(0, 0), "known format"),
    "no width.bmp": (bmp(0, 5), "known format"),
    "no height.bmp": (bmp(5, 0), "known format"),
    "no size.gif.png": (gif(0, 0), "known format"),
    "no width.gif.png": (gif(0, 4), "known format"),
    "no width.tif": (tiff(0, 4), "zero scanline|known format"),
    "no height.tif": (tiff(4, 0), "Bad value|known format"),
    "negative.bmp": (bmp(-5, 3), "pixels"),
    "bomb.png": (png(60000, 60000), "decompression bomb"),
    "bomb.bmp": (bmp(60000, 60000), "decompression bomb"),
    "bomb.gif.png": (gif(65535, 65535), "decompression bomb"),
    "bomb.tif": (tiff(60000, 60000), "decompression bomb"),
    "long bomb.png": (png(2_000_000_000, 1), "decompression bomb"),
    "nan.tif": (floats(float("nan")), "not within 0 to 1"),
    "inf.tif": (floats(float("inf")), "not within 0 to 1"),
    "minus inf.tif": (floats(float("-inf")), "not within 0 to 1"),
    "bright.tif": (floats(255.0), "scale them first"),
    "negative.tif": (floats(-0.1), "scale them first"),
    "wide integers.tif": (saved(np.full((4, 5), 70000, dtype=np.int32), "TIFF"), "scale them first"),
    "negative integers.tif": (saved(np.full((4, 5), -1, dtype=np.int32), "TIFF"), "scale them first"),
}
"""File name -> its bytes, and a pattern of the reason it is refused with."""


def oriented(orientation: int) -> bytes:
    """A JPEG with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(NOISE, "JPEG", exif=exif)


def frames(kind: str) -> bytes:
    """Three frames in one file."""
    pages = [Image.fromarray(np.roll(NOISE, shift, 0)) for shift in range(3)]
    return saved(pages[0], kind, save_all=True, append_images=pages[1:])


RGBA = np.dstack([NOISE, NOISE[..., 0]])
GREY = NOISE[..., 0]
UPRIGHT, TURNED = (16, 20), (20, 16)
ODD: dict[str, tuple[bytes, tuple[int, int]]] = {
    "png called.jpg": (sound("png"), UPRIGHT),
    "jpeg called.png": (sound("jpeg"), UPRIGHT),
    "gif called.png": (sound("gif"), UPRIGHT),
    "tiff called.bmp": (sound("tiff"), UPRIGHT),
    "one pixel.png": (saved(NOISE[:1, :1], "PNG"), (1, 1)),
    "one pixel.jpg": (saved(NOISE[:1, :1], "JPEG"), (1, 1)),
    "one row.png": (saved(NOISE[:1], "PNG"), (1, 20)),
    "long.png": (saved(Image.new("RGB", (40_000, 2)), "PNG"), (2, 40_000)),
    "tall.tif": (saved(Image.new("RGB", (2, 40_000)), "TIFF"), (40_000, 2)),
    "moving.gif.png": (frames("GIF"), UPRIGHT),
    "moving.png": (frames("PNG"), UPRIGHT),
    "moving.webp": (frames("WEBP"), UPRIGHT),
    "pages.tif": (frames("TIFF"), UPRIGHT),
    "cmyk.jpg": (saved(Image.fromarray(NOISE).convert("CMYK"), "JPEG"), UPRIGHT),
    "cmyk.tif": (saved(Image.fromarray(NOISE).convert("CMYK"), "TIFF"), UPRIGHT),
    "lab.tif": (saved(Image.fromarray(NOISE, "LAB"), "TIFF"), UPRIGHT),
    "ycbcr.jpg": (saved(Image.fromarray(NOISE).convert("YCbCr"), "JPEG"), UPRIGHT),
    "16 bit.png": (saved(GREY.astype(np.uint16) * 257, "PNG"), UPRIGHT),
    "16 bit.tif": (saved(GREY.astype(np.uint16) * 257, "TIFF"), UPRIGHT),
    "floats.tif": (saved(GREY.astype(np.float32) / 255, "TIFF"), UPRIGHT),
    "integers.tif": (saved(GREY.astype(np.int32), "TIFF"), UPRIGHT),
    "one bit.png": (saved(GREY > 127, "PNG"), UPRIGHT),
    "palette.png": (saved(Image.fromarray(NOISE).convert("P"), "PNG"), UPRIGHT),
    "alpha.png": (saved(RGBA, "PNG"), UPRIGHT),
    "alpha.webp": (saved(RGBA, "WEBP"), UPRIGHT),
    "alpha.tif": (saved(RGBA, "TIFF"), UPRIGHT),
    "grey alpha.png": (saved(Image.fromarray(RGBA).convert("LA"), "PNG"), UPRIGHT),
    "transparent.png": (saved(np.zeros((16, 20, 4), dtype=np.uint8), "PNG"), UPRIGHT),
    "damaged profile.png": (saved(NOISE, "PNG", icc_profile=b"not a profile"), UPRIGHT),
    "large profile.jpg": (saved(NOISE, "JPEG", icc_profile=bytes(100_000)), UPRIGHT),
    **{f"orientation {n}.jpg": (oriented(n), UPRIGHT if n < 5 else TURNED) for n in range(1, 9)},
    "orientation 0.jpg": (oriented(0), UPRIGHT),
    "orientation 99.jpg": (oriented(99), UPRIGHT),
    "text after it.png": (sound("png") + b"<?php evil(); ?>" * 100, UPRIGHT),
    "archive after it.jpg": (sound("jpeg") + b"PK\x03\x04" + bytes(100), UPRIGHT),
}
"""File name -> its bytes, and (height, width) of the upright image that is read."""
