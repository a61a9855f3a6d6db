"""``headstart masks`` from the command line: files for every input, kept, refused or set aside as ``predict`` does."""

import json
import os
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import torch
from pycocotools.coco import COCO
from tests.inference.synthetic import write_raster
from tests.sam import tiny_sam
from tests.sam.colours import ByColour, WithWhole, scene, use, write_png

from headstart.cli import main
from headstart.configs.masks import MaskConfig, MasksConfig
from headstart.errors import ConfigError, DataError, RunError, WeightsError
from headstart.results import MasksResult
from headstart.sam.files import read_masks
from headstart.sam.verb import masks


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures, one of them deeper down, and a GeoTIFF."""
    folder = tmp_path / "in"
    write_png(folder / "a.png", scene(120, 160))
    write_png(folder / "deep" / "b_sat.png", scene(90, 200, seed=1))
    write_raster(folder / "c.tif", np.moveaxis(scene(150, 140, seed=2), 2, 0))
    return folder


def stamps(folder: Path) -> dict[str, int]:
    own = ("result.json", "config.json", "coco.json")
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.name not in own
    }


def test_every_input_gets_its_files(photos, tmp_path, monkeypatch, capsys):
    use(monkeypatch, WithWhole())
    out = tmp_path / "out"
    assert main(["masks", str(photos), "--out", str(out), "--model", "vit_b"]) == 0
    assert "cover" in capsys.readouterr().out
    written = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert written == {
        *("config.json", "result.json", "coco.json", "files.csv"),
        *("a_masks.json", "a_ids.png", "a_overlay.png"),
        *("deep/b_masks.json", "deep/b_ids.png", "deep/b_overlay.png"),
        *("c_masks.json", "c_ids.tif", "c_overlay.png", "c_masks.gpkg"),
    }
    result = MasksResult.model_validate_json((out / "result.json").read_text())
    assert [image.name for image in result.images] == ["a.png", "c.tif", "deep/b_sat.png"]
    for image in result.images:
        found = read_masks(out / image.masks)
        assert (image.n_masks, image.coverage, image.areas) == (len(found.masks), found.coverage, found.areas)
    pixels = sum(image.width * image.height for image in result.images)
    assert result.pixels == pixels == 120 * 160 + 90 * 200 + 150 * 140
    covered = sum(read_masks(out / image.masks).covered for image in result.images)
    assert result.coverage == pytest.approx(covered / pixels)
    assert result.n_masks == len(COCO(str(out / "coco.json")).anns)
    assert pyogrio.read_info(out / "c_masks.gpkg")["crs"] == "EPSG:32633"


def test_masks_lie_over_one_another_in_the_json_and_not_in_the_id_raster(photos, tmp_path, monkeypatch):
    use(monkeypatch, WithWhole())
    masks(MasksConfig(inputs=(str(photos / "a.png"),), out=tmp_path / "out"))
    image = read_masks(tmp_path / "out" / "a_masks.json")
    assert sum(mask.area for mask in image.masks) == 2 * image.covered


def test_the_same_command_again_does_nothing(photos, tmp_path, monkeypatch):
    generator = ByColour()
    use(monkeypatch, generator)
    words = ["masks", str(photos), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    before, seen = stamps(tmp_path / "out"), len(generator.seen)
    monkeypatch.setattr("headstart.sam.verb.load_engine", lambda config: pytest.fail("nothing needs the model"))
    assert main(words) == 0
    assert stamps(tmp_path / "out") == before
    assert len(generator.seen) == seen
    result = MasksResult.model_validate_json((tmp_path / "out" / "result.json").read_text())
    assert (len(result.images), result.pixels) == (3, 0)
    assert result.precision == "fp32"  # of the model that found the masks, not of this call's flags


@pytest.mark.parametrize("lost", ["a_ids.png", "a_overlay.png", "c_ids.tif", "c_masks.gpkg"])
def test_a_lost_file_is_made_from_the_masks_without_the_model(photos, tmp_path, monkeypatch, lost):
    use(monkeypatch, ByColour())
    words = ["masks", str(photos), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    before, content = stamps(tmp_path / "out"), (tmp_path / "out" / lost).read_bytes()
    (tmp_path / "out" / lost).unlink()
    monkeypatch.setattr("headstart.sam.verb.load_engine", lambda config: pytest.fail("nothing needs the model"))
    assert main(words) == 0
    if not lost.endswith("gpkg"):  # which has the time in it
        assert (tmp_path / "out" / lost).read_bytes() == content
    after = stamps(tmp_path / "out")
    assert {name for name in before if after[name] != before[name]} == {lost}


def test_what_was_stopped_goes_on_after_the_last_image(photos, tmp_path, monkeypatch):
    class Stops(ByColour):
        def generate(self, image):
            if self.seen:
                raise KeyboardInterrupt
            return super().generate(image)

    words = ["masks", str(photos), "--out", str(tmp_path / "out")]
    use(monkeypatch, Stops())
    assert main(words) == 130
    assert not (tmp_path / "out" / "result.json").exists()
    generator = ByColour()
    use(monkeypatch, generator)
    assert main(words) == 0
    assert len(generator.seen) == 2


def test_a_changed_input_is_looked_at_again(photos, tmp_path, monkeypatch):
    generator = ByColour()
    use(monkeypatch, generator)
    words = ["masks", str(photos), "--out", str(tmp_path / "out")]
    main(words)
    write_png(photos / "a.png", scene(100, 100, seed=9))
    os.utime(photos / "a.png", ns=(1, 1))
    generator.seen.clear()
    assert main(words) == 0
    assert generator.seen == [(100, 100)]


@pytest.mark.parametrize("flags", [["--points-per-side", "16"], ["--model", "vit_b"], ["--tiles.overlap", "0.5"]])
def test_other_settings_never_mix_with_what_is_there(photos, tmp_path, monkeypatch, capsys, flags):
    use(monkeypatch, ByColour())
    words = ["masks", str(photos), "--out", str(tmp_path / "out")]
    main(words)
    before = stamps(tmp_path / "out")
    assert main([*words, *flags]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert stamps(tmp_path / "out") == before
    assert main([*words, *flags, "--overwrite"]) == 0


def test_prompts_in_a_batch_are_no_other_settings(photos, tmp_path, monkeypatch):
    use(monkeypatch, ByColour())
    words = ["masks", str(photos), "--out", str(tmp_path / "out")]
    assert main(words) == main([*words, "--points-per-batch", "7"]) == 0


def test_what_cannot_be_decoded_is_set_aside(photos, tmp_path, monkeypatch, capsys):
    (photos / "broken.png").write_bytes((photos / "a.png").read_bytes()[:100])
    (photos / "text.jpg").write_text("no image")
    write_raster(photos / "wide.tif", np.zeros((3, 20, 20), np.uint16))
    use(monkeypatch, ByColour())
    assert main(["masks", str(photos), "--out", str(tmp_path / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {Path(name).name for name in result["failed"]} == {"broken.png", "text.jpg", "wide.tif"}
    lines = (tmp_path / "out" / "quarantine.csv").read_text()
    assert all(name in lines for name in ("broken.png", "text.jpg", "wide.tif"))
    assert len(result["images"]) == 3


def test_what_cannot_be_decoded_needs_no_model_again(photos, tmp_path, monkeypatch):
    (photos / "broken.png").write_bytes((photos / "a.png").read_bytes()[:100])
    use(monkeypatch, ByColour())
    words = ["masks", str(photos), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    monkeypatch.setattr("headstart.sam.verb.load_engine", lambda config: pytest.fail("nothing needs the model"))
    assert main(words) == 0
    result = MasksResult.model_validate_json((tmp_path / "out" / "result.json").read_text())
    assert ([Path(name).name for name in result.failed], len(result.images)) == (["broken.png"], 3)


def test_nothing_that_can_be_decoded_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "text.jpg").write_text("no image")
    use(monkeypatch, ByColour())
    with pytest.raises(DataError, match="quarantine"):
        masks(MasksConfig(inputs=(str(tmp_path / "text.jpg"),), out=tmp_path / "out"))


def test_a_raster_that_breaks_off_leaves_no_parts(tmp_path, monkeypatch):
    layout = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    path = write_raster(tmp_path / "r.tif", np.moveaxis(scene(600, 600), 2, 0), **layout)
    with rasterio.open(path) as raster:
        place = int(raster.get_tag_item("BLOCK_OFFSET_4_4", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[place : place + 40] = b"\xff" * 40  # the last block; the tiles before it can be read
    path.write_bytes(content)
    write_png(tmp_path / "a.png", scene(20, 20))
    use(monkeypatch, ByColour())
    words = ["masks", str(path), str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--tiles.size", "128"]
    assert main(words) == 0
    assert "r.tif" in (tmp_path / "out" / "quarantine.csv").read_text()
    assert {p.name for p in (tmp_path / "out").iterdir() if p.name.startswith("r")} == {"result.json"}


def test_names_that_meet_keep_their_endings(tmp_path, monkeypatch):
    write_png(tmp_path / "in" / "a.png", scene(20, 20))
    write_png(tmp_path / "in" / "a.bmp", scene(20, 20))
    use(monkeypatch, ByColour())
    result = masks(MasksConfig(inputs=(str(tmp_path / "in"),), out=tmp_path / "out"))
    assert [image.masks for image in result.images] == ["a.bmp_masks.json", "a.png_masks.json"]


@pytest.mark.parametrize("name", ["=cmd.png", "a\nb.png", "\x1b[31m.png", "ab\u202e.png", "café #1%20.png", "-x.png"])
def test_hostile_names_are_only_names(tmp_path, monkeypatch, capfd, name):
    write_png(tmp_path / "in" / name, scene(30, 30))
    use(monkeypatch, ByColour())
    assert main(["masks", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--polygons", "geojson"]) == 0
    printed = "".join(capfd.readouterr())
    assert "\x1b[31m" not in printed
    assert "\u202e" not in printed
    (image,) = COCO(str(tmp_path / "out" / "coco.json")).imgs.values()
    assert image["file_name"] == name
    assert (tmp_path / "out" / f"{name[:-4]}_masks.geojson").is_file()


def test_a_name_that_is_no_utf8_is_written_out(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    path = os.fsencode(folder) + b"/caf\xe9.png"
    write_png(folder / "x.png", scene(30, 30))
    os.rename(folder / "x.png", path)  # noqa: PTH104
    use(monkeypatch, ByColour())
    assert main(["masks", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "caf\\\\udce9.png" in (tmp_path / "out" / "coco.json").read_text()
    assert main(["masks", str(folder), "--out", str(tmp_path / "out")]) == 0


def test_another_commands_directory_and_strangers_files_stay(photos, tmp_path, monkeypatch):
    use(monkeypatch, ByColour())
    out = tmp_path / "out"
    out.mkdir()
    (out / "a_ids.png").write_text("mine")
    with pytest.raises(RunError, match="in the way"):
        masks(MasksConfig(inputs=(str(photos),), out=out))
    assert (out / "a_ids.png").read_text() == "mine"
    (out / "a_ids.png").unlink()
    (out / "coco.json").write_text("mine")
    with pytest.raises(RunError, match="in the way"):
        masks(MasksConfig(inputs=(str(photos),), out=out))
    (out / "config.json").write_text(json.dumps({"schema_version": 1, "verb": "segment", "config": {}}))
    with pytest.raises(RunError, match="segment run"):
        masks(MasksConfig(inputs=(str(photos),), out=out))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        masks(MasksConfig(inputs=(str(photos),), out=tmp_path / "file"))
    with pytest.raises(RunError, match="would become part"):
        masks(MasksConfig(inputs=(str(photos),), out=photos / "out"))


def test_weights_that_are_not_there_are_told_before_anything_is_written(photos, tmp_path):
    config = MasksConfig(inputs=(str(photos),), out=tmp_path / "out", checkpoint=tmp_path / "none.pth")
    with pytest.raises(WeightsError, match=r"none\.pth"):
        masks(config)
    with pytest.raises(WeightsError, match="vit_b"):
        masks(MasksConfig(inputs=(str(photos),), out=tmp_path / "out", model="vit_z"))
    assert not (tmp_path / "out").exists()


def test_nothing_named_is_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match="inputs"):
        masks(MasksConfig(out=tmp_path / "out"))


def test_impossible_settings_are_told_together(capsys):
    assert main(["masks", "x", "--out", "o", "--exact", "--precision", "bf16", "--low-resolution-stability"]) == 2
    said = capsys.readouterr().err
    assert "--precision bf16" in said
    assert "--low-resolution-stability" in said


def test_defaults_are_those_of_the_reference():
    from inspect import signature

    from segment_anything import SamAutomaticMaskGenerator

    theirs = {name: each.default for name, each in signature(SamAutomaticMaskGenerator).parameters.items()}
    ours = MaskConfig().model_dump()
    same = set(ours) & set(theirs) - {"points_per_batch"}
    assert len(same) == 10
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_generator_settings_are_handed_on_whole(tmp_path):
    config = MasksConfig(out=tmp_path, points_per_side=9, exact=True)
    assert config.generator() == MaskConfig(points_per_side=9, exact=True)


def test_polygons_and_id_forms_as_asked(photos, tmp_path, monkeypatch):
    use(monkeypatch, ByColour())
    words = [
        "masks",
        str(photos / "a.png"),
        "--out",
        str(tmp_path / "out"),
        "--polygons",
        "geojson",
        "--id-format",
        "tif",
    ]
    assert main(words) == 0
    assert (tmp_path / "out" / "a_ids.tif").is_file()
    shapes = json.loads((tmp_path / "out" / "a_masks.geojson").read_text())["features"]
    assert len(shapes) == len(read_masks(tmp_path / "out" / "a_masks.json").masks)


@pytest.mark.parametrize("name", ["scene.png", "scene.tif"])
def test_a_real_network_end_to_end(tmp_path, name):
    """segment-anything's own network, tiny and random, from a checkpoint file through the command line and back."""
    torch.manual_seed(0)
    checkpoint = tiny_sam.saved(tiny_sam.reference_sam(), tmp_path / "sam_tiny.pth")
    pixels = tiny_sam.scene(180, 260)
    source = tmp_path / "in" / name
    source.parent.mkdir()
    if name.endswith("png"):
        write_png(source, pixels)
    else:
        write_raster(source, np.moveaxis(pixels, 2, 0))
    words = [
        "masks",
        str(source),
        "--out",
        str(tmp_path / "out"),
        "--checkpoint",
        str(checkpoint),
        "--precision",
        "fp32",
    ]
    words += [
        "--points-per-side",
        "4",
        "--pred-iou-thresh",
        "0",
        "--stability-score-thresh",
        "0",
        "--tiles.size",
        "128",
    ]
    assert main(words) == 0
    result = MasksResult.model_validate_json((tmp_path / "out" / "result.json").read_text())
    assert result.n_masks > 0
    assert result.precision == "fp32"
    assert result.weights is not None
    assert result.weights.missing == []
    (told,) = result.images
    assert told.tiles == 6
    image = read_masks(tmp_path / "out" / told.masks)
    assert image.size == (180, 260)
    for mask in image.masks:
        x0, y0, x1, y1 = mask.bbox
        assert 0 <= x0 < x1 <= 260
        assert 0 <= y0 < y1 <= 180
        left, top, right, bottom = mask.crop
        assert left <= mask.point[0] <= right
        assert top <= mask.point[1] <= bottom
    assert main(words) == 0
