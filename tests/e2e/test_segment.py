"""Segmentation from files to scores, masks and a model, on small scenes in the seed's layout."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.configs.inference import EvaluateConfig, MiouConfig
from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.configs.segment import CropsConfig, SegmentConfig
from headstart.data.palette_files import palette_named
from headstart.data.palettes import DEEPGLOBE
from headstart.errors import ConfigError, DataError, RunError, TrainingStopped, WeightsError
from headstart.models.segmenter_files import read_segmenter
from headstart.models.segmenters import build_segmenter, load_encoder_start
from headstart.tasks.segment import segment
from headstart.verbs import evaluate

SIDE = 64
TONES = ((200, 60, 60), (60, 180, 60), (60, 60, 200))


def scene(rng: np.random.Generator, folder: Path, number: int, unknown: bool = True) -> None:
    """Two regions of three kinds with their own tones, a strip of unknown, as NNNN_sat.jpg and NNNN_mask.png."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    edge = x + rng.uniform(-0.5, 0.5) * y > rng.uniform(0.3, 0.7)
    first, second = rng.choice(3, 2, replace=False)
    labels = np.where(edge, first, second).astype(np.uint8)
    pixels = np.array(TONES)[labels] + rng.normal(0, 12, (SIDE, SIDE, 3))
    if unknown:
        labels[:4] = 6
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04}_sat.jpg", quality=95)
    Image.fromarray(DEEPGLOBE.to_colours(labels)).save(folder / f"{number:04}_mask.png")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ with 12 and validation/ with 5 pairs of 64 pixels."""
    root = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("validation", 5)):
        (root / part).mkdir()
        for i in range(n):
            scene(rng, root / part, i)
    return root


def config(data: Path, out: Path, **changes: Any) -> SegmentConfig:
    settings: dict[str, Any] = {
        "model": "unet",
        "encoder": "tu-test_resnet",
        "image_size": 64,
        "batch_size": 4,
        "epochs": 3,
        "min_steps": 0,
        "precision": "fp32",
        "workers": 0,
        "encoder_lr": 1.0,
        "optim": OptimConfig(name="adamw", lr=5e-3),
        "schedule": ScheduleConfig(name="poly", warmup_fraction=0.1),
    }
    return SegmentConfig(data=str(data), out=out, **(settings | changes))


def model_of(run: Path) -> dict[str, torch.Tensor]:
    segmenter, _ = read_segmenter(run / "export")
    return segmenter.state_dict()


@pytest.fixture(scope="module")
def trained(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 12 epochs."""
    out = tmp_path_factory.mktemp("trained") / "run"
    segment(config(scenes, out, epochs=12, mask_epochs=(1, 5)))
    return out


def result_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def test_a_model_learns_the_scenes(trained: Path) -> None:
    result = result_of(trained)
    assert result["miou"] > 0.8
    assert (result["n_train"], result["n_val"], result["quarantined"]) == (12, 5, 0)
    assert result["scores"]["absent"] == ["forest", "water", "barren"]
    assert result["miou_by_protocol"]["deepglobe6"] < result["miou_by_protocol"]["ignore"]
    assert np.sum(result["scores"]["counts"]) == 5 * SIDE * SIDE
    assert any("No pixel of forest" in warning for warning in result["warnings"])


def test_masks_over_the_epochs_are_kept_of_the_best_the_median_and_the_worst(trained: Path) -> None:
    samples = result_of(trained)["samples"]
    assert [sample["chosen"] for sample in samples] == ["best", "median", "worst"]
    assert [[picture["epoch"] for picture in sample["epochs"]] for sample in samples] == [[1, 5, 12]] * 3
    last = [sample["epochs"][-1]["iou"] for sample in samples]
    assert last == sorted(last, reverse=True)
    named = {sample[kind] for sample in samples for kind in ("image", "truth", "error")} | {
        picture["file"] for sample in samples for picture in sample["epochs"]
    }
    assert {path.relative_to(trained).as_posix() for path in (trained / "masks").rglob("*") if path.is_file()} == named
    for name in named:
        assert Image.open(trained / name).size == (SIDE, SIDE)


def test_the_exported_model_evaluates_to_the_same_scores(scenes: Path, trained: Path, tmp_path: Path) -> None:
    again = evaluate(EvaluateConfig(run=trained, data=str(scenes), out=tmp_path / "e", precision="fp32"))
    assert again.scores.model_dump() == result_of(trained)["scores"]
    from headstart.analysis.miou import miou

    for protocol in ("ignore", "deepglobe6", "per-image"):
        files = miou(MiouConfig(predicted=tmp_path / "e" / "masks", truth=scenes / "validation", protocol=protocol))
        assert files.scores.miou == pytest.approx(result_of(trained)["miou_by_protocol"][protocol])


