"""The demo, shortened: real data, real ImageNet weights, every setting."""

import json
from pathlib import Path

import pytest

from headstart.cli import main
from headstart.configs.study import DemoConfig
from headstart.data import landcover
from headstart.embedded import classification
from headstart.embedded.landcover import study_config
from headstart.results import StudyResult


@pytest.mark.slow
@pytest.mark.timeout(900)  # the whole demo, twice: on busy cores more than the five minutes of other tests
def test_the_demo_ends_with_a_verdict_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "SEEDS", 1)
    monkeypatch.setattr(classification, "TILE_SIZE", 128)  # few tiles
    monkeypatch.setattr(classification, "IMAGE_SIZE", 32)
    monkeypatch.setattr(landcover, "PARTS", {"train": ("train", 20), "val": ("validation", 16)})  # VGG16 is slow
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--minutes", "0.2"]) == 0
    result = StudyResult.model_validate_json((out / "result.json").read_text())
    assert {row.letter for row in result.rows} == {"A", "B", "C", "D", "E", None}
    assert len(result.rows) == 8 * 2
    assert (out / "report.html").stat().st_size < 15e6
    models = [json.loads((out / "segmentation" / name / "result.json").read_text()) for name in ("model-a", "model-b")]
    assert [model["model"] for model in models] == ["fcn32s-seed", "unet"]
    assert [model["start"] for model in models] == ["scratch", "supervised"]
    assert all(model["miou"] is not None and len(model["samples"]) == 3 for model in models)
    starts = StudyResult.model_validate_json((out / "segmentation" / "study" / "result.json").read_text())
    assert [row.setting for row in starts.rows] == ["scratch/full", "ssl/full", "supervised/full"]
    assert "fcn32s-seed" in (out / "report.html").read_text(encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in out.glob("**/seed-*/result.json")}
    assert main(["demo", "--out", str(out), "--minutes", "0.2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert main(["demo", "--out", str(out), "--minutes", "0.3"]) == 2


def test_the_demo_chooses_no_learning_rates_to_keep_to_its_minutes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"schema_version": 1, "verb": "study", "config": {"min_steps": 7}}')
    config = DemoConfig(out=tmp_path)
    assert classification.demo_study(config, 7).lr_grid == (1.0,)
    assert study_config(config, tmp_path).lr_grid == (1.0,)


@pytest.mark.parametrize(("seconds", "step", "expected"), [(480, 0.1, 40), (72, 0.1, 30), (1, 1.0, 10)])
def test_steps_follow_the_machine_within_bounds(
    monkeypatch: pytest.MonkeyPatch, seconds: float, step: float, expected: int
) -> None:
    monkeypatch.setattr(classification, "SEEDS", 3)
    assert classification.steps_that_fit(seconds, step) == expected
