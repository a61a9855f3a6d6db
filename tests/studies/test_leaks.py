"""Validation images that pre-training has seen are found by their content, wherever they lie."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from headstart.configs.study import StudyConfig
from headstart.data.imageset import ImageSet
from headstart.data.pairs import open_pairs, pair_split
from headstart.data.sources import open_source
from headstart.studies.leaks import find_leaks, same_files
from headstart.studies.plan import plan


def pretrained(folder: Path, data: object, **settings: object) -> Path:
    """What a pre-training run leaves for this question: its config."""
    folder.mkdir()
    config = {"data": str(data), "start": "scratch", "init_from": None} | settings
    (folder / "config.json").write_text(json.dumps({"schema_version": 1, "verb": "pretrain", "config": config}))
    return folder


@pytest.fixture
def leaky(gratings: Path, tmp_path: Path) -> Path:
    """A flat folder with all training images and three validation images, under other names."""
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for i, file in enumerate(
        [*sorted((gratings / "train").rglob("*.png")), *sorted((gratings / "val").rglob("*.png"))[:3]]
    ):
        shutil.copy(file, folder / f"image-{i}.png")
    return folder


def leaks(data: Path, *starts: str, unlabelled: Path | None = None) -> list[str]:
    config = StudyConfig(
        data=str(data),
        out=Path("study"),
        starts=("scratch", *starts),
        unlabelled=str(unlabelled) if unlabelled else None,
    )
    val = open_source(str(data)).val
    assert val is not None
    return find_leaks(config, plan(config), val)


def test_unlabelled_images_that_hold_validation_images_are_told(gratings: Path, leaky: Path, caplog) -> None:
    (line,) = leaks(gratings, "ssl", unlabelled=leaky)
    assert line.startswith(
        "The pre-training of ssl has seen 3 of the 30 validation images (such as class-0/000.png) in "
    )
    assert line in caplog.text
    assert leaks(gratings, "ssl", unlabelled=gratings) == leaks(gratings, "ssl") == leaks(gratings) == []


def test_a_given_run_is_asked_what_it_was_trained_on_and_what_it_went_on_from(
    gratings: Path, leaky: Path, tmp_path: Path
) -> None:
    clean, first = pretrained(tmp_path / "clean", gratings), pretrained(tmp_path / "first", leaky)
    second = pretrained(tmp_path / "second", gratings, init_from=str(first))
    assert leaks(gratings, f"ssl={clean}") == []
    for run in (first, second):
        (line,) = leaks(gratings, f"ssl+supervised={run}")
        assert f"ssl+supervised={run} has seen 3 of the 30" in line


def test_images_held_out_of_a_pretraining_are_not_called_a_leak(gratings: Path, tmp_path: Path) -> None:
    """Without validation images of its own, both pre-training and study hold out the same fifth."""
    assert leaks(gratings, f"ssl={pretrained(tmp_path / 'run', gratings / 'train')}") == []


def test_what_cannot_be_told_is_only_logged(gratings: Path, tmp_path: Path, caplog) -> None:
    gone = pretrained(tmp_path / "gone", tmp_path / "nowhere")
    with caplog.at_level(logging.INFO):
        assert leaks(gratings, f"ssl={gone}", f"ssl={tmp_path / 'no-run'}") == []
    assert "cannot be told" in caplog.text


def test_files_of_equal_size_with_other_content_are_not_the_same(tmp_path: Path) -> None:
    for name, content in {"a": b"one", "b": b"two", "c": b"three", "d": b"one"}.items():
        (tmp_path / name).write_bytes(content)
    assert same_files(ImageSet(tmp_path, ("a", "b", "gone")), ImageSet(tmp_path, ("c", "d", "gone"))) == ["a"]


def test_pairs_that_a_study_holds_out_are_held_out_of_pretraining_too(gratings: Path, tmp_path: Path) -> None:
    for i, file in enumerate(sorted((gratings / "train").rglob("*.png"))[:10]):
        shutil.copy(file, tmp_path / f"{i:04}_sat.png")
        shutil.copy(file, tmp_path / f"{i:04}_mask.png")
    config = StudyConfig(data=str(tmp_path), out=Path("study"), task="segment", starts=("scratch", "ssl"))
    train, val, _ = pair_split(open_pairs(config.data))
    assert find_leaks(config, plan(config), val.images) == []
    (line,) = find_leaks(config, plan(config), train.images)
    assert "has seen 8 of the 8" in line
