"""Classification in both ways, from files to a result."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from headstart.configs.classify import ClassifyConfig
from headstart.configs.optimisation import OptimConfig
from headstart.errors import DataError, TrainingStopped, WeightsError
from headstart.models.backbones import build_backbone
from headstart.models.weights import export_backbone
from headstart.summaries import summary_lines
from headstart.tasks.classify import classify


def config(data: Path, out: Path, **changes: Any) -> ClassifyConfig:
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "image_size": 32,
        "batch_size": 16,
        "epochs": 6,
        "min_steps": 0,
        "precision": "fp32",
        "workers": 0,
        "optim": OptimConfig(name="adamw", lr=5e-3),
    }
    return ClassifyConfig(data=str(data), out=out, **(settings | changes))


def exported(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "export" / "backbone.safetensors")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that looks like a pre-training run, with batch-norm statistics that are not the initial ones."""
    torch.manual_seed(3)
    run = tmp_path_factory.mktemp("start")
    backbone = build_backbone("test_resnet", 32)
    backbone(torch.randn(32, 3, 32, 32))
    export_backbone(backbone, run / "export", {"status": "finished"})
    return run


def test_a_fully_trained_network_learns_the_gratings(gratings: Path, tmp_path: Path) -> None:
    result = classify(config(gratings, tmp_path / "run", epochs=15))
    assert result.accuracy > 0.8
    assert (result.setting, result.letter, result.n_train, result.n_val) == ("scratch/full", "A", 60, 30)
    assert np.trace(result.confusion) / np.sum(result.confusion) == pytest.approx(result.accuracy)


def test_features_of_the_first_and_the_last_epoch_are_saved(gratings: Path, tmp_path: Path) -> None:
    classify(config(gratings, tmp_path / "run", epochs=2))
    files = sorted((tmp_path / "run" / "features").iterdir())
    assert [file.name for file in files] == ["train_epoch_0001.npz", "train_epoch_0002.npz"]
    first, last = (np.load(file) for file in files)
    assert first["features"].shape == (60, build_backbone("test_resnet", 32).feature_size)
    assert sorted(np.bincount(first["labels"])) == [20, 20, 20]
    assert not np.array_equal(first["features"], last["features"])


def test_a_frozen_backbone_is_bit_identical_after_training(gratings: Path, tmp_path: Path, start: Path) -> None:
    result = classify(config(gratings, tmp_path / "run", start=f"ssl={start}", frozen=True, epochs=20))
    before, after = safetensors.torch.load_file(start / "export" / "backbone.safetensors"), exported(tmp_path / "run")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert (result.setting, result.letter, result.frozen_views) == ("ssl/frozen", "E", 0)


def test_a_fully_trained_backbone_is_not(gratings: Path, tmp_path: Path, start: Path) -> None:
    classify(config(gratings, tmp_path / "run", start=f"ssl={start}", epochs=1))
    before, after = safetensors.torch.load_file(start / "export" / "backbone.safetensors"), exported(tmp_path / "run")
    assert all(not torch.equal(before[key], after[key]) for key in before if key.endswith(("weight", "running_mean")))


def test_augmented_copies_are_cached_for_a_frozen_setting(gratings: Path, tmp_path: Path) -> None:
    result = classify(config(gratings, tmp_path / "run", frozen=True, frozen_views=3, epochs=1))
    assert result.frozen_views == 3
    assert result.steps == 3 * 60 // 16


def test_a_label_fraction_is_stratified_and_min_steps_stretch_it(gratings: Path, tmp_path: Path) -> None:
    result = classify(config(gratings, tmp_path / "run", label_fraction=0.1, epochs=1, min_steps=7))
    assert result.n_train == 6
    assert (result.epochs, result.steps) == (7, 7)


def test_one_seed_repeats_and_another_differs(gratings: Path, tmp_path: Path) -> None:
    for name, seed, workers in (("a", 0, 0), ("b", 0, 2), ("c", 1, 0)):
        classify(config(gratings, tmp_path / name, seed=seed, workers=workers, epochs=2))
    a, b, c = (exported(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_class_folders_without_a_validation_side_get_the_same_one_for_every_seed(
    gratings: Path, tmp_path: Path
) -> None:
    results = [classify(config(gratings / "train", tmp_path / str(s), seed=s, epochs=1)) for s in (0, 1)]
    assert [(r.n_train, r.n_val) for r in results] == [(48, 12)] * 2
    prints = {json.loads((tmp_path / str(s) / "data.json").read_text())["fingerprint"] for s in (0, 1)}
    assert len(prints) == 1


def test_a_start_is_taken_for_what_it_is(gratings: Path, tmp_path: Path) -> None:
    classify(config(gratings, tmp_path / "labelled", epochs=1))
    with pytest.raises(WeightsError, match="is a classification run"):
        classify(config(gratings, tmp_path / "a", start=f"ssl={tmp_path / 'labelled'}"))
    for began, kind in (("scratch", "ssl+supervised"), ("supervised", "ssl")):
        export_backbone(build_backbone("test_resnet", 32), tmp_path / began / "export", {"start": began})
        with pytest.raises(WeightsError, match=r"; write ssl"):
            classify(config(gratings, tmp_path / "b", start=f"{kind}={tmp_path / began}"))


def test_unlabelled_images_are_refused_with_the_remedy(flat_images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no labels"):
        classify(config(flat_images, tmp_path / "run"))


def test_a_diverging_run_is_an_error_that_names_the_learning_rate(gratings: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match=r"--optim\.lr"):
        classify(config(gratings, tmp_path / "run", optim=OptimConfig(name="sgd", lr=1e38)))


def test_killed_and_resumed_equals_never_interrupted(
    gratings: Path, tmp_path: Path, killed_and_whole: Callable[[Sequence[str], Path, int], tuple[Path, Path]]
) -> None:
    """SIGKILL after some steps of full training, with looks, best checkpoints and accumulation."""
    words = (
        f"classify --data {gratings} --backbone test_resnet --image-size 32 --batch-size 16 --accumulate 2 --epochs 8 "
        "--min-steps 0 --precision fp32 --workers 0 --checkpoint-steps 3"
    ).split()
    killed, whole = killed_and_whole(words, tmp_path, 7)
    ours, theirs = exported(killed), exported(whole)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    logs = [(out / "metrics.jsonl").read_text().splitlines() for out in (killed, whole)]
    without_clock = [[json.loads(line) | {"time": 0} for line in log] for log in logs]
    assert without_clock[0] == without_clock[1]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_part_of_the_labelled_images_is_judged_on_instead_of_the_validation_images(
    gratings: Path, tmp_path: Path, frozen: bool
) -> None:
    shutil.copytree(gratings, tmp_path / "data")
    for file in (tmp_path / "data" / "val").rglob("*.png"):
        file.write_bytes(b"not an image")
    result = classify(config(tmp_path / "data", tmp_path / "run", held_out=1, label_fraction=0.5, frozen=frozen))
    assert (result.n_train, result.n_val) == (24, 6)
    assert np.sum(result.confusion) == 6
    assert result.judged_images == "images held out of the labelled training images (part 2 of 5)"
    assert result.judged_images in summary_lines(result, None)[0]
    facts = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (facts["n_train"], facts["n_val"]) == (60, 0)
    with pytest.raises(DataError):
        classify(config(tmp_path / "data", tmp_path / "other", frozen=frozen))