def test_asked_images_are_kept_instead(scenes: Path, tmp_path: Path) -> None:
    result = segment(config(scenes, tmp_path / "run", epochs=1, mask_images=("0003_sat.jpg", "0001_sat")))
    assert [(sample.name, sample.chosen) for sample in result.samples] == [
        ("0003_sat.jpg", "asked"),
        ("0001_sat.jpg", "asked"),
    ]
    with pytest.raises(ConfigError, match="no such validation image"):
        segment(config(scenes, tmp_path / "other", mask_images=("0099_sat.jpg",)))


def test_a_frozen_encoder_is_bit_identical_after_training(scenes: Path, tmp_path: Path) -> None:
    from headstart.models.backbones import build_backbone
    from headstart.models.weights import export_backbone

    torch.manual_seed(5)
    backbone = build_backbone("test_resnet", 64)
    backbone(torch.randn(16, 3, 64, 64))
    export_backbone(backbone, tmp_path / "ssl" / "export", {"status": "finished"})
    segment(config(scenes, tmp_path / "run", start=f"ssl={tmp_path / 'ssl'}", frozen=True, epochs=2))
    after, _ = read_segmenter(tmp_path / "run" / "export")
    before = build_segmenter("unet", "tu-test_resnet", after.n_outputs, 64)
    load_encoder_start(before, f"ssl={tmp_path / 'ssl'}")
    frozen = after.encoder.state_dict()
    assert all(torch.equal(value, frozen[key]) for key, value in before.encoder.state_dict().items())


