import base64
import io
import logging

import numpy as np
from PIL import Image
from tests.reports import synthetic, synthetic_masks

from headstart.reports import segment_facts
from headstart.reports.facts import read_facts
from headstart.reports.pictures import read_tile
from headstart.reports.segment_facts import read_samples, read_segment, read_shelf
from headstart.results import StudyResult


def image_of(tile):
    return Image.open(io.BytesIO(base64.b64decode(tile.uri.partition(",")[2])))


def test_a_run_is_read_whole(tmp_path):
    facts = read_facts(synthetic_masks.write_segment(tmp_path / "run", side=64)).segment
    assert facts.name == "run"
    assert [(sample.chosen, len(sample.masks)) for sample in facts.samples] == [
        ("best", 3),
        ("median", 3),
        ("worst", 3),
    ]
    assert all(len(sample.pictures) == 6 for sample in facts.samples)
    assert facts.crops is not None
    assert facts.data.counted == "pixels"
    assert facts.curves["val", "miou"].steps == tuple(range(250, 2501, 250))


def test_masks_keep_their_very_colours_when_they_are_made_smaller(tmp_path):
    rng = np.random.default_rng(0)
    palette = np.array(synthetic_masks.COLOURS, np.uint8)
    Image.fromarray(palette[rng.integers(0, 7, (300, 200))]).save(tmp_path / "mask.png")
    tile = read_tile(tmp_path / "mask.png", 128, is_mask=True)
    assert (tile.width, tile.height) == (85, 128)
    shown = np.asarray(image_of(tile)).reshape(-1, 3)
    assert {tuple(colour) for colour in shown.tolist()} <= set(synthetic_masks.COLOURS)


def test_a_small_mask_is_embedded_as_it_is_and_a_large_photograph_as_jpeg(tmp_path):
    synthetic.write_picture(tmp_path / "a.png", 48, 48)
    small = read_tile(tmp_path / "a.png", 512, is_mask=True)
    assert small.is_small
    assert image_of(small).tobytes() == Image.open(tmp_path / "a.png").tobytes()
    synthetic.write_picture(tmp_path / "b.png", 900, 600)
    large = read_tile(tmp_path / "b.png", 512, is_mask=False)
    assert large.uri.startswith("data:image/jpeg;base64,")
    assert (large.width, large.height, large.is_small) == (512, 341, False)


def test_many_masks_are_made_small_enough_and_the_last_ones_left_out(tmp_path):
    rng = np.random.default_rng(1)
    samples = synthetic_masks.write_masks(tmp_path, 200, 0.5)
    for path in (tmp_path / "masks").rglob("*.png"):
        Image.fromarray(rng.integers(0, 256, (200, 200, 3), np.uint8)).save(path)
    for most in (2_000_000, 700_000):
        read = read_samples(tmp_path, samples, most)
        assert len(read) == 3
        assert sum(len(picture.uri) for sample in read for picture in sample.pictures) <= most
    few = read_samples(tmp_path, samples, 300_000)
    assert 0 < len(few) < 3
    result = synthetic_masks.make_segment(samples=samples)
    assert read_segment(tmp_path, result, 300_000).unseen == 3 - len(few)


def test_files_outside_the_run_are_not_embedded(tmp_path, caplog):
    folder = tmp_path / "run"
    samples = synthetic_masks.write_masks(folder, 32, 0.5)
    synthetic.write_picture(tmp_path / "private.png", 32, 32)
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    bent = samples[0].model_copy(update={"image": "../private.png", "truth": str(tmp_path / "private.png"),
                                         "error": "link.png"})  # fmt: skip
    with caplog.at_level(logging.WARNING):
        (read,) = read_samples(folder, [bent], 1_000_000)
    assert read.image is read.truth is read.error is None
    assert caplog.text.count("does not lie within the run") == 3


def test_missing_and_damaged_masks_are_left_out(tmp_path):
    samples = synthetic_masks.write_masks(tmp_path, 32, 0.5)
    (tmp_path / samples[0].truth).unlink()
    (tmp_path / samples[0].epochs[1].file).write_bytes(b"\x89PNG\r\n\x1a\n torn")
    for file in (samples[1].image, samples[1].truth, samples[1].error, *(mask.file for mask in samples[1].epochs)):
        (tmp_path / file).unlink()
    read = read_samples(tmp_path, samples, 1_000_000)
    assert [sample.name for sample in read] == [samples[0].name, samples[2].name]
    assert read[0].truth is None
    assert [mask.picture is None for mask in read[0].masks] == [False, True, False]


def test_the_kept_masks_of_a_study_are_those_of_its_best_setting(tmp_path):
    facts = read_facts(synthetic_masks.write_segment_study(tmp_path / "study"))
    assert (facts.kept.result.setting, facts.kept.result.seed) == ("ssl+supervised/full", 0)
    assert len(facts.kept.samples) == 3


def test_the_shelf_holds_models_in_order_a_study_and_notes(tmp_path):
    folder = synthetic_masks.write_shelf(tmp_path / "demo") / "segmentation"
    shelf = read_shelf(folder)
    assert [model.name for model in shelf.models] == ["model-a", "model-b"]
    assert shelf.unfinished == ("model-c",)
    assert shelf.study.task == "segment"
    assert shelf.notes[0] == "Both models had the same 12 minutes."


def test_a_damaged_shelf_loses_what_is_damaged_only(tmp_path, caplog):
    folder = synthetic_masks.write_shelf(tmp_path / "demo") / "segmentation"
    (folder / "notes.json").write_text('{"a": 1}')
    (folder / "model-a" / "result.json").write_text("{")
    study = StudyResult.model_validate_json((folder / "study" / "result.json").read_text())
    study.model_copy(update={"task": "classify"}).save(folder / "study" / "result.json")
    with caplog.at_level(logging.WARNING):
        shelf = read_shelf(folder)
    assert [model.name for model in shelf.models] == ["model-b"]
    assert (shelf.notes, shelf.study) == ((), None)
    assert all(name in caplog.text for name in ("notes.json", "model-a", "task is not segment"))


def test_nothing_to_show_is_no_shelf(tmp_path):
    assert read_shelf(tmp_path / "absent") is None
    (tmp_path / "segmentation" / "begun").mkdir(parents=True)
    assert read_shelf(tmp_path / "segmentation") is None


def test_a_few_masks_are_shown_in_full_size(tmp_path):
    samples = synthetic_masks.write_masks(tmp_path, 512, 0.8)
    (read, *_) = read_samples(tmp_path, samples, segment_facts.MASK_BYTES)
    assert read.truth.width == 512
