"""Which palette the masks of a source are read by: asked for, beside the masks, implied by the layout, or counted."""

import difflib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.data.decode import FORMATS, DecodeError
from headstart.data.masks import is_values, read_labels
from headstart.data.pairs import PairSource
from headstart.data.palette_yaml import example, read_palette
from headstart.data.palettes import LARGEST_VALUE, PALETTES, Colour, Palette, codes_of, colour_of, distinct_colours
from headstart.data.threads import read_in_threads
from headstart.errors import DataError

__all__ = ["palette_named", "read_palette", "resolve_palette"]

logger = logging.getLogger(__name__)

BESIDE = ("palette.yaml", "palette.yml")
IGNORED_VALUE = 255
RUN_FACTS = Path("export") / "model.json"
MAX_COUNTED = 64
SHOWN_MASKS, SHOWN_COLOURS = 8, 8
GDAL_NODATA = 42113
THREADS = 4


def palette_named(name_or_path: str) -> Palette:
    """The palette of this name, of this YAML file, or of this segmentation run. DataError with the names there are."""
    if name_or_path in PALETTES:
        return PALETTES[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.is_file() or path.suffix.lower() in (".yaml", ".yml"):
        return read_palette(path)
    if (path / RUN_FACTS).is_file():
        return palette_of_run(path)
    close = difflib.get_close_matches(name_or_path, PALETTES, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise DataError(
        f"There is no palette {name_or_path!r}.{hint} Give {', '.join(PALETTES)}, a YAML file, or a segmentation run."
    )


def palette_of_run(run: Path) -> Palette:
    """The palette that a segmentation run has learned. DataError where its export is damaged."""
    try:
        return Palette.from_dict(json.loads((run / RUN_FACTS).read_text(encoding="utf-8"))["palette"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{run / RUN_FACTS} does not describe a palette ({error!r}).") from error


def resolve_palette(asked: str | None, source: PairSource) -> Palette:
    """The palette of a source's masks; what was taken and why goes to the log.

    The one ``asked`` for (a name or a YAML file); else palette.yaml in the source's folder; else the one that the
    layout implies, where masks are colours; else, where masks are single-channel, a class for each value in them: 255,
    or the value that GeoTIFF masks declare as nodata, is ignored. DataError where none of these is there.
    """
    if asked:
        return palette_named(asked)
    beside = next((source.folder / name for name in BESIDE if (source.folder / name).is_file()), None)
    if beside:
        logger.info("Palette: %s.", beside)
        return read_palette(beside)
    first = next(_readable(source), None)
    if first is None:
        raise DataError(
            f"None of the {len(_masks(source))} masks of {source.spec} can be read, such as {_reason(source)}."
        )
    if is_values(first):
        return counted(source)
    if source.palette:
        logger.info("Palette: %s, as the layout implies.", source.palette)
        return PALETTES[source.palette]
    raise DataError(_colours_without_palette(source))


def counted(source: PairSource) -> Palette:
    """A class for each value in the single-channel masks of ``source``, of either side. DataError where these cannot be
    class numbers, or where a mask has colours.
    """
    pixels: Counter[int] = Counter()
    nodata: set[int] = set()
    for _, found in read_in_threads(_values_in, _masks(source), THREADS):
        counts, declared = found.result()
        pixels.update(counts)
        nodata |= declared
    _refuse_odd_values(source, pixels)
    ignored = [value for value in sorted(pixels) if value == IGNORED_VALUE or nodata == {value}]
    scored = [value for value in sorted(pixels) if value not in ignored]
    if ignored and len(scored) < 2:
        values = [*scored, *ignored]
        raise DataError(
            f"The masks of {source.spec} hold only the value(s) {_span(values)}, and {ignored[-1]} is read as ignored, "
            f"so there is nothing to tell apart. Where it is a class, write {source.folder / BESIDE[0]}:\n"
            + example(zip(distinct_colours(len(values)), values, strict=True))
        )
    logger.info("Palette: a class for each value in the masks (%s)%s.", _span(scored), _ignoring(ignored))
    return Palette(
        name="values",
        classes=tuple(f"class {value}" for value in scored) + ("ignored",) * bool(ignored),
        colours=distinct_colours(len(scored)) + ((0, 0, 0),) * bool(ignored),
        ignore_index=len(scored) if ignored else None,
        aliases=tuple((value, len(scored)) for value in ignored[1:]),
        values=(*scored, *ignored[:1]),
    )


def _refuse_odd_values(source: PairSource, pixels: Counter[int]) -> None:
    if len(pixels) > MAX_COUNTED:
        raise DataError(
            f"The masks of {source.spec} hold {len(pixels)} different values; class numbers are few. Were they saved "
            "as JPEG, or resized with smoothing? Otherwise list the classes in a YAML file and give it as --palette."
        )
    odd = [value for value in pixels if not 0 <= value <= LARGEST_VALUE]
    if odd:
        raise DataError(
            f"The masks of {source.spec} hold the value {odd[0]} ({pixels[odd[0]]} px); class numbers are 0 to "
            f"{LARGEST_VALUE}. Write another number there, such as {IGNORED_VALUE} for pixels to ignore."
        )


def _span(values: list[int]) -> str:
    return ", ".join(map(str, values)) if len(values) <= 12 else f"{len(values)} from {values[0]} to {values[-1]}"


def _ignoring(ignored: list[int]) -> str:
    return f"; {' and '.join(map(str, ignored))} is ignored" if ignored else ""


def _masks(source: PairSource) -> list[Path]:
    sides = [side.masks for side in (source.train, source.val) if side]
    return [masks.path(i) for masks in sides for i in range(len(masks))]


def _readable(source: PairSource) -> Iterator[np.ndarray]:
    """What the masks hold, one after the other; those that cannot be read are left for the check of the pairs."""
    for path in _masks(source):
        try:
            yield read_labels(path)
        except DecodeError:
            continue


def _reason(source: PairSource) -> str:
    try:
        read_labels(_masks(source)[0])
    except DecodeError as error:
        return str(error)
    return ""


def _values_in(path: Path) -> tuple[dict[int, int], set[int]]:
    """Pixels of each value of a mask, and the value it declares as nodata; nothing of one that cannot be read."""
    try:
        labels = read_labels(path)
    except DecodeError:
        return {}, set()
    if not is_values(labels):
        raise DataError(f"{path} is a mask of colours, others of its source are single-channel. Give a --palette.")
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True)), _nodata(path)


def _nodata(path: Path) -> set[int]:
    """The nodata value that a TIFF declares for GDAL, if it is a whole number."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return {int(str(getattr(image, "tag_v2", {})[GDAL_NODATA]).strip("\0 "))}
    except (OSError, KeyError, ValueError):
        return set()


def _colours_without_palette(source: PairSource) -> str:
    pixels: Counter[Colour] = Counter()
    shown = [labels for labels, _ in zip(_readable(source), range(SHOWN_MASKS), strict=False)]
    for labels in shown:
        if not is_values(labels):
            codes, counts = np.unique(codes_of(labels), return_counts=True)
            order = np.argsort(-counts, kind="stable")[:1000]
            pixels.update({colour_of(int(codes[i])): int(counts[i]) for i in order})
    total = sum(labels.shape[0] * labels.shape[1] for labels in shown)
    common = pixels.most_common(SHOWN_COLOURS)
    told = ", ".join(f"{list(colour)} ({count / total:.1%})" for colour, count in common)
    grey = all(len(set(colour)) == 1 for colour in pixels)
    return (
        f"The masks of {source.spec} are colours, and nothing says which class each of them is. The commonest of "
        f"{len(pixels)} in the first {len(shown)} masks: {told}."
        + (" All are grey: these may be class numbers that were saved as RGB; save one channel." if grey else "")
        + f" Give --palette ({', '.join(PALETTES)}, or a YAML file), or write {source.folder / BESIDE[0]}, beginning:\n"
        + example((colour, i) for i, (colour, _) in enumerate(common))
    )
