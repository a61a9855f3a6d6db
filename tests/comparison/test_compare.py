"""Two runs that are equal say so; one that was changed in one thing is told by that thing, and by nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.comparison.edited_runs import Edit, flip_a_bit, in_json, interrupt, nudge, remove, write

import headstart
from headstart.cli import main
from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.compare import CompareConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.results import CompareResult
from headstart.summaries import summary_lines
from headstart.tasks.pretrain import pretrain

WEIGHTS = "export/backbone.safetensors"


def config(data: Path, out: Path, **changes: Any) -> PretrainConfig:
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "image_size": 32,
        "batch_size": 8,
        "epochs": 2,
        "precision": "fp32",
        "workers": 0,
        "byol": ByolConfig(hidden_size=32, projection_size=16),
        "watch": WatchConfig(looks=2, images=32),
    }
    return PretrainConfig(data=str(data), out=out, **(settings | changes))


@pytest.fixture(scope="module")
def run(flat_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training of 6 steps."""
    out = tmp_path_factory.mktemp("compared") / "run"
    pretrain(config(flat_images, out))
    return out


@pytest.fixture
def other(run: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(run, tmp_path / "other"))


def compared(a: Path, b: Path) -> CompareResult:
    return headstart.compare(CompareConfig(run_a=a, run_b=b))


def test_a_run_done_again_is_equal_whatever_changes_no_number(run: Path, flat_images: Path, tmp_path: Path) -> None:
    pretrain(config(flat_images, tmp_path / "again", workers=1, checkpoint_steps=2))
    result = compared(run, tmp_path / "again")
    assert (result.equal, result.same_numbers, result.differences, result.notes) == (True, True, [], [])
    assert sorted(result.without_effect) == ["checkpoint_steps", "out", "workers"]
    assert (result.n_runs, result.n_results, result.n_weights) == (1, 1, 1)
    assert result.n_values == len((run / "metrics.jsonl").read_text().splitlines())
    assert "A and B are equal: " in summary_lines(result, None)[2]


def test_another_seed_is_told_by_setting_step_result_and_weights(run: Path, flat_images: Path, tmp_path: Path) -> None:
    pretrain(config(flat_images, tmp_path / "seed", seed=1))
    result = compared(run, tmp_path / "seed")
    assert result.first is not None
    assert (result.first.kind, result.first.name, result.first.a, result.first.b) == ("setting", "seed", 0, 1)
    assert result.first_step is not None
    assert (result.first_step.name, result.first_step.step, result.first_step.count) == ("train loss", 1, 6)
    assert not result.equal
    assert not result.same_numbers
    assert {each.kind for each in result.differences} == {"setting", "step", "result", "weights"}
    lines = summary_lines(result, None)
    assert lines[2] == "A and B first differ in a setting: seed."
    assert lines[3].startswith("The numbers first differ at step 1: train loss, by up to ")


ONE_THING: dict[str, tuple[Edit, tuple[str, str]]] = {
    "a setting": (in_json("config.json", "config", "optim", "lr", value=0.5), ("setting", "optim.lr")),
    "a setting unknown to the other": (in_json("config.json", "config", "new", value=1), ("setting", "new")),
    "the length it came to": (in_json("config.json", "resolved", "steps", value=7), ("setting", "resolved.steps")),
    "processes": (in_json("config.json", "resolved", "processes", value=2), ("setting", "resolved.processes")),
    "accelerators": (in_json("config.json", "config", "devices", value=2), ("setting", "devices")),
    "a version": (in_json("config.json", "versions", "torch", value="1.0"), ("version", "torch")),
    "the machine": (in_json("config.json", "machine", "processor", value="abacus"), ("machine", "processor")),
    "the data": (in_json("data.json", "fingerprint", value="0"), ("data", "fingerprint")),
    "the loss from a step on": (nudge(4, "loss", 1e-9), ("step", "train loss")),
    "the result": (in_json("result.json", "loss_last", value=0.25), ("result", "loss_last")),
    "a nested result": (in_json("result.json", "views", "threshold", value=0.25), ("result", "views.threshold")),
    "a bit of the weights": (flip_a_bit(WEIGHTS), ("weights", WEIGHTS)),
    "weights that are gone": (remove(WEIGHTS), ("weights", WEIGHTS)),
    "the task": (in_json("config.json", "verb", value="classify"), ("task", "verb")),
    "an interruption": (interrupt(3), ("run", "result.json")),
}


