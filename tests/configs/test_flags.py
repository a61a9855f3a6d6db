"""The command line: every mistake at once, and the same words in Python."""

from pathlib import Path

import pytest

from headstart.cli import VERBS, load, main
from headstart.configs.flags import fields_of, parse
from headstart.configs.pretrain import PretrainConfig
from headstart.errors import ConfigError


def pretrain_config(*words: str) -> PretrainConfig:
    verb = VERBS["pretrain"]
    return parse(PretrainConfig, words, verb.positional)


def test_flags_win_over_the_recipe_and_the_recipe_over_the_defaults() -> None:
    config = pretrain_config(
        *["--data", "d", "--out", "o", "--recipe", "seed_byol", "--epochs", "3", "--optim.lr=1e-4"],
        *["--views.crop-scale", "0.5", "0.9", "--resume", "--json"],
    )
    assert (config.epochs, config.optim.lr, config.views.crop_scale) == (3, 1e-4, (0.5, 0.9))
    assert (config.batch_size, config.optim.name, config.views.style) == (32, "adam", "trivial")
    assert config.resume
    assert config.json_output
    assert config.out == Path("o")


def test_a_flag_can_be_negated_and_none_means_none() -> None:
    config = pretrain_config(
        *["--data", "d", "--out", "o", "--no-resume", "--budget-minutes", "none", "--workers", "2"]
    )
    assert not config.resume
    assert config.budget_minutes is None
    assert config.workers == 2


def test_all_mistakes_of_all_kinds_are_told_at_once() -> None:
    words = (
        "stray --dta x --epochs many --optim.lr fast --batch-size 10 --accumulate 3 --resume --overwrite --no-epochs"
    )
    with pytest.raises(ConfigError) as caught:
        pretrain_config(*words.split())
    text = "\n".join(caught.value.problems)
    for told in (
        "unknown flag --dta; did you mean --data?",
        "unknown flag --no-epochs",
        "unexpected word 'stray'",
        "--data is required",
        "--out is required",
        "--epochs 'many'",
        "--optim.lr 'fast'",
        "--batch-size 10 cannot be split",
        "--resume goes on",
    ):
        assert told in text
    assert len(caught.value.problems) == 9


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pretrain", "--data", "d", "--out", "o", "--start", "magic"], "--start: unknown start 'magic'"),
        (["pretrain", "--data", "d", "--out", "o", "--start", "ssl"], "name the pre-training run"),
        (["pretrain", "--data", "d", "--out", "o", "--start", "supervised", "--init-from", "r"], "give one of them"),
        (["classify", "--data", "d", "--out", "o", "--frozen-views", "3"], "add --frozen"),
        (["pretrain", "--data", "d", "--out", "o", "--views.crop-scale", "0.9", "0.1"], "smallest <= largest"),
        (["pretrain", "--data", "d", "--out", "o", "--recipe", "best"], "the recipes are default, seed_byol"),
        (["pretrain", "--data", "d", "d2", "--out", "o"], "--data takes one value, got 2"),
        (["study", "--data", "d", "--out", "o", "--seeds", "0"], "--seeds"),
        (["juggle"], "the commands are"),
    ],
)
def test_mistakes_end_with_code_2_and_no_traceback(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_explains_every_flag(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    for flag, field in fields_of(load(VERBS[verb].config)).items():
        assert f"--{flag}" in said
        assert field.description, f"--{flag} has no help"


def test_help_shows_the_defaults_of_the_default_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    main(["pretrain", "--help"])
    assert "--image-size INT  (default: 64)" in capsys.readouterr().out


def test_python_and_the_command_line_give_the_same_config() -> None:
    for recipe in ("default", "seed_byol"):
        python = PretrainConfig(data="d", out=Path("o"), recipe=recipe, epochs=7)
        assert pretrain_config("--data=d", "--out=o", f"--recipe={recipe}", "--epochs=7") == python
    with pytest.raises(ValueError, match="the recipes are"):
        PretrainConfig(data="d", out=Path("o"), recipe="nonsense")


def test_a_saved_config_reads_back_as_itself() -> None:
    config = PretrainConfig(data="d", out=Path("o"), recipe="seed_byol", epochs=7)
    assert PretrainConfig.model_validate_json(config.model_dump_json(by_alias=True)) == config
