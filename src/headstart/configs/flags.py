"""From words on a command line to a config, with every mistake reported at once.

A field is a flag: ``batch_size`` is ``--batch-size``, ``optim.lr`` is ``--optim.lr``, a bool is ``--resume`` or
``--no-resume``, a tuple takes several words. Words go to pydantic as text, which converts and checks all of them.
"""

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from headstart.configs.base import Config
from headstart.errors import ConfigError

C = TypeVar("C", bound=Config)
Words = dict[str, list[str]]
ALTERNATIVE = re.compile(r"int|float|str|constrained-.*|literal\[.*")
"""How pydantic calls one of several types that a setting may have."""


def fields_of(config: type[Config], prefix: str = "") -> dict[str, FieldInfo]:
    """Every setting by its flag without dashes: nested groups have a dot (``optim.lr``)."""
    found: dict[str, FieldInfo] = {}
    for name, field in config.model_fields.items():
        flag = prefix + (field.alias or name).replace("_", "-")
        if isinstance(field.annotation, type) and issubclass(field.annotation, Config):
            found.update(fields_of(field.annotation, flag + "."))
        else:
            found[flag] = field
    return found


def parse(config: type[C], argv: Sequence[str], positional: Sequence[str]) -> C:
    """The config that ``argv`` describes. ``positional`` are fields that need no flag.

    Raises one ConfigError with a line for each mistake of any kind.
    """
    fields = fields_of(config)
    words, problems = tokenise(argv, fields, positional)
    given: dict[str, Any] = {}
    for flag, values in words.items():
        problem = put(given, flag, values, fields[flag])
        problems += [problem] if problem else []
    try:
        result = config.model_validate(given, strict=False)
    except ValidationError as error:
        problems += explain(error)
        problems += hidden_conflicts(config, given, error)
    if problems:
        raise ConfigError(*problems)
    return result


def tokenise(
    argv: Sequence[str], fields: Mapping[str, FieldInfo], positional: Sequence[str]
) -> tuple[Words, list[str]]:
    """The words after each flag, and what is wrong with flags that are none."""
    words: Words = {}
    problems: list[str] = []
    free: list[str] = []
    current: list[str] | None = free
    for token in argv:
        if not token.startswith("--"):
            (free if current is None else current).append(token)
            continue
        flag, equals, value = token[2:].partition("=")
        negated = flag.startswith("no-") and flag not in fields
        name = flag.removeprefix("no-") if negated else flag
        name = name.replace("_", "-")
        if name not in fields or (negated and not is_bool(fields[name])):
            problems.append(f"unknown flag --{flag}{suggestion(flag, fields)}")
            current = []
            continue
        current = words.setdefault(name, [])
        current += ["false"] if negated else [value] if equals else []
        if is_bool(fields[name]) and not equals:
            current = None
    return words, problems + place(free, words, fields, positional)


def place(free: list[str], words: Words, fields: Mapping[str, FieldInfo], positional: Sequence[str]) -> list[str]:
    """Give words without a flag to the positional fields; the last one takes the rest if it is a tuple."""
    for name in positional:
        flag = name.replace("_", "-")
        if free and flag not in words:
            many = is_tuple(fields[flag])
            words[flag], free = (free, []) if many else (free[:1], free[1:])
    return [f"unexpected word {word!r}: every setting needs its flag" for word in free]


def put(given: dict[str, Any], flag: str, values: list[str], field: FieldInfo) -> str | None:
    """Put the words of one flag where the config has it; what is wrong with their number."""
    value: Any = values
    if is_bool(field):
        value = values[-1] if values else "true"
    elif not is_tuple(field):
        if len(values) != 1:
            return f"--{flag} takes one value, got {len(values)}{': ' + ' '.join(values) if values else ''}"
        value = None if values[0].lower() == "none" and is_optional(field) else values[0]
    *groups, name = flag.replace("-", "_").split(".")
    for group in groups:
        given = given.setdefault(group, {})
    given["json_output" if name == "json" else name] = value
    return None


def explain(error: ValidationError) -> list[str]:
    """A line for each mistake that pydantic found, in the words of the command line."""
    lines: list[str] = []
    for mistake in error.errors(include_url=False):
        flag = "--" + ".".join(part.replace("_", "-") for part in settings_in(mistake["loc"]))
        if mistake["type"] == "missing":
            lines.append(f"{flag} is required")
        elif mistake["type"] == "value_error":
            lines += str(mistake["ctx"]["error"]).splitlines()
        else:
            lines.append(f"{flag} {mistake['input']!r}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}")
    return list(dict.fromkeys(lines))


def settings_in(loc: Sequence[int | str]) -> list[str]:
    """The names of settings in the place of a mistake, without the alternatives of a type that pydantic tried."""
    return [part for part in loc if isinstance(part, str) and not ALTERNATIVE.fullmatch(part)]


def hidden_conflicts(config: type[Config], settings: dict[str, Any], error: ValidationError) -> list[str]:
    """Impossible combinations among the settings that are right by themselves (pydantic stops before these)."""
    wrong = {mistake["loc"][0] for mistake in error.errors() if mistake["loc"] and mistake["type"] != "value_error"}
    if not wrong:
        return []
    rest = {key: value for key, value in settings.items() if key not in wrong}
    required = {name: "?" for name, field in config.model_fields.items() if field.is_required() and name not in rest}
    try:
        config.model_validate({**required, **rest}, strict=False)
    except ValidationError as more:
        return [line for line in explain(more) if line not in explain(error)]
    return []


def suggestion(flag: str, fields: Mapping[str, FieldInfo]) -> str:
    """The closest flag there is, as a question."""
    by_last = {name.rpartition(".")[2]: name for name in fields}
    close = difflib.get_close_matches(flag, list(fields), n=1) or [
        by_last[name] for name in difflib.get_close_matches(flag, list(by_last), n=1)
    ]
    return f"; did you mean --{close[0]}?" if close else ""


def is_bool(field: FieldInfo) -> bool:
    """Whether the flag stands alone."""
    return field.annotation is bool


def is_tuple(field: FieldInfo) -> bool:
    """Whether the flag takes several words."""
    return get_origin(field.annotation) is tuple


def is_optional(field: FieldInfo) -> bool:
    """Whether the word "none" means no value."""
    return type(None) in get_args(field.annotation)


def type_words(annotation: Any) -> str:
    """What a flag takes, in capitals or as the list of its choices."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(parts[0])
    if origin is Literal:
        return "|".join(map(str, parts))
    if origin in (Union, types.UnionType):
        return "|".join(dict.fromkeys(type_words(part) for part in parts if part is not type(None)))
    if origin is tuple:
        return f"{type_words(parts[0])} ..." if parts[-1] is Ellipsis else " ".join(map(type_words, parts))
    return {"int": "INT", "float": "NUMBER", "str": "TEXT", "Path": "PATH", "bool": ""}.get(
        annotation.__name__, "VALUE"
    )
