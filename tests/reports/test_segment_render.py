import re

import numpy as np
import pytest
from PIL import Image
from tests.reports import synthetic, synthetic_masks
from tests.reports.parsed import Page

from headstart.reports import segment_page, segment_tables
from headstart.reports.render import write_report
from headstart.tasks.segment import masks


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Page(write_report(synthetic_masks.write_segment(tmp_path_factory.mktemp("report") / "run", side=64)))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Page(write_report(synthetic_masks.write_segment_study(tmp_path_factory.mktemp("report") / "study")))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return Page(write_report(synthetic_masks.write_shelf(tmp_path_factory.mktemp("report") / "demo")))


def headings(page: Page) -> list[str]:
    return [attrs["aria-labelledby"].removesuffix("-title") for tag, attrs in page.elements if tag == "section"]


def test_a_run_names_its_protocol_and_the_others_with_their_numbers(run):
    result, words = synthetic_masks.make_segment(), run.words()
    assert f"The mean IoU (protocol ignore) on 257 validation images is {100 * result.miou:.1f} %." in words
    for protocol, miou in result.miou_by_protocol.items():
        assert f"Mean IoU, protocol {protocol} {100 * miou:.1f} %" in words
    assert "Why the protocols differ: ignore leaves out the pixels whose true class is unknown;" in words
    assert f"Boundary F1 (boundaries met within 5 px) {100 * result.scores.boundary_f1:.1f} %" in words
    assert headings(run) == ["segment", "classes", "mistakes", "masks", "data", "repeat", "words"]


def test_warnings_of_a_run_are_shown(run):
    assert all(warning in run.words() for warning in synthetic_masks.make_segment().warnings)


def test_the_classes_of_a_run_with_their_pixels(run):
    scores, words = synthetic_masks.make_segment().scores, run.words()
    urban = scores.classes[0]
    assert f"{urban.name} {100 * urban.iou:.1f} % {100 * urban.dice:.1f} %" in words
    assert "barren absent \u2013 \u2013 0 0.0 % 0" in words
    assert "Absent from truth and prediction, and so left out of the means: barren." in words
    assert "Pixels of each class, as a share of all pixels." in words
    assert "agriculture 63.2 % 301 M 62.2 % 38.2 M" in words


def test_every_mask_has_its_words_and_no_picture_is_loaded(run):
    pictures = [attrs for tag, attrs in run.elements if tag == "img"]
    masks_shown = [attrs for attrs in pictures if attrs["alt"].startswith("Classes predicted for")]
    assert len(masks_shown) == len(synthetic_masks.SAMPLES) * len(synthetic_masks.EPOCHS)
    assert all(re.search(r"after epoch \d+, IoU [\d.]+", attrs["alt"]) for attrs in masks_shown)
    assert all(attrs["src"].startswith("data:image/") and attrs["alt"] and attrs["width"] for attrs in pictures)
    assert all(attrs.get("class") == "pixels" for attrs in masks_shown)


@pytest.mark.parametrize("kind", ["run", "study", "shelf"])
def test_hostile_text_is_shown_and_is_not_markup(kind, request):
    page = request.getfixturevalue(kind)
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") for name in attrs)]
    assert all(attrs["src"].startswith("data:image/") for tag, attrs in page.elements if tag == "img")
    assert synthetic.SCRIPT in page.words()
    assert synthetic.IMAGE in page.words()
    executable = [script for script_type, script in page.scripts if script_type is None]
    assert len(executable) == 2
    names = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", ["run", "study", "shelf"])
def test_tables_have_captions_and_scopes(kind, request):
    page = request.getfixturevalue(kind)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") > 0
    assert all(attrs.get("scope") in ("col", "row", "rowgroup") for tag, attrs in page.elements if tag == "th")


def test_a_study_of_segmentations_speaks_of_its_metric(study):
    words = study.words()
    assert "Mean IoU and the number of labels" in words
    assert "Mean IoU (protocol ignore) on 257 validation images" in words
    assert "decoder only" in words
    assert "classifier" not in words
    assert set(re.findall(r"(\w+) accuracy", words, re.IGNORECASE)) <= {"kNN", "Pixel"}
    assert "Which images happen to be in the validation set adds to that: these intervals do not say how much" in words
    labels = [attrs["aria-label"] for _, attrs in study.elements if attrs.get("role") == "img"]
    assert any("mean IoU (protocol ignore)" in label for label in labels)


def test_a_study_of_segmentations_has_its_classes_masks_and_warnings(study):
    words = study.words()
    assert "IoU of each class, means over 3 seeds." in words
    assert "In 3 of 48 runs: No pixel of barren in the training masks." in words
    assert "Of the setting with the highest mean, ssl+supervised/full: the run with seed 0" in words
    assert "Every setting below was trained on unet with the encoder tu-mobilenetv3_large_100" in words
    assert headings(study) == ["question", "data", "settings", "labels", "pretraining", "classes", "mistakes", "masks",
                               "repeat", "words"]  # fmt: skip


