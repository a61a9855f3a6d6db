"""Palettes that a user writes as a YAML file; all mistakes in one are reported at once.

    name: farmland            # the file's name where it is left out
    threshold: 128            # optional, see Palette
    classes:
      - {name: field, colour: [255, 255, 0], index: 1}
      - {name: forest, colour: '#00ff00', index: 2, aliases: ['#007f00', 7]}
      - {name: cloud, colour: [0, 0, 0], index: 0, ignore: true}

``index`` is the class's number in single-channel masks and in the class rasters that are written; without any, classes
count from 0 in their order. ``aliases`` are further colours, or numbers, that mean the class.
"""

import difflib
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from headstart.data.palettes import LARGEST_VALUE, MAX_CLASSES, Colour, Palette
from headstart.errors import DataError

MAX_BYTES = 1_000_000


def _colour(given: object) -> Colour:
    if given is None:
        raise ValueError("is empty; put quotes around a colour that begins with #, which is a comment without them")
    if isinstance(given, str):
        digits = given.removeprefix("#")
        if given.startswith("#") and len(digits) == 6 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
            return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    elif isinstance(given, list | tuple) and len(given) == 3 and all(_is_number(each, 255) for each in given):
        return given[0], given[1], given[2]
    raise ValueError("is neither [r, g, b] with numbers from 0 to 255 nor '#rrggbb'")


def _alias(given: object) -> Colour | int:
    return given if isinstance(given, int) and _is_number(given, LARGEST_VALUE) else _colour(given)


def _is_number(given: object, largest: int) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= largest


class ClassEntry(BaseModel):
    """One class in a palette file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: StrictStr = Field(min_length=1)
    colour: Annotated[Colour, BeforeValidator(_colour)]
    index: StrictInt | None = Field(default=None, ge=0, le=LARGEST_VALUE)
    ignore: StrictBool = False
    aliases: tuple[Annotated[Colour | int, BeforeValidator(_alias)], ...] = ()


class PaletteEntry(BaseModel):
    """A palette file; its classes are looked at one by one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: StrictStr | None = Field(default=None, min_length=1)
    threshold: StrictInt | None = Field(default=None, ge=1, le=255)
    classes: list[Any] = Field(min_length=1, max_length=MAX_CLASSES)


def read_palette(path: Path) -> Palette:
    """The palette in a YAML file. DataError with a line for each mistake, which names the class and where it is."""
    given, lines, doubled = _parse(path)
    try:
        top = PaletteEntry.model_validate(given)
    except ValidationError as error:
        raise DataError(_listed(path, [f"{path}: {line}" for line in _explain(error)])) from error
    entries: list[ClassEntry] = []
    problems: list[str] = []
    places: list[str] = []
    for i, each in enumerate(top.classes):
        where = f"{path}, line {lines[i]}, {_title(each, i)}"
        problems += [f"{where}: {key} is given twice; is a dash missing?" for key in doubled[i]]
        try:
            entries.append(ClassEntry.model_validate(_text_keys(each)))
            places.append(where)
        except ValidationError as error:
            problems += [f"{where}: {line}" for line in _explain(error)]
    problems += _conflicts(path, entries, places, top.threshold, len(entries) == len(top.classes))
    if problems:
        raise DataError(_listed(path, problems))
    return _palette(top.name or path.stem, top.threshold, entries)


def _listed(path: Path, problems: list[str]) -> str:
    return (
        "\n".join([f"{path} is no palette yet; {len(problems)} mistake(s):", *problems])
        if problems[1:]
        else problems[0]
    )


def _parse(path: Path) -> tuple[Any, list[int], list[list[str]]]:
    """What a YAML file says, and of each of its classes the line and the keys that are there twice."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES} bytes; a palette is a short text.")
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, yaml.SafeLoader)
        given = yaml.safe_load(text)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict) or not isinstance(node, yaml.MappingNode):
        raise DataError(
            f"{path} has no list of classes; it begins like this:\n{example([((34, 139, 34), 0), ((30, 80, 200), 1)])}"
        )
    classes = [value for key, value in node.value if key.value == "classes"]
    items = classes[-1].value if classes and isinstance(classes[-1], yaml.SequenceNode) else []
    return _text_keys(given), [item.start_mark.line + 1 for item in items], [_doubled(item) for item in items]


def _text_keys(given: Any) -> Any:
    """A mapping with its keys as text: YAML takes 3, no and the like for something else."""
    return {str(key): value for key, value in given.items()} if isinstance(given, dict) else given


def _doubled(item: yaml.Node) -> list[str]:
    if not isinstance(item, yaml.MappingNode):
        return []
    keys = [str(key.value) for key, _ in item.value]
    return [key for key in dict.fromkeys(keys) if keys.count(key) > 1]


def _title(given: object, i: int) -> str:
    name = given.get("name") if isinstance(given, dict) else None
    return f"class {name!r}" if isinstance(name, str) and name else f"class {i + 1} of the list"


def _brief(given: object) -> str:
    """A wrong value as it is told: a kilobyte of YAML can stand for more text than fits into memory."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 80, 80
    return short.repr(given)


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for mistake in error.errors(include_url=False):
        given = _brief(mistake["input"])
        field = " ".join(str(part) if isinstance(part, str) else f"no. {part + 1}" for part in mistake["loc"])
        match mistake["type"]:
            case "missing":
                lines.append(f"{field} is missing")
            case "extra_forbidden":
                known = [*ClassEntry.model_fields, *PaletteEntry.model_fields]
                close = difflib.get_close_matches(field, known, n=1)
                lines.append(f"{field} is not known" + (f"; did you mean {close[0]}?" if close else ""))
            case "value_error":
                lines.append(f"{field} {given} {mistake['ctx']['error']}")
            case "string_type":
                lines.append(f"{field} {given} is not text; put it in quotes")
            case "model_type":
                lines.append(f"{given} is not a class; it needs a name and a colour")
            case _:
                lines.append(f"{field} {given}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}")
    return lines


