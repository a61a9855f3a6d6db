"""Verbs of two words on the command line: found, explained, and refused with those there are."""

import json
from pathlib import Path

import pytest

from headstart.cli import main, split_verb


@pytest.mark.parametrize("words", [["data"], ["data", "--help"], ["data", "-h"]])
def test_the_first_word_alone_lists_its_verbs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "  data check" in capsys.readouterr().out


def test_help_on_two_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: headstart data check DATA")
    assert "--nearest-colour" in out
    assert main(["--help"]) == 0
    assert "\n  data check " in capsys.readouterr().out


def test_a_second_word_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "chek", "x"]) == 2
    err = capsys.readouterr().err
    assert "unknown command; the commands are: data check" in err
    assert "See: headstart data --help" in err


def test_words_are_split() -> None:
    assert split_verb(["data", "check", "x", "--json"]) == ("data check", ["x", "--json"])
    assert split_verb(["report", "run"]) == ("report", ["run"])
    assert split_verb(["data"]) == ("data", [])


def test_data_check_speaks_to_a_person_and_to_a_program(gratings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(gratings)]) == 0
    text = capsys.readouterr().out
    assert "Usable images: 60 for training, 30 for validation." in text
    assert "class-0" in text
    assert "33.33%" in text
    assert "No warnings." in text
    assert main(["data", "check", "--data", str(gratings), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_val"] == 30


def test_mistakes_carry_the_verbs_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith("headstart data check: There is no")
    assert main(["data", "check", "--pallete", "x"]) == 2
    err = capsys.readouterr().err
    assert "headstart data check: unknown flag --pallete; did you mean --palette?" in err
    assert "headstart data check: --data is required" in err
    assert "See: headstart data check --help" in err
