"""What is to be predicted, and what the outputs are called."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from headstart.data.decode import DecodeError
from headstart.data.folders import IMAGE_SUFFIXES, find_images, natural_key
from headstart.data.rasters import TIFF_SUFFIXES
from headstart.errors import ConfigError, RunError
from headstart.inference.raster import is_raster

logger = logging.getLogger(__name__)

GLOB_SIGNS = "*?["
IMAGE_END = "_sat"
"""What the seed's layout has behind the name of an image; its mask has _mask in that place."""


@dataclass(frozen=True)
class Input:
    """An image file; ``name`` is its path below the folder that all inputs have in common."""

    path: Path
    name: PurePosixPath


def find_inputs(words: Sequence[str], out: Path) -> list[Input]:
    """The images that files, folders and globs name, each once, in the order given, those of a folder in natural order.

    Raises ConfigError with every word that names nothing, RunError where ``out`` lies among the inputs.
    """
    if not words:
        raise ConfigError("no --inputs: give image files, folders of images, or quoted globs")
    problems: list[str] = []
    found: list[Path] = []
    bases: list[Path] = []
    for word in words:
        base, paths = _named_by(word)
        if not paths:
            problems.append(_nothing(word, base))
        bases.append(base)
        found += paths
        if Path(word).is_dir():
            _refuse_within(out, base)
    if problems:
        raise ConfigError(*problems)
    for path in found:
        if path.is_relative_to(out.resolve()):
            raise RunError(f"{path} lies in --out {out}, and its prediction beside it. Choose another --out.")
    root = Path(os.path.commonpath(bases))
    return [Input(path, PurePosixPath(path.relative_to(root).as_posix())) for path in dict.fromkeys(found)]


def _named_by(word: str) -> tuple[Path, list[Path]]:
    """The folder below which a word's images keep their paths, and the images."""
    path = Path(word).expanduser()
    if path.is_dir():
        return path.resolve(), [path.resolve() / name for name in without_masks(find_images(path))]
    if path.exists() or not any(sign in word for sign in GLOB_SIGNS):
        folder = path.parent.resolve()  # not of the file itself: a link keeps its own name
        return folder, [folder / path.name] if path.exists() else []
    parts = path.parts
    first = next(i for i, part in enumerate(parts) if any(sign in part for sign in GLOB_SIGNS))
    folder = Path(*parts[:first]).resolve()
    found = (match.relative_to(folder) for match in folder.glob("/".join(parts[first:])) if match.is_file())
    names = [name.as_posix() for name in found if name.suffix.lower() in IMAGE_SUFFIXES]
    return folder, [folder / name for name in sorted(names, key=natural_key)]


def without_masks(names: Sequence[str]) -> list[str]:
    """All but NAME_mask where there is a NAME_sat beside: a folder of pairs is asked about for its images."""
    images = {str(PurePosixPath(name).with_suffix(""))[: -len("_sat")] for name in names if _stem_ends(name, "_sat")}
    kept = [
        name
        for name in names
        if not (_stem_ends(name, "_mask") and str(PurePosixPath(name).with_suffix(""))[: -len("_mask")] in images)
    ]
    if len(kept) < len(names):
        logger.info("%d masks beside their images (NAME_mask, NAME_sat) are left out.", len(names) - len(kept))
    return kept


def _stem_ends(name: str, ending: str) -> bool:
    return PurePosixPath(name).stem.endswith(ending)


def _nothing(word: str, base: Path) -> str:
    if Path(word).is_dir():
        return f"--inputs {word}: no images in {base} (looked for files ending in {', '.join(IMAGE_SUFFIXES)})"
    if any(sign in word for sign in GLOB_SIGNS):
        return f"--inputs {word}: no image file matches"
    return f"--inputs {word}: there is no such file or folder"


def _refuse_within(out: Path, folder: Path) -> None:
    if out.resolve().is_relative_to(folder):
        raise RunError(f"--out {out} lies in the folder of images {folder}, and would become part of them.")


@dataclass(frozen=True)
class Item:
    """An input with its outputs, relative to --out; ``probabilities`` and ``polygons`` are None where not wanted."""

    source: Input
    raster: bool
    main: PurePosixPath
    probabilities: PurePosixPath | None
    polygons: PurePosixPath | None

    @property
    def outputs(self) -> tuple[PurePosixPath, ...]:
        """All of them, the main one first."""
        return tuple(path for path in (self.main, self.probabilities, self.polygons) if path is not None)


def plan_outputs(inputs: Sequence[Input], probabilities: bool, polygons: str) -> list[Item]:
    """Names of the outputs: NAME_mask.png of an image, NAME.tif of a raster, NAME without the ending and _sat.

    Inputs whose outputs would have one name keep their ending: a.png and a.jpg become a.png_mask.png and
    a.jpg_mask.png. ``polygons`` is an ending, or "none".
    """

    def planned(source: Input, raster: bool, stem: str) -> Item:
        def named(end: str) -> PurePosixPath:
            return source.name.with_name(stem + end)

        return Item(
            source,
            raster,
            named(".tif" if raster else "_mask.png"),
            named("_probabilities.tif") if probabilities else None,
            None if polygons == "none" else named(f".{polygons}"),
        )

    return named_apart(inputs, planned)


class HasOutputs(Protocol):
    """What an input becomes: the names of its outputs, relative to --out."""

    @property
    def source(self) -> Input: ...

    @property
    def raster(self) -> bool: ...

    @property
    def outputs(self) -> tuple[PurePosixPath, ...]: ...


P = TypeVar("P", bound=HasOutputs)


def named_apart(inputs: Sequence[Input], planned: Callable[[Input, bool, str], P]) -> list[P]:
    """``planned(input, whether it is a raster, stem of its outputs' names)`` of each input, no two outputs of one name.

    The stem is the input's name without its ending and _sat, and with them where two inputs would meet. ConfigError
    where they meet even so.
    """
    kinds = [_lies_in_raster(source.path) for source in inputs]
    items = [planned(each, raster, _stem(each.name)) for each, raster in zip(inputs, kinds, strict=True)]
    names = _names(items)
    items = [
        planned(item.source, item.raster, item.source.name.name)
        if any(names[name] > 1 for name in item.outputs)
        else item
        for item in items
    ]
    doubled = [name for name, n in _names(items).items() if n > 1]
    if doubled:
        raise ConfigError(f"several inputs would have the output {doubled[0]}; give them an --out each")
    return items


def _names(items: Sequence[HasOutputs]) -> Counter[PurePosixPath]:
    return Counter(name for item in items for name in item.outputs)


def _stem(name: PurePosixPath) -> str:
    stem = name.stem
    return stem[: -len(IMAGE_END)] if stem.lower().endswith(IMAGE_END) and stem.lower() != IMAGE_END else stem


def _lies_in_raster(path: Path) -> bool:
    try:
        return path.suffix.lower() in TIFF_SUFFIXES and is_raster(path)
    except DecodeError:
        return False
