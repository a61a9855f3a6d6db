"""Bad settings, and RUN arguments that are none: exit code 2, every mistake named, no traceback."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.cli import VERBS, load, main
from headstart.configs.flags import parse
from headstart.errors import ConfigError

TRAIN = ["--data", "d", "--out", "o"]
WRONG: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "no command there is": (["juggle"], ("unknown command", "pretrain")),
    "unknown flag": (["pretrain", *TRAIN, "--lerning-rate", "1"], ("unknown flag --lerning-rate",)),
    "misspelt flag": (["pretrain", *TRAIN, "--epoch", "1"], ("did you mean --epochs?",)),
    "misspelt group": (["pretrain", *TRAIN, "--optm.lr", "1"], ("did you mean --optim.lr?",)),
    "a dash alone": (["pretrain", *TRAIN, "--"], ("unknown flag --",)),
    "flag of another verb": (["classify", *TRAIN, "--byol.tau", "1"], ("unknown flag --byol.tau",)),
    "nothing required": (["pretrain"], ("--data is required", "--out is required")),
    "no value": (["pretrain", *TRAIN, "--epochs"], ("--epochs takes one value, got 0",)),
    "two values": (["pretrain", *TRAIN, "--epochs", "1", "2"], ("--epochs takes one value, got 2",)),
    "text for a number": (["pretrain", *TRAIN, "--epochs", "many"], ("--epochs 'many'",)),
    "fraction for a count": (["pretrain", *TRAIN, "--epochs", "1.5"], ("--epochs '1.5'",)),
    "zero": (["pretrain", *TRAIN, "--epochs", "0"], ("--epochs '0'",)),
    "negative": (["pretrain", *TRAIN, "--seed", "-1"], ("--seed '-1'",)),
    "nan rate": (["pretrain", *TRAIN, "--optim.lr", "nan"], ("--optim.lr",)),
    "infinite rate": (["pretrain", *TRAIN, "--optim.lr", "inf"], ("--optim.lr",)),
    "infinite minutes": (["pretrain", *TRAIN, "--budget-minutes", "inf"], ("--budget-minutes",)),
    "nan minutes": (["demo", "--out", "o", "--minutes", "nan"], ("--minutes",)),
    "no truth value": (["pretrain", *TRAIN, "--resume=perhaps"], ("--resume 'perhaps'",)),
    "unknown choice": (["pretrain", *TRAIN, "--precision", "fp8"], ("--precision 'fp8'", "bf16")),
    "unknown recipe": (["pretrain", *TRAIN, "--recipe", "best"], ("the recipes are",)),
    "unknown start": (["classify", *TRAIN, "--start", "magic"], ("unknown start 'magic'",)),
    "start without a run": (["classify", *TRAIN, "--start", "ssl"], ("name the pre-training run",)),
    "one number of two": (["pretrain", *TRAIN, "--views.crop-scale", "0.5"], ("--views.crop-scale",)),
    "crop the wrong way round": (["pretrain", *TRAIN, "--views.crop-scale", "0.9", "0.1"], ("smallest <= largest",)),
    "probability above one": (["pretrain", *TRAIN, "--views.flip", "1.1"], ("--views.flip",)),
    "resume and overwrite": (["pretrain", *TRAIN, "--resume", "--overwrite"], ("give one of them",)),
    "start and init-from": (["pretrain", *TRAIN, "--start", "supervised", "--init-from", "r"], ("give one of them",)),
    "odd split": (["pretrain", *TRAIN, "--batch-size", "10", "--accumulate", "3"], ("cannot be split",)),
    "batches of one": (["pretrain", *TRAIN, "--batch-size", "4", "--accumulate", "4"], ("batch norm needs 2",)),
    "views without frozen": (["classify", *TRAIN, "--frozen-views", "3"], ("add --frozen",)),
    "no labels at all": (["classify", *TRAIN, "--label-fraction", "0"], ("--label-fraction '0'",)),
    "more than all labels": (["classify", *TRAIN, "--label-fraction", "1.5"], ("--label-fraction '1.5'",)),
    "a part there is not": (["classify", *TRAIN, "--held-out", "5"], ("--held-out '5'",)),
    "a palette for classes": (["study", *TRAIN, "--palette", "x"], ("add --task segment",)),
    "rates below zero": (["study", *TRAIN, "--lr-grid", "1", "-1"], ("above zero",)),
    "unknown task": (["study", *TRAIN, "--task", "detect"], ("--task 'detect'",)),
    "too much overlap": (["predict", "r", "x", "--out", "o", "--tiles.overlap", "0.9"], ("--tiles.overlap",)),
    "a stray word": (["evaluate", "r", "s", "--data", "d"], ("unexpected word 's'",)),
    "five mistakes at once": (
        ["pretrain", "stray", "--dta", "x", "--epochs", "many", "--optim.lr", "fast", "--resume", "--overwrite"],
        ("'stray'", "--dta", "'many'", "'fast'", "--data is required", "--resume goes on"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_refused(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, told = WRONG[case]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert all(each in said for each in told), said
    assert "--help" in said


RECORDS = {
    "empty": "",
    "cut short": '{"schema_version": 1, "verb": "seg',
    "a list": "[]",
    "nothing in it": "{}",
    "another tool's": '{"model": "resnet", "epochs": 3}',
    "of a newer schema": '{"schema_version": 99, "verb": "segment", "config": {}}',
    "a word for the schema": '{"schema_version": "x", "verb": "segment", "config": {}}',
    "no schema": '{"schema_version": null, "verb": "segment", "config": {}}',
    "a number for the config": '{"schema_version": 1, "verb": "segment", "config": 5}',
    "a list for the verb": '{"schema_version": 1, "verb": ["x"], "config": {}}',
    "a study's": '{"schema_version": 1, "verb": "study", "config": {}}',
    "a pre-training's": '{"schema_version": 1, "verb": "pretrain", "config": {}}',
    "of an unknown verb": '{"schema_version": 1, "verb": "juggle", "config": {}}',
    "without its export": '{"schema_version": 1, "verb": "classify", "config": {}}',
    "too deep": "[" * 100_000,
    "not UTF-8": '{"verb": "\udcff"}',
}
USES = {
    "predict": ["predict", "RUN", "RUN", "--out", "OUT"],
    "evaluate": ["evaluate", "RUN", "--data", "RUN"],
    "tsne": ["tsne", "RUN"],
    "report": ["report", "RUN"],
}


def answer(use: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a run that cannot be used; the exit code is 2."""
    words = [{"RUN": str(run), "OUT": str(tmp_path / "out")}.get(word, word) for word in USES[use]]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert str(run) in said
    return said


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", RECORDS)
def test_runs_refused(case: str, use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes(RECORDS[case].encode(errors="surrogateescape"))
    (run / "result.json").write_text("{}")
    answer(use, run, tmp_path, capsys)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("case", ["missing", "an empty folder", "a file", "too long", "a device"])
def test_what_is_no_run(case: str, use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "an empty folder").mkdir()
    (tmp_path / "a file").write_text("x")
    run = {"too long": tmp_path / ("x" * 300), "a device": Path("/dev/null")}.get(case, tmp_path / case)
    answer(use, run, tmp_path, capsys)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verb=st.sampled_from(sorted(VERBS)), words=st.lists(st.text(max_size=12), max_size=6), data=st.data())
def test_any_words_are_a_config_or_a_config_error(verb: str, words: list[str], data: st.DataObject) -> None:
    config = load(VERBS[verb].config)
    flags = [f"--{name.replace('_', '-')}" for name in config.model_fields]
    mixed = [word for each in words for word in (data.draw(st.sampled_from(flags)), each)]
    try:
        parse(config, mixed, VERBS[verb].positional)
    except ConfigError as error:
        assert error.problems  # noqa: PT017


def test_a_damaged_record_is_not_gone_on_with(tmp_path: Path, gratings: Path) -> None:
    """Resuming and overwriting leave alone what is not theirs."""
    run = tmp_path / "run"
    run.mkdir()
    for record in ("[]", json.dumps({"schema_version": "x", "verb": "pretrain", "config": {}})):
        (run / "config.json").write_text(record)
        for way in ("--resume", "--overwrite"):
            assert main(["pretrain", "--data", str(gratings), "--out", str(run), way, "--backbone", "test_resnet"]) == 2
            assert (run / "config.json").read_text() == record