def _conflicts(
    path: Path, entries: list[ClassEntry], places: list[str], threshold: int | None, complete: bool
) -> list[str]:
    """What does not go together among classes that are sound by themselves; ``complete`` where all of them are."""
    numbers = _numbers(entries) if complete else [entry.index for entry in entries]
    problems = _shared(entries, places, "name", [[entry.name] for entry in entries])
    problems += _shared(entries, places, "colour", [[entry.colour, *_colours(entry.aliases)] for entry in entries])
    values = [
        [*([] if numbers[i] is None else [numbers[i]]), *_values(entries[i].aliases)] for i in range(len(entries))
    ]
    problems += _shared(entries, places, "index", values)
    ignored = [i for i, entry in enumerate(entries) if entry.ignore]
    problems += [
        f"{places[i]}: ignore is true for more than one class; give the others as aliases" for i in ignored[1:]
    ]
    with_index = [i for i, entry in enumerate(entries) if entry.index is not None]
    if 0 < len(with_index) < len(entries):
        lacking = [i for i in range(len(entries)) if i not in with_index]
        problems += [f"{places[i]}: index is missing; either each class has one or none has" for i in lacking]
    if complete and len(ignored) == len(entries):
        problems.append(f"{path}: no class is left when the ignored one is taken away")
    if threshold is not None:
        problems += [
            f"{places[i]}: colour {list(colour)} never occurs: with a threshold, channels are 0 or 255"
            for i, entry in enumerate(entries)
            for colour in (entry.colour, *_colours(entry.aliases))
            if not set(colour) <= {0, 255}
        ]
    return problems


def _numbers(entries: list[ClassEntry]) -> list[int | None]:
    none_given = all(entry.index is None for entry in entries)
    return list(range(len(entries))) if none_given else [entry.index for entry in entries]


def _colours(aliases: Iterable[Colour | int]) -> list[Colour]:
    return [alias for alias in aliases if not isinstance(alias, int)]


def _values(aliases: Iterable[Colour | int]) -> list[int]:
    return [alias for alias in aliases if isinstance(alias, int)]


def _shared(entries: list[ClassEntry], places: list[str], field: str, given: list[list[Any]]) -> list[str]:
    """A line for each class that has the same ``field`` as one before it."""
    first: dict[Any, int] = {}
    problems = []
    for i, values in enumerate(given):
        for value in values:
            before = first.setdefault(value, i)
            told = list(value) if isinstance(value, tuple) else value
            if before != i:
                problems.append(f"{places[i]}: {field} {told} is that of class {entries[before].name!r} too")
            elif values.count(value) > 1:
                problems.append(f"{places[i]}: {field} {told} is given twice")
                break
    return problems


def _palette(name: str, threshold: int | None, entries: list[ClassEntry]) -> Palette:
    """The palette of sound entries, the ignored class moved to the end."""
    numbers = _numbers(entries)
    order = sorted(range(len(entries)), key=lambda i: entries[i].ignore)
    aliases = [(alias, i) for i, at in enumerate(order) for alias in entries[at].aliases]
    return Palette(
        name=name,
        classes=tuple(entries[at].name for at in order),
        colours=tuple(entries[at].colour for at in order),
        ignore_index=len(order) - 1 if any(entry.ignore for entry in entries) else None,
        aliases=tuple(aliases),
        threshold=threshold,
        values=tuple(number for at in order if (number := numbers[at]) is not None),
    )


def example(classes: Iterable[tuple[Colour, int]]) -> str:
    """How a palette file for these (colour, index) would begin."""
    rows = [f"  - {{name: NAME, colour: {list(colour)}, index: {index}}}" for colour, index in classes]
    return "\n".join(["name: mine", "classes:", *rows])
