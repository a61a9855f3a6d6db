"""Studies and predictions, killed at 30 random moments each: the files of a run that nobody touched, bit for bit."""

from pathlib import Path

from tests.faults.killing import Nursery, survive
from tests.inference.synthetic import patches, write_raster
from tests.short_runs import SEGMENT, STUDY


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
