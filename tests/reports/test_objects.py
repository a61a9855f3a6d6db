"""The page of automatic masks: overlays, counts, sizes, coverage, and the method with every parameter in words."""

import json

import pytest
from tests.reports import synthetic
from tests.reports.synthetic_objects import NAMES, write_objects

from headstart.cli import main
from headstart.reports import object_facts
from headstart.reports.facts import read_facts
from headstart.reports.object_page import method_words
from headstart.reports.page import page_of
from headstart.reports.render import write_report


def page_at(folder):
    return page_of(read_facts(folder))


def test_the_page_has_every_image_with_its_numbers(tmp_path):
    view = page_at(write_objects(tmp_path))["objects"]
    assert [row.name for row in view["rows"]] == list(NAMES)
    last = view["rows"][2]
    assert (last.n_masks, last.coverage) == ("114", "50.0\u202f%")
    assert last.areas == ("12", "340", "120\u202fk")
    assert last.size == "40\u202f400 \u00d7 300, 12 tiles"
    assert view["rows"][0].areas == ("\u2013",) * 3
    assert [tile["name"] for tile in view["overlays"]] == list(NAMES)
    assert view["unseen"] == 0


def test_the_head_says_what_was_found_and_what_was_not(tmp_path):
    page = page_at(write_objects(tmp_path))
    assert page["verdict"].startswith("171 masks in 3 images")
    assert any("quarantine.csv" in detail for detail in page["details"])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"points_per_side": 17}, "17 \u00d7 17 points"),
        ({"pred_iou_thresh": 0.123}, "0.123"),
        ({"stability_score_thresh": 0.456}, "0.456"),
        ({"stability_score_offset": 0.789}, "0.789"),
        ({"box_nms_thresh": 0.321}, "0.321"),
        ({"crop_n_layers": 2}, "2 layers of crops"),
        ({"crop_n_layers": 1, "crop_nms_thresh": 0.654}, "0.654"),
        ({"min_mask_region_area": 77}, "77 pixels"),
        ({"low_resolution_stability": True}, "shortcut"),
    ],
)
def test_the_method_is_told_with_its_parameters(tmp_path, setting, said):
    usual = " ".join(method_words(read_facts(write_objects(tmp_path / "usual")).objects.result))
    changed = " ".join(method_words(read_facts(write_objects(tmp_path / "changed", **setting)).objects.result))
    assert said in changed
    assert said not in usual


def test_tiles_are_told_only_where_there_were_some(tmp_path):
    assert "tiles" in " ".join(method_words(read_facts(write_objects(tmp_path / "a")).objects.result))
    whole = read_facts(write_objects(tmp_path / "b", names=NAMES[:1])).objects.result
    assert "tiles" not in " ".join(method_words(whole))


def test_names_do_no_harm(tmp_path):
    html = write_report(write_objects(tmp_path)).read_text(encoding="utf-8")
    assert NAMES[1] not in html
    assert NAMES[2] not in html


def test_many_images_are_shown_in_part_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(object_facts, "MOST_OVERLAYS", 4)
    names = tuple(f"{i}.png" for i in range(11))
    view = page_at(write_objects(tmp_path, names))["objects"]
    assert [tile["name"] for tile in view["overlays"]] == ["0.png", "2.png", "5.png", "8.png"]
    assert view["unseen"] == 7
    assert "7 further images are not shown" in write_report(tmp_path).read_text(encoding="utf-8")


def test_overlays_never_bloat_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(object_facts, "OVERLAY_BYTES", 150_000)
    facts = read_facts(write_objects(tmp_path, tuple(f"{i}.png" for i in range(11)))).objects
    assert 0 < sum(len(picture.uri) for _, picture in facts.overlays) <= 150_000


def test_a_missing_or_foreign_overlay_is_left_out(tmp_path):
    write_objects(tmp_path / "run")
    (tmp_path / "run" / "1_overlay.png").unlink()
    raw = json.loads((tmp_path / "run" / "result.json").read_text())
    (tmp_path / "secret.png").write_bytes((tmp_path / "run" / "0_overlay.png").read_bytes())
    raw["images"][0]["overlay"] = "../secret.png"
    (tmp_path / "run" / "result.json").write_text(json.dumps(raw))
    view = page_at(tmp_path / "run")["objects"]
    assert [tile["name"] for tile in view["overlays"]] == [NAMES[2]]
    assert view["unseen"] == 2


def test_masks_beside_a_study_are_on_its_page(tmp_path):
    study = synthetic.write_study(tmp_path)
    assert "objects" not in [section["name"] for section in page_at(study)["sections"]]
    (study / "masks").mkdir()
    (study / "masks" / "notes.json").write_text('["There was no checkpoint at hand."]')
    html = write_report(study).read_text(encoding="utf-8")
    assert "There was no checkpoint at hand." in html
    assert "Masks by Segment Anything" in html
    write_objects(study / "masks")
    page = page_at(study)
    names = [section["name"] for section in page["sections"]]
    assert names.index("objects") == names.index("repeat") - 1
    assert page["objects"]["summary"].startswith("171 masks")
    assert "171 masks" in write_report(study).read_text(encoding="utf-8")


def test_the_command_line_takes_it(tmp_path, capsys):
    assert main(["report", str(write_objects(tmp_path))]) == 0
    assert (tmp_path / "report.html").is_file()