def test_what_a_study_of_segmentations_lacks_is_said(tmp_path):
    words = Page(write_report(synthetic_masks.write_segment_study(tmp_path / "bare", with_runs=False))).words()
    for reason in ("no table of the classes", "no confusion matrix", "There are no masks", "no readable samples.png"):
        assert reason in words
    assert "Every setting below was trained on mobilenetv3_large_100" in words


def test_the_models_stand_side_by_side_after_the_study_of_classifiers(shelf):
    words = shelf.words()
    assert headings(shelf)[-5:] == ["mistakes", "shelf", "shelf_study", "repeat", "words"]
    assert "Class fcn32s-seedvgg16 unettu-mobilenetv3_large_100" in words
    models = [synthetic_masks.make_segment(skill) for skill in (0.55, 0.9)]
    assert "Mean IoU (protocol ignore) " + " ".join(f"{100 * model.miou:.1f} %" for model in models) in words
    assert "Parameters 135 M 6.7 M" in words
    margin = f"{100 * (models[1].miou - models[0].miou):.1f} points more than fcn32s-seed, vgg16"
    assert margin in words
    assert f"The first one has no skip connections. {synthetic.SCRIPT}" in words
    assert "the run model-c has not finished" in words
    assert "Accuracy and the number of labels" in words
    assert "Pre-training of ssl+supervised: collapsed." in words


def test_models_under_different_protocols_are_not_ranked(tmp_path):
    folder = synthetic.write_study(tmp_path / "demo")
    synthetic_masks.write_segment(folder / "segmentation" / "a", 32, 0.5)
    synthetic_masks.write_segment(folder / "segmentation" / "b", 32, 0.9, protocol="deepglobe6", n_val=12)
    words = Page(write_report(folder)).words()
    assert "are scored by different protocols, and so their mean IoUs cannot be compared" in words
    assert "were validated on different numbers of images" in words
    assert "has the highest" not in words
    assert "Protocol of the classes ignore deepglobe6" in words
    assert "Land cover: the starts compared" not in words


def test_a_run_that_could_not_be_scored_says_so(tmp_path):
    folder = synthetic_masks.write_segment(tmp_path / "run", 32)
    scores = synthetic_masks.make_segment().scores
    nothing = [one.model_copy(update={"iou": None, "dice": None, "boundary_f1": None}) for one in scores.classes]
    blank = {"miou": None, "pixel_accuracy": None, "mean_dice": None, "boundary_f1": None, "boundary_px": None}
    bare = scores.model_copy(update={**blank, "classes": nothing, "absent": [one.name for one in nothing]})
    result = synthetic_masks.make_segment(scores=bare, miou=None, miou_by_protocol={"ignore": None}, epochs=0, steps=0)
    synthetic.save(result, folder)
    (folder / "metrics.jsonl").unlink()
    words = Page(write_report(folder)).words()
    assert "No pixel of the 257 validation images could be scored" in words
    assert "no validation image was kept" in words
    assert not {"nan", "none"} & set(re.findall(r"[a-z]+", words.lower().split("how to repeat")[0]))


def test_the_page_stays_small_with_many_large_masks(tmp_path):
    folder = synthetic_masks.write_shelf(tmp_path / "demo", side=300)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    for path in folder.glob("segmentation/*/masks/**/*.png"):
        noise.save(path, compress_level=0)
    page = write_report(folder)
    assert page.stat().st_size < 15_000_000
    assert page.read_text().count("Classes predicted for") == 18


def test_the_key_of_the_error_map_has_the_colours_that_it_is_drawn_in():
    assert segment_page.ERROR_COLOURS == {"right": masks.RIGHT, "wrong": masks.WRONG, "unknown": masks.UNKNOWN}


def test_without_unknown_pixels_two_protocols_are_the_same():
    sentence = segment_tables.protocol_sentence(["ignore", "deepglobe6"], unknown=False)
    assert "ignore and deepglobe6 are the same here" in sentence
    assert "per-image" not in sentence


def test_the_best_of_a_row_is_marked_and_unknown_classes_have_a_dash():
    settings = [
        segment_tables.ClassIous("a", "full", "A", 2, {"x": 0.5, "y": None}, 0.5),
        segment_tables.ClassIous("b", "frozen", None, 2, {"x": 0.25}, 0.25),
    ]
    table = segment_tables.compare_settings(settings, {"x": "rgb(1 2 3)"}, "mean IoU (protocol ignore)")
    assert [(column.name, column.beneath) for column in table.columns] == [("A a", "everything"), ("b", "decoder only")]
    assert [(cell.bar, cell.is_best) for cell in table.rows[0].cells] == [(50.0, True), (25.0, False)]
    assert [cell.text for cell in table.rows[1].cells] == ["absent", segment_tables.DASH]
    assert table.foot[0].name == "Mean IoU (protocol ignore)"
