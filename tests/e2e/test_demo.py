"""The demo, shortened: real data, real ImageNet weights, every setting."""

from pathlib import Path

import pytest

from headstart.cli import main
from headstart.embedded import classification
from headstart.results import StudyResult


@pytest.mark.slow
def test_the_demo_ends_with_a_verdict_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "SEEDS", 1)
    monkeypatch.setattr(classification, "TILE_SIZE", 128)  # few tiles
    monkeypatch.setattr(classification, "IMAGE_SIZE", 32)
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--minutes", "0.2"]) == 0
    result = StudyResult.model_validate_json((out / "result.json").read_text())
    assert {row.letter for row in result.rows} == {"A", "B", "C", "D", "E", None}
    assert len(result.rows) == 8 * 2
    assert (out / "report.html").stat().st_size < 15e6
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/**/result.json")}
    assert main(["demo", "--out", str(out), "--minutes", "0.2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert main(["demo", "--out", str(out), "--minutes", "0.3"]) == 2


@pytest.mark.parametrize(("seconds", "step", "expected"), [(480, 0.1, 40), (72, 0.1, 30), (1, 1.0, 10)])
def test_steps_follow_the_machine_within_bounds(
    monkeypatch: pytest.MonkeyPatch, seconds: float, step: float, expected: int
) -> None:
    monkeypatch.setattr(classification, "SEEDS", 3)
    assert classification.steps_that_fit(seconds, step) == expected
