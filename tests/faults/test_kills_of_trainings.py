"""Trainings, killed at 30 random moments each: what goes on comes to the files of a run that nobody touched."""

from pathlib import Path

from tests.faults.killing import Nursery, survive
from tests.short_runs import CLASSIFY, PRETRAIN, SEGMENT


def test_a_pretraining(flat_images: Path, tmp_path: Path, nest: Nursery) -> None:
    words = ["pretrain", "--data", str(flat_images), *PRETRAIN.split(), "--checkpoint-steps=1"]
    survive(nest, tmp_path, words, [*words, "--resume"], ("result.json",))


def test_a_classification(gratings: Path, tmp_path: Path, nest: Nursery) -> None:
    words = ["classify", "--data", str(gratings), *CLASSIFY.split(), "--checkpoint-steps=1"]
    survive(nest, tmp_path, words, [*words, "--resume"], ("result.json",))


def test_a_segmentation(pairs: Path, tmp_path: Path, nest: Nursery) -> None:
    words = ["segment", "--data", str(pairs), *SEGMENT.split(), "--checkpoint-steps=1"]
    survive(nest, tmp_path, words, [*words, "--resume"], ("result.json",))
