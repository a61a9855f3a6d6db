"""The settings of a study know which of them belong to which task."""

import pytest

from headstart.configs.flags import parse
from headstart.configs.study import StudyConfig
from headstart.errors import ConfigError


def study(words: str) -> StudyConfig:
    return parse(StudyConfig, ["--data", "d", "--out", "o", *words.split()], ())


def test_what_is_for_segmentation_is_refused_elsewhere_with_everything_else_that_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        study("--model fpn --palette p --nearest-colour --protocol per-image --recipe seed_model_b --pretrain-recipe x")
    problems = caught.value.problems
    assert len(problems) == 6
    for flag in ("--model", "--palette", "--nearest-colour", "--protocol"):
        assert f"{flag} is for segmentation: add --task segment, or leave it out" in problems
    assert "--recipe 'seed_model_b': the recipes are default, seed_transfer" in problems
    assert "--pretrain-recipe 'x': the recipes are default, seed_byol" in problems
    assert study("--model unet --protocol ignore").task == "classify"  # the defaults, said aloud
    with pytest.raises(ConfigError, match="'seed_transfer': the recipes are default, default_segment"):
        study("--task segment --recipe seed_transfer")
    with pytest.raises(ConfigError, match="--task 'detect'"):
        study("--task detect --recipe default")


def test_a_grid_of_learning_rates_is_given_in_words_and_checked() -> None:
    assert study("--lr-grid 0.1 1 --tune-folds 2").lr_grid == (0.1, 1.0)
    assert (study("").lr_grid, study("").tune_folds) == ((0.3, 1.0, 3.0), 3)
    with pytest.raises(ConfigError) as caught:
        study("--lr-grid 0 1 -3 nan --model fpn")
    assert list(caught.value.problems) == [
        "--lr-grid 0 -3 nan: multiples of a learning rate are above zero",
        "--model is for segmentation: add --task segment, or leave it out",
    ]
    with pytest.raises(ConfigError, match="--lr-grid is empty"):
        study("--lr-grid")
    with pytest.raises(ConfigError, match="--tune-folds"):
        study("--tune-folds 6")


def test_a_recipe_brings_the_network_and_the_protocol_it_is_about() -> None:
    a, b = study("--task segment --recipe seed_model_a"), study("--task segment --recipe seed_model_b")
    assert (a.model, a.backbone, a.palette, a.protocol) == ("fcn32s-seed", "vgg16", "deepglobe", "deepglobe6")
    assert (b.model, b.backbone) == ("unet", "mobilenetv3_large_100")
    changed = study("--task segment --recipe seed_model_b --backbone resnet18 --protocol ignore")
    assert (changed.model, changed.backbone, changed.protocol) == ("unet", "resnet18", "ignore")
    assert study("--task segment").protocol == "ignore"
