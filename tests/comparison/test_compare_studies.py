"""Two studies, with all their runs: equal wherever they lie, and told apart by the run that differs first."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tests.comparison.edited_runs import in_json, nudge

from headstart.comparison.compare import compare_runs
from headstart.comparison.run_record import labels
from headstart.summaries import summary_lines

PRETRAINED = "runs/pretrain/ssl"
FULL = "runs/scratch/full/labels-1.0"
FROZEN = "runs/ssl/frozen/labels-1.0/seed-0"


def write_run(folder: Path, verb: str, result: dict[str, Any], **config: Any) -> None:
    """The files of a finished run of two steps."""
    (folder / "export").mkdir(parents=True)
    record = {"schema_version": 1, "verb": verb, "config": {"out": str(folder)} | config, "versions": {"timm": "1"}}
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "result.json").write_text(json.dumps(result | {"seconds": time.perf_counter()}))
    rows = [{"step": i, "epoch": 1, "split": "train", "name": "loss", "value": 1.0, "time": i} for i in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "export" / "backbone.safetensors").write_bytes(b"weights")


def write_study(root: Path) -> Path:
    """A study's directory with a pre-training, one choice of a learning rate and two runs."""
    write_run(root / PRETRAINED, "pretrain", {"steps": 2})
    write_run(root / FULL / "tuning" / "lr-0.3" / "held-out-0", "classify", {"accuracy": 0.5}, start="scratch")
    write_run(root / FULL / "seed-0", "classify", {"accuracy": 0.5}, start="scratch")
    start = f"ssl={(root / PRETRAINED).resolve()}"
    write_run(root / FROZEN, "classify", {"accuracy": 0.5, "start": start}, start=start)
    write_run(root, "study", {"rows": [{"setting": "scratch/full", "label_fraction": 1.0, "mean": 0.5}]})
    (root / "metrics.jsonl").unlink()
    (root / "export" / "backbone.safetensors").unlink()
    return root


@pytest.fixture
def studies(tmp_path: Path) -> tuple[Path, Path]:
    """One study done twice, in two places; the second was moved afterwards."""
    return write_study(tmp_path / "a"), Path(shutil.move(write_study(tmp_path / "b"), tmp_path / "moved"))


def test_a_study_done_again_elsewhere_is_equal(studies: tuple[Path, Path]) -> None:
    result = compare_runs(*studies)
    assert result.differences == []
    assert (result.equal, result.same_numbers, result.without_effect) == (True, True, ["out"])
    assert (result.n_runs, result.n_results) == (5, 5)
    assert (result.n_values, result.n_weights) == (4 * 2, 4)
    assert summary_lines(result, None)[2].startswith("A and B are equal: ")


def test_the_pretraining_comes_first_then_the_choice_of_rates(studies: tuple[Path, Path], tmp_path: Path) -> None:
    first, other = studies[0], Path(shutil.copytree(studies[1], tmp_path / "other"))
    run = other / FULL
    in_json("result.json", "accuracy", value=2.0)(run / "seed-0")
    in_json("result.json", "rows", value=[])(other)
    nudge(1, "loss", 1.0)(run / "tuning" / "lr-0.3" / "held-out-0")
    nudge(2, "loss", 1.0)(other / PRETRAINED)
    found = compare_runs(first, other).differences
    assert [(each.kind, each.run) for each in found[:3]] == [
        ("step", PRETRAINED),
        ("step", f"{FULL}/tuning/lr-0.3/held-out-0"),
        ("result", f"{FULL}/seed-0"),
    ]
    assert {(each.kind, each.run) for each in found[3:]} == {("result", "")}


def test_a_run_that_one_study_lacks_is_named(studies: tuple[Path, Path], tmp_path: Path) -> None:
    other = Path(shutil.copytree(studies[1], tmp_path / "other"))
    shutil.rmtree(other / FROZEN)
    result = compare_runs(studies[0], other)
    assert [(each.kind, each.run, each.missing) for each in result.differences] == [("run", FROZEN, "b")]
    assert result.same_numbers


def test_what_a_whole_study_differs_in_is_not_said_of_each_run(studies: tuple[Path, Path], tmp_path: Path) -> None:
    other = Path(shutil.copytree(studies[1], tmp_path / "other"))
    for path in [other, *(config.parent for config in other.glob("*/**/config.json"))]:
        in_json("config.json", "versions", "timm", value="0")(path)
    in_json("config.json", "versions", "timm", value="2")(other / PRETRAINED)
    found = compare_runs(studies[0], other).differences
    assert [(each.kind, each.name, each.run, each.b) for each in found] == [
        ("version", "timm", "", "0"),
        ("version", "timm", PRETRAINED, "2"),
    ]


def test_records_of_a_list_are_found_by_what_tells_them_apart() -> None:
    rows = [{"setting": "a", "label_fraction": 0.1}, {"setting": "a", "label_fraction": 1.0}]
    assert labels(rows) == ["a 0.1", "a 1.0"]
    assert labels([*rows, rows[0]]) == ["0", "1", "2"]
    assert labels([{"x": 1}, {"x": 2}]) == ["0", "1"]
