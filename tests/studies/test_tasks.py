"""A study asks every task for the same things: a config for each run, its network, its data."""

from pathlib import Path

import pytest

from headstart.configs.classify import ClassifyConfig
from headstart.configs.segment import SegmentConfig
from headstart.configs.study import StudyConfig
from headstart.errors import ConfigError
from headstart.studies.execute import run_config
from headstart.studies.plan import plan
from headstart.studies.tasks import TASKS


def study(**fields) -> StudyConfig:
    return StudyConfig(**{"data": "images", "out": Path("study"), "starts": ("scratch", "ssl"), "seeds": 1} | fields)


def configs(config: StudyConfig) -> list:
    return [run_config(config, TASKS[config.task], run) for run in plan(config)]


def test_every_task_of_the_config_can_be_studied():
    assert set(TASKS) == {"classify", "segment"}
    for name, task in TASKS.items():
        for run in plan(study(task=name)):
            made = run_config(study(task=name), task, run)
            assert (made.label_fraction, made.frozen) == (run.label_fraction, run.trained == "frozen")


def test_a_classification_keeps_features_of_the_trainings_that_are_laid_out():
    made = configs(study(backbone="test_resnet", recipe="seed_transfer"))
    assert all(isinstance(run, ClassifyConfig) and run.backbone == "test_resnet" for run in made)
    assert {run.epochs for run in made} == {100}
    assert {(run.label_fraction, run.frozen) for run in made if run.save_features} == {(1.0, False)}


def test_a_segmentation_gets_the_encoder_of_the_backbone_and_the_protocol():
    made = configs(
        study(task="segment", backbone="test_resnet", model="fpn", protocol="per-image", palette="deepglobe")
    )
    assert all(isinstance(run, SegmentConfig) for run in made)
    said = {(run.model, run.encoder, run.protocol, run.palette, run.evaluations) for run in made}
    assert said == {("fpn", "tu-test_resnet", "per-image", "deepglobe", 1)}
    seed = configs(study(task="segment", recipe="seed_model_a"))
    assert {(run.model, run.encoder, run.ignored, run.image_size) for run in seed} == {
        ("fcn32s-seed", "vgg16", "learn", 512)
    }
    assert {run.start.partition("=")[0] for run in seed} == {"scratch", "ssl"}


def test_what_the_task_cannot_do_is_a_config_error_before_anything_begins():
    with pytest.raises(ConfigError, match="gives masks of the image's size for 512 pixels only"):
        configs(study(task="segment", recipe="seed_model_a", image_size=64))
    with pytest.raises(ConfigError, match="built on vgg16"):
        configs(study(task="segment", model="fcn32s", backbone="resnet50"))
    with pytest.raises(ConfigError, match="unet"):
        configs(study(task="segment", model="unetz"))
