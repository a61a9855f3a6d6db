"""Killed at 30 random moments each: what goes on comes to the files of a run that nobody touched, bit for bit."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.faults.killing import Nursery, Witness, kill_and_go_on, nursery
from tests.inference.synthetic import patches, write_raster
from tests.short_runs import CLASSIFY, PRETRAIN, SEGMENT, STUDY

KILLS = 30
MOMENTS = ("time", "seconds", "images_per_second", "pixels", "out")
"""What a file may say otherwise than the whole run's: when, how long, how much in this call of predict, where."""
OF_THE_PROCESS = ("checkpoints", "config.json", "report.html")
"""When a checkpoint was written is no result; config.json has --resume in it, and the page the seconds."""


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Nursery]:
    with nursery(tmp_path / "log.txt") as nest:
        yield nest


def without_moments(record: Any) -> Any:
    """JSON without what cannot be the same twice."""
    if isinstance(record, dict):
        return {key: without_moments(value) for key, value in record.items() if key not in MOMENTS}
    return [without_moments(value) for value in record] if isinstance(record, list) else record


def content(path: Path, root: Path) -> Any:
    """What must be equal of a file."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}
    if path.suffix not in (".json", ".jsonl"):
        return path.read_bytes()
    text = path.read_text().replace(str(root), "ROOT")
    return [without_moments(json.loads(line)) for line in (text.splitlines() if path.suffix == ".jsonl" else [text])]


def assert_same_files(folder: Path, whole: Path) -> None:
    """The same files with the same content, and nothing half-written."""
    ours, theirs = (
        {path.relative_to(root): path for path in root.rglob("*") if path.is_file()} for root in (folder, whole)
    )
    assert not [path for path in ours if ".part" in path.name or ".tmp" in path.name]
    assert ours.keys() == theirs.keys()
    for name, path in ours.items():
        if not {part for part in name.parts if part in OF_THE_PROCESS}:
            assert content(path, folder) == content(theirs[name], whole), name


def survive(nest: Nursery, folder: Path, words: list[str], again: list[str], kinds: tuple[str, ...]) -> None:
    """Chains of kills, each until its work is done, until there were ``KILLS``; each compared with a whole run."""
    whole = folder / "whole"
    nest.run([*words, "--out", str(folder / "first")])  # fills the caches of the files' contents
    began = time.monotonic()
    assert nest.run([*words, "--out", str(whole)]) == 0, nest.log.read_text()[-3000:]
    took, kills, chain = time.monotonic() - began, 0, 0
    while kills < KILLS:
        out = folder / f"chain-{chain}"
        there = ["--out", str(out)]
        kills += kill_and_go_on(
            nest, [*words, *there], [*again, *there], KILLS - kills, took, Witness(out, kinds), seed=chain
        )
        assert_same_files(out, whole)
        chain += 1
    assert kills == KILLS


def test_a_pretraining(flat_images: Path, tmp_path: Path, nest: Nursery) -> None:
    words = ["pretrain", "--data", str(flat_images), *PRETRAIN.split(), "--checkpoint-steps=1"]
    survive(nest, tmp_path, words, [*words, "--resume"], ("result.json",))


def test_a_classification(gratings: Path, tmp_path: Path, nest: Nursery) -> None:
    words = ["classify", "--data", str(gratings), *CLASSIFY.split(), "--checkpoint-steps=1"]
    survive(nest, tmp_path, words, [*words, "--resume"], ("result.json",))


def test_a_segmentation(pairs: Path, tmp_path: Path, nest: Nursery) -> None:
    words = ["segment", "--data", str(pairs), *SEGMENT.split(), "--checkpoint-steps=1"]
    survive(nest, tmp_path, words, [*words, "--resume"], ("result.json",))


def test_a_study(gratings: Path, tmp_path: Path, nest: Nursery) -> None:
    """With a pre-training, a choice of learning rates and four trainings, of which none is done twice."""
    words = ["study", "--data", str(gratings), *STUDY.split(), "--starts", "scratch", "ssl", "--label-fractions", "1"]
    words += ["--lr-grid", "0.3", "1", "--tune-folds", "1", "--pretrain-epochs", "2"]
    survive(nest, tmp_path, words, words, ("seed-*/result.json", "held-out-*/result.json", "pretrain/*/result.json"))


def test_a_prediction(pairs: Path, tmp_path: Path, nest: Nursery) -> None:
    """Of a raster in many tiles and ten images."""
    source = write_raster(tmp_path / "scene.tif", patches(600, 200), tiled=True, blockxsize=64, blockysize=64)
    run = tmp_path / "run"
    assert nest.run(["segment", "--data", str(pairs), *SEGMENT.split(), "--out", str(run)]) == 0
    words = ["predict", str(run), str(source), str(pairs / "images"), "--precision", "fp32"]
    survive(nest, tmp_path, words, words, ("*.png", "*.tif"))
