"""The demo's automatic masks: found where weights are at hand, and plainly not where there are none."""

import json
from pathlib import Path

import pytest
from tests.reports import synthetic
from tests.sam.colours import ByColour, use, write_png
from tests.sam.colours import scene as drawn

from headstart.configs.study import DemoConfig
from headstart.embedded import objects
from headstart.reports.render import write_report
from headstart.results import MasksResult


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoConfig:
    """A demo whose study is there, with an empty cache and three small scenes."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    scenes = tuple(str(write_png(tmp_path / "scenes" / f"{i:04}_sat.png", drawn(80, 90, i))) for i in range(3))
    monkeypatch.setattr(objects, "scenes", lambda: scenes)
    return DemoConfig(out=synthetic.write_study(tmp_path / "demo"), minutes=5)


def test_without_weights_the_page_says_so_and_how_to_have_them(demo, monkeypatch, caplog):
    monkeypatch.setattr("headstart.sam.verb.load_engine", lambda config: pytest.fail("nothing is to be loaded"))
    assert not objects.run_objects(demo)
    html = write_report(demo.out).read_text(encoding="utf-8")
    assert "did not run Segment Anything" in html
    assert "sam_vit_b_01ec64.pth (375 MB)" in html
    assert "--minutes 5 --sam FILE" in html


def test_with_weights_on_disk_the_page_shows_the_masks(demo, tmp_path, monkeypatch):
    use(monkeypatch, ByColour())
    (tmp_path / "own.pth").write_bytes(b"weights")
    assert objects.run_objects(demo.model_copy(update={"sam": tmp_path / "own.pth"}))
    result = MasksResult.model_validate_json((demo.out / "masks" / "result.json").read_text())
    assert len(result.images) == 3
    html = write_report(demo.out).read_text(encoding="utf-8")
    assert "did not run" not in html
    assert "own.pth" in html
    assert "16 \u00d7 16 points" in html
    assert html.count('tinted and outlined"') == 3


def test_a_model_in_the_cache_is_taken_and_a_later_demo_forgets_what_was_missing(demo, tmp_path, monkeypatch):
    assert not objects.run_objects(demo)
    (tmp_path / "cache" / "sam" / "vit_l").mkdir(parents=True)
    (tmp_path / "cache" / "sam" / "vit_l" / "sam_vit_l_0b3195.pth").write_bytes(b"weights")
    use(monkeypatch, ByColour())
    assert objects.run_objects(demo)
    assert json.loads((demo.out / "masks" / "result.json").read_text())["model"] == "vit_l"
    assert "did not run" not in write_report(demo.out).read_text(encoding="utf-8")