def test_one_seed_repeats_whatever_the_workers(scenes: Path, tmp_path: Path) -> None:
    for name, seed, workers in (("a", 0, 0), ("b", 0, 2), ("c", 1, 0)):
        segment(config(scenes, tmp_path / name, seed=seed, workers=workers, epochs=2))
    a, b, c = (model_of(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_killed_and_resumed_equals_never_interrupted(
    scenes: Path, tmp_path: Path, killed_and_whole: Callable[[Sequence[str], Path, int], tuple[Path, Path]]
) -> None:
    words = (
        f"segment --data {scenes} --model unet --encoder tu-test_resnet --image-size 64 --batch-size 4 --accumulate 2 "
        "--epochs 4 --min-steps 0 --precision fp32 --workers 0 --checkpoint-steps 2"
    ).split()
    killed, whole = killed_and_whole(words, tmp_path, 7)
    ours, theirs = model_of(killed), model_of(whole)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    clockless = {"seconds": 0}
    assert result_of(killed) | clockless == result_of(whole) | clockless
    pictures = [sorted(path.relative_to(run) for path in (run / "masks").rglob("*.png")) for run in (killed, whole)]
    assert pictures[0] == pictures[1]
    assert all((killed / path).read_bytes() == (whole / path).read_bytes() for path in pictures[1])


def test_learning_the_ignored_class_makes_it_an_output(scenes: Path, tmp_path: Path) -> None:
    segment(config(scenes, tmp_path / "run", ignored="learn", protocol="deepglobe6", epochs=1))
    segmenter, facts = read_segmenter(tmp_path / "run" / "export")
    assert (segmenter.n_outputs, facts["ignored"]) == (7, "learn")


@pytest.mark.parametrize("terms", [("focal",), ("lovasz",), ("cross-entropy", "dice")])
def test_every_loss_trains(scenes: Path, tmp_path: Path, terms: tuple[str, ...]) -> None:
    result = segment(config(scenes, tmp_path / "run", epochs=6, loss={"terms": terms, "class_weights": "sqrt-inverse"}))
    assert result.miou is not None
    assert result.miou > 0.3


def test_images_larger_than_the_crop_are_trained_by_crops_and_predicted_by_tiles(scenes: Path, tmp_path: Path) -> None:
    crops = CropsConfig(per_image=3, scale=(0.8, 1.2))
    result = segment(config(scenes, tmp_path / "run", image_size=32, crops=crops, epochs=2))
    assert result.steps == 2 * (12 * 3 // 4)
    assert np.sum(result.scores.counts) == 5 * SIDE * SIDE


def copy_of(scenes: Path, folder: Path) -> Path:
    shutil.copytree(scenes, folder)
    return folder


def test_broken_pairs_are_set_aside_with_their_reasons(scenes: Path, tmp_path: Path) -> None:
    data = copy_of(scenes, tmp_path / "data")
    mask = data / "train" / "0000_mask.png"
    mask.write_bytes(mask.read_bytes()[:80])
    Image.new("RGB", (32, 64), (0, 255, 255)).save(data / "train" / "0001_mask.png")
    (data / "train" / "0002_mask.png").unlink()
    result = segment(config(data, tmp_path / "run", epochs=1))
    assert (result.n_train, result.quarantined) == (9, 3)
    told = (tmp_path / "run" / "quarantine.csv").read_text()
    assert all(name in told for name in ("0000", "0001", "0002"))


def test_colours_outside_the_palette_are_an_error_unless_mapped(scenes: Path, tmp_path: Path) -> None:
    data = copy_of(scenes, tmp_path / "data")
    palette = tmp_path / "palette.yaml"
    palette.write_text(
        "name: three\nclasses:\n  - {name: a, colour: [0, 255, 255], index: 0}\n"
        "  - {name: b, colour: [255, 255, 0], index: 1}\n  - {name: c, colour: [250, 5, 250], index: 2}\n"
        "  - {name: unknown, colour: [0, 0, 0], index: 3, ignore: true}\n"
    )
    with pytest.raises(DataError, match=r"\[255, 0, 255\].*--nearest-colour"):
        segment(config(data, tmp_path / "run", palette=str(palette)))
    result = segment(config(data, tmp_path / "mapped", palette=str(palette), nearest_colour=True, epochs=1))
    assert result.classes == ["a", "b", "c", "unknown"]


def test_hopeless_data_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, colour, words in (("one", (0, 255, 255), "only urban"), ("none", (0, 0, 0), "only ignored")):
        root = tmp_path / name
        for part in ("train", "validation"):
            (root / part).mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (SIDE, SIDE), (90, 90, 90)).save(root / part / f"{i:04}_sat.jpg")
                Image.new("RGB", (SIDE, SIDE), colour).save(root / part / f"{i:04}_mask.png")
        with pytest.raises(DataError, match=words):
            segment(config(root, tmp_path / f"run-{name}"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        segment(config(tmp_path / "empty", tmp_path / "run-empty"))


def test_validation_masks_without_anything_to_score_are_refused_before_training(scenes: Path, tmp_path: Path) -> None:
    data = copy_of(scenes, tmp_path / "data")
    for mask in (data / "validation").glob("*_mask.png"):
        Image.new("RGB", (SIDE, SIDE)).save(mask)
    with pytest.raises(DataError, match="nothing could be scored"):
        segment(config(data, tmp_path / "run", epochs=1))


def test_training_masks_that_are_partly_unknown_leave_no_nan(scenes: Path, tmp_path: Path) -> None:
    data = copy_of(scenes, tmp_path / "data")
    for i in range(8):
        Image.new("RGB", (SIDE, SIDE)).save(data / "train" / f"{i:04}_mask.png")
    result = segment(config(data, tmp_path / "run", epochs=2, batch_size=2))
    assert result.miou is not None
    assert not any(
        word in (tmp_path / "run" / file).read_text() for word in ("NaN", "null") for file in ("metrics.jsonl",)
    )


def test_masks_of_another_palette_are_warned_about_where_a_threshold_reads_them(scenes: Path, tmp_path: Path) -> None:
    data = copy_of(scenes, tmp_path / "data")
    for i in range(2):
        Image.new("RGB", (SIDE, SIDE), (200, 130, 10)).save(data / "train" / f"{i:04}_mask.png")
    result = segment(config(data, tmp_path / "run", epochs=1))
    assert any(warning.startswith("2 of 12 masks have many pixels far from the colours") for warning in result.warnings)


def test_a_start_that_is_not_there_is_told_first(scenes: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no folder nowhere"):
        segment(config(scenes, tmp_path / "run", start="ssl=nowhere"))
    with pytest.raises(WeightsError, match="is a segmentation run"):
        segment(config(scenes, tmp_path / "run", start=f"ssl={trained}"))


def test_a_run_is_a_palette(scenes: Path, trained: Path) -> None:
    assert palette_named(str(trained)) == DEEPGLOBE


def test_a_diverging_run_is_an_error_that_names_the_learning_rate(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match=r"--optim\.lr"):
        segment(config(scenes, tmp_path / "run", optim=OptimConfig(name="sgd", lr=1e38)))


def test_evaluate_refuses_another_palette_and_another_kind_of_run(scenes: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="learned the classes"):
        evaluate(EvaluateConfig(run=trained, data=str(scenes), palette="bluemarble"))
    with pytest.raises(RunError, match="not a run directory"):
        evaluate(EvaluateConfig(run=tmp_path, data=str(scenes)))


def test_a_part_of_the_pairs_is_judged_on_instead_of_the_validation_pairs(scenes: Path, tmp_path: Path) -> None:
    shutil.copytree(scenes, tmp_path / "data")
    for file in (tmp_path / "data" / "validation").iterdir():
        file.write_bytes(b"not an image")
    result = segment(config(tmp_path / "data", tmp_path / "run", epochs=1, held_out=4))
    assert (result.n_train, result.n_val, result.scores.n_images) == (10, 2, 2)
    assert result.judged_images == "images held out of the labelled training images (part 5 of 5)"
    assert not any("are among the training images" in warning for warning in result.warnings)
    assert json.loads((tmp_path / "run" / "data.json").read_text())["n_val"] == 0
    with pytest.raises(DataError):
        segment(config(tmp_path / "data", tmp_path / "other", epochs=1))
