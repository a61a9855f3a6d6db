"""A finished classifier on other images."""

from pathlib import Path

import pytest
from PIL import Image

from headstart.configs.classify import ClassifyConfig
from headstart.configs.inference import EvaluateConfig
from headstart.errors import DataError, RunError
from headstart.results import EvaluateResult
from headstart.tasks.classify import classify
from headstart.verbs import evaluate


@pytest.fixture(scope="module", params=[False, True], ids=["full", "frozen"])
def run(gratings: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A classifier after three epochs."""
    out = tmp_path_factory.mktemp("classified") / "run"
    settings = {"backbone": "test_resnet", "image_size": 32, "batch_size": 16, "epochs": 3, "min_steps": 0}
    classify(ClassifyConfig(data=str(gratings), out=out, precision="fp32", frozen=request.param, **settings))
    return out


def test_the_same_images_give_the_same_counts(gratings: Path, run: Path, tmp_path: Path) -> None:
    again = evaluate(EvaluateConfig(run=run, data=str(gratings), out=tmp_path / "e", precision="fp32"))
    assert isinstance(again, EvaluateResult)
    told = (run / "result.json").read_text()
    assert f'"accuracy": {again.accuracy!r}' in told
    assert again.n == 30
    assert EvaluateResult.model_validate_json((tmp_path / "e" / "result.json").read_text()) == again


def test_what_cannot_be_scored_is_refused(flat_images: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no labels"):
        evaluate(EvaluateConfig(run=run, data=str(flat_images)))
    for name in ("class-0", "strange"):
        (tmp_path / "more" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (40, 40), (i, 0, 0)).save(tmp_path / "more" / name / f"{i}.png")
    with pytest.raises(DataError, match="does not know: strange"):
        evaluate(EvaluateConfig(run=run, data=str(tmp_path / "more")))
    with pytest.raises(RunError, match="not a run directory"):
        evaluate(EvaluateConfig(run=tmp_path, data=str(flat_images)))