@pytest.mark.parametrize("case", ONE_THING)
def test_one_thing_is_found_alone_and_from_either_side(run: Path, other: Path, case: str) -> None:
    edit, expected = ONE_THING[case]
    edit(other)
    there, back = compared(run, other), compared(other, run)
    for result in (there, back):
        assert [(each.kind, each.name) for each in result.differences] == [expected]
        assert not result.equal
        assert result.same_numbers == (expected[0] not in ("step", "result", "weights", "task"))
        assert any(expected[1] in line for line in summary_lines(result, None)[2:])
    assert (there.differences[0].a, there.differences[0].b) == (back.differences[0].b, back.differences[0].a)


def test_the_first_step_is_the_first_with_how_many_and_how_far(run: Path, other: Path) -> None:
    nudge(4, "loss", 0.5)(other)
    nudge(5, "tau", 0.25)(other)
    first, second = compared(run, other).differences
    assert (first.name, first.step, first.count) == ("train loss", 4, 3)
    assert first.largest == pytest.approx(0.5)
    assert (second.name, second.step, second.count) == ("train tau", 5, 2)


def test_an_unfinished_run_is_compared_as_far_as_it_went(run: Path, other: Path) -> None:
    interrupt(3)(other)
    nudge(2, "loss", 0.5)(other)
    result = compared(run, other)
    assert [(each.kind, each.step, each.count) for each in result.differences] == [("run", None, 1), ("step", 2, 2)]
    assert result.notes == ["Run B has not finished: compared up to step 3, without result and weights."]
    assert (result.n_results, result.n_weights) == (0, 0)


NO_RUN: dict[str, Edit] = {
    "no config": remove("config.json"),
    "another tool's config": write("config.json", '{"model_type": "bert"}'),
    "a torn config": write("config.json", '{"schema_version": 1, "verb'),
    "a list for a config": write("config.json", "[]"),
    "settings that are none": in_json("config.json", "config", value=[1]),
    "a newer schema": in_json("config.json", "schema_version", value=99),
    "torn data": write("data.json", '{"spec'),
    "a list for data": write("data.json", "[1]"),
    "a torn result": write("result.json", "{"),
    "a metric that is no JSON": write("metrics.jsonl", "step 1\n"),
    "a metric without a value": write("metrics.jsonl", '{"step": 1, "split": "train", "name": "loss"}\n'),
    "bytes for metrics": lambda run: (run / "metrics.jsonl").write_bytes(b"\xff\xfe\n") and None,
}


@pytest.mark.parametrize("case", NO_RUN)
def test_what_is_no_run_is_refused_in_one_line(
    run: Path, other: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    NO_RUN[case](other)
    for pair in ((run, other), (other, run)):
        assert main(["compare", *map(str, pair)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("headstart compare: ")
        assert str(other) in err


def test_a_path_that_leads_nowhere_or_to_a_file_or_twice_to_one_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "nowhere", tmp_path / "file", tmp_path):
        assert main(["compare", str(run), str(wrong)]) == 2
        assert f"{wrong} is not a run directory" in capsys.readouterr().err
    assert main(["compare", str(run), f"{run.parent}/./run"]) == 2
    assert "are one directory" in capsys.readouterr().err
    assert main(["compare", str(run)]) == 2
    assert "--run-b is required" in capsys.readouterr().err


def test_the_command_speaks_to_a_person_and_to_a_program(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_json("config.json", "versions", "torch", value="\x1b[31m1.0")(other)
    in_json("config.json", "config", "\x1b[2Jtrap", value=1)(other)
    assert main(["compare", str(run), str(other)]) == 0
    text = capsys.readouterr().out
    assert "A and B first differ in a setting: ?[2Jtrap.\nNo number differs: " in text
    assert "\x1b" not in text
    assert main(["compare", str(run), str(other), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["equal"], printed["same_numbers"]) == (False, True)
    assert [each["kind"] for each in printed["differences"]] == ["setting", "version"]
    assert CompareResult.model_validate(printed).first_step is None


def test_a_table_shows_ten_of_a_kind(run: Path, other: Path) -> None:
    for i in range(13):
        in_json("config.json", "config", f"new-{i}", value=i)(other)
    lines = summary_lines(compared(run, other), None)
    assert sum("new-" in line for line in lines[5:]) == 10
    assert any("... and 3 more (--json lists all)" in line for line in lines)
