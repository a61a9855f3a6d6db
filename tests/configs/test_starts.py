"""The grammar of starts."""

import pytest

from headstart.configs.starts import GRAMMAR, Start, parse_start, seed_letter, setting_name
from headstart.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("scratch", Start("scratch", None)),
        ("supervised", Start("supervised", None)),
        ("supervised=resnet50.a1_in1k", Start("supervised", "resnet50.a1_in1k")),
        ("supervised=a/b=c.pth", Start("supervised", "a/b=c.pth")),
        ("ssl", Start("ssl", None)),
        ("ssl=runs/one", Start("ssl", "runs/one")),
        ("ssl+supervised", Start("ssl+supervised", None)),
        ("ssl+supervised=runs/two", Start("ssl+supervised", "runs/two")),
    ],
)
def test_starts_parse_and_print_as_written(text: str, start: Start) -> None:
    assert parse_start(text) == start
    assert str(start) == text


@pytest.mark.parametrize(
    "text", ["", "SSL", "ssl=", "scratch=x", "imagenet", "=x", "supervised+ssl", "ssl =", "supervised:x"]
)
def test_anything_else_is_an_error_that_names_the_grammar(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_start(text)
    assert GRAMMAR in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("start", "trained", "name", "letter"),
    [
        ("scratch", "full", "scratch/full", "A"),
        ("supervised=x.pth", "full", "supervised/full", "B"),
        ("ssl=runs/one", "full", "ssl/full", "C"),
        ("supervised", "frozen", "supervised/frozen", "D"),
        ("ssl", "frozen", "ssl/frozen", "E"),
        ("scratch", "frozen", "scratch/frozen", None),
        ("ssl+supervised=r", "full", "ssl+supervised/full", None),
        ("ssl+supervised", "frozen", "ssl+supervised/frozen", None),
    ],
)
def test_settings_have_the_seeds_letters(start: str, trained: str, name: str, letter: str | None) -> None:
    assert setting_name(start, trained) == name
    assert seed_letter(start, trained) == letter
