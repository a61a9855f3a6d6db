"""Emoji of the npm packages emoji-datasource-*: 64-pixel drawings of several makers, class = category.

Base emoji only: the skin variations differ from them in one colour, and would put near-duplicates on both sides of the
split. So would emoji with the very same picture (the flags of France and Clipperton): of these the first is kept.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.learning.layout import SPLIT_WORDS, Facts, Picture, Pixels, digest, distinct, split
from benchmarks.learning.packages import npm_package, read_json, read_members
from PIL import Image

VERSION = "16.0.0"
LICENCES = {
    "google": "package MIT, pictures by Google (Noto Emoji) Apache-2.0",
    "twitter": "package MIT, pictures by Twitter (Twemoji) CC-BY 4.0",
}
NO_CATEGORY = "Component"
"""Skin tones and hair without a face: parts of emoji, not emoji."""

Built = tuple[Facts, list[Picture], list[Picture], list[Picture]]


def within(cache: Path) -> Built:
    """One style: what is not held out is trained on, with labels or without."""
    pictures, left_out = read_style("google", cache)
    train, val = split(pictures)
    return facts(("google",), SPLIT_WORDS, left_out), train, val, []


def across(cache: Path) -> Built:
    """Labels and validation as in ``within``; unlabelled are the same emoji in another style, without the validating
    ones and what looks just like one of them.
    """
    pictures, left_out = read_style("google", cache)
    others, _ = read_style("twitter", cache, once=False)
    train, val = split(pictures)
    names = {picture.name for picture in val}
    seen = {digest(picture.pixels) for picture in others if picture.name in names}
    kept = [Picture(other.name, other.pixels) for other in others if digest(other.pixels) not in seen]
    words = f"{SPLIT_WORDS}; unlabelled images are of emoji that do not validate, drawn by Twitter"
    left_out |= {"unlabelled, as they validate or look the same": len(others) - len(kept)}
    return facts(("google", "twitter"), words, left_out), train, val, kept


def facts(styles: Sequence[str], words: str, left_out: dict[str, int]) -> Facts:
    """The facts of a data set; the labelled images are of the first style."""
    source = "npm packages " + " and ".join(f"emoji-datasource-{style}" for style in styles)
    licence = "; ".join(LICENCES[style] for style in styles)
    return Facts(f"{source}, pictures of 64 pixels on white", VERSION, licence, words, left_out=left_out)


def read_style(style: str, cache: Path, once: bool = True) -> tuple[list[Picture], dict[str, int]]:
    """The base emoji of a style in the package's order, and how many were left out for which reason.

    With ``once`` an emoji whose picture an earlier one has already is left out.
    """
    package = npm_package(f"emoji-datasource-{style}", VERSION, cache / "packages")
    folder = f"package/img/{style}/64/"
    members = read_members(package, lambda name: name == "package/emoji.json" or name.startswith(folder))
    rows: list[dict[str, Any]] = read_json(package, members, "package/emoji.json")
    named = [row for row in rows if row["category"] != NO_CATEGORY]
    drawn = [row for row in named if folder + row["image"] in members]
    pictures = [
        Picture(Path(row["image"]).stem, on_white(members[folder + row["image"]]), class_name(row["category"]))
        for row in drawn
    ]
    kept = distinct(pictures) if once else pictures
    left_out = {
        "skin variations": sum(len(row.get("skin_variations", ())) for row in named),
        f"category {NO_CATEGORY}": len(rows) - len(named),
        "no picture in this style": len(named) - len(drawn),
        "the same picture as another emoji": len(drawn) - len(kept),
    }
    return kept, left_out


def class_name(category: str) -> str:
    """A category as a folder: Smileys & Emotion -> smileys-emotion."""
    return re.sub(r"[^a-z0-9]+", "-", category.lower()).strip("-")


def on_white(png: bytes) -> Pixels:
    """A PNG as (H, W, 3) uint8, transparent pixels composited on white."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))
