"""A whole small study of segmentation through the command line: from pairs of images and masks to a verdict."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.cli import main
from headstart.data.palettes import DEEPGLOBE
from headstart.results import DataFacts, StudyResult

WORDS = shlex.split(
    "--task segment --protocol deepglobe6 --backbone test_resnet --image-size 64 --seeds 2 --label-fractions 0.5 1.0 "
    "--epochs 1 --min-steps 4 --pretrain-epochs 1 --precision fp32 --workers 0 --starts scratch ssl --trained full "
    "--lr-grid 1"
)


def write_pairs(folder: Path, n: int, seed: int) -> None:
    """NNNN_sat.jpg of 64 pixels, bright land beside dark water, and NNNN_mask.png in DeepGlobe's colours."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(n):
        water = np.arange(64) < rng.integers(16, 48)
        indices = np.broadcast_to(np.where(water, 4, 3), (64, 64)).copy()
        indices[:4] = 6
        pixels = np.where(indices == 4, 60, 180)[..., None] + rng.normal(0, 12, (64, 64, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i:04}_sat.jpg")
        Image.fromarray(DEEPGLOBE.to_colours(indices)).save(folder / f"{i:04}_mask.png")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pairs")
    write_pairs(root / "train", 16, seed=0)
    write_pairs(root / "validation", 4, seed=1)
    return root


@pytest.fixture(scope="module")
def done(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "study"
    assert main(["study", "--data", str(pairs), "--out", str(out), *WORDS]) == 0
    return out


def test_the_starts_are_compared_by_their_mean_iou_under_the_protocol(done: Path) -> None:
    result = StudyResult.model_validate_json((done / "result.json").read_text())
    assert (result.task, result.metric, result.protocol, result.n_val) == ("segment", "miou", "deepglobe6", 4)
    assert [(row.setting, row.label_fraction, row.n_labels, row.letter) for row in result.rows] == [
        ("scratch/full", 0.5, 8, None),
        ("scratch/full", 1.0, 16, None),
        ("ssl/full", 0.5, 8, None),
        ("ssl/full", 1.0, 16, None),
    ]
    row = result.rows[2]
    runs = [json.loads((done / f"runs/ssl/full/labels-0.5/seed-{seed}/result.json").read_text()) for seed in (0, 1)]
    assert row.values == [run["miou_by_protocol"]["deepglobe6"] for run in runs]
    assert "mean IoU (protocol deepglobe6)" in result.verdict.sentence
    assert "accuracy" not in " ".join([result.verdict.sentence, *result.verdict.details])
    absent = "In 8 of 8 runs: No pixel of urban, agriculture, rangeland, barren in the training masks."
    assert result.warnings == [absent] == result.verdict.details[:1]
    assert result.left_out == []


def test_the_encoder_was_pretrained_on_the_training_images_alone(done: Path) -> None:
    pretrained = DataFacts.model_validate_json((done / "runs/pretrain/ssl/data.json").read_text())
    assert (pretrained.n_train, pretrained.classes) == (16, [])
    run = json.loads((done / "runs/ssl/full/labels-1.0/seed-0/result.json").read_text())
    assert run["encoder"] == "tu-test_resnet"
    assert run["weights"]["share"] == 1
    facts = DataFacts.model_validate_json((done / "data.json").read_text())
    assert (facts.n_train, facts.n_val, facts.counted) == (16, 4, "pixels")
    assert sum(facts.train_counts) == 16 * 64 * 64


def test_only_one_model_of_a_setting_is_kept_with_its_masks(done: Path) -> None:
    assert (done / "samples.png").is_file()
    assert not list(done.glob("runs/*/*/*/*/checkpoints"))
    kept = {path.parent for path in done.glob("runs/*/full/*/*/export")}
    assert kept == {done / "runs" / start / "full" / "labels-1.0" / "seed-0" for start in ("scratch", "ssl")}
    for name in ("masks", "crops.png"):
        assert {path.parent for path in done.glob(f"runs/*/full/*/*/{name}")} == kept
    assert not list(done.glob("runs/**/tsne.json"))


def test_a_second_call_repeats_nothing_and_a_seed_is_added(
    done: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.glob("runs/**/result.json")}
    words = ["3" if WORDS[i - 1] == "--seeds" else word for i, word in enumerate(WORDS)]
    assert main(["study", "--data", str(pairs), "--out", str(done), *words]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "mean IoU (protocol deepglobe6)" in capsys.readouterr().out
    grown = StudyResult.model_validate_json((done / "result.json").read_text())
    assert {tuple(row.seeds) for row in grown.rows} == {(0, 1, 2)}
    words[words.index("deepglobe6")] = "ignore"
    assert main(["study", "--data", str(pairs), "--out", str(done), *words]) == 2
    assert "protocol: begun with 'deepglobe6', now 'ignore'" in capsys.readouterr().err


def test_a_start_that_does_not_fit_the_encoder_costs_no_training(
    done: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = done / "runs" / "pretrain" / "ssl"
    words = [f"ssl={run}" if word == "ssl" else "resnet18" if word == "test_resnet" else word for word in WORDS]
    assert main(["study", "--data", str(pairs), "--out", str(tmp_path / "study"), *words]) == 2
    assert "test_resnet" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_share_of_the_pairs_that_shows_one_class_is_left_out(pairs: Path, tmp_path: Path) -> None:
    """A single pair in twenty is drawn: all land. The study goes on with the larger share."""
    data, out = tmp_path / "data", tmp_path / "study"
    write_pairs(data / "train", 4, seed=2)
    write_pairs(data / "validation", 2, seed=3)
    for mask in sorted((data / "train").glob("*_mask.png"))[1:]:
        Image.fromarray(DEEPGLOBE.to_colours(np.full((64, 64), 3))).save(mask)
    words = ["scratch" if word == "ssl" else word for word in WORDS]
    words[words.index("--label-fractions") + 1] = "0.25"
    assert main(["study", "--data", str(data), "--out", str(out), *words]) == 0
    result = StudyResult.model_validate_json((out / "result.json").read_text())
    assert {row.label_fraction for row in result.rows} >= {1.0}
    assert result.left_out
    assert all("only forest" in line for line in result.left_out)
