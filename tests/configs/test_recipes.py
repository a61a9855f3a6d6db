"""The seed recipes are the report's own numbers, and stay so."""

from pathlib import Path

from headstart.configs.classify import ClassifyConfig
from headstart.configs.pretrain import PretrainConfig


def test_seed_byol_is_the_report() -> None:
    recipe = PretrainConfig(data="d", out=Path("o"), recipe="seed_byol")
    assert (recipe.backbone, recipe.image_size, recipe.batch_size, recipe.epochs) == ("resnet50", 128, 32, 50)
    assert (recipe.optim.name, recipe.optim.lr, recipe.optim.lr_base_batch) == ("adam", 1e-2, None)
    assert (recipe.optim.weight_decay, recipe.optim.betas, recipe.optim.grad_clip) == (0.0, (0.9, 0.999), None)
    assert (recipe.schedule.name, recipe.views.style, recipe.views.mean_std) == ("warm_restarts", "trivial", "imagenet")
    assert (recipe.start, recipe.accumulate) == ("scratch", 1)


def test_seed_transfer_is_the_report() -> None:
    recipe = ClassifyConfig(data="d", out=Path("o"), recipe="seed_transfer")
    assert (recipe.backbone, recipe.image_size, recipe.batch_size, recipe.epochs) == ("resnet50", 128, 32, 100)
    assert (recipe.optim.name, recipe.optim.lr, recipe.optim.lr_base_batch) == ("adam", 1e-3, None)
    assert (recipe.optim.weight_decay, recipe.min_steps, recipe.label_fraction) == (0.0, 0, 1.0)
    assert (recipe.schedule.name, recipe.views.style, recipe.views.mean_std) == ("warm_restarts", "trivial", "imagenet")


def test_the_report_watched_nothing_so_its_recipe_only_warns() -> None:
    assert PretrainConfig(data="d", out=Path("o"), recipe="seed_byol").watch.on_collapse == "warn"
    assert PretrainConfig(data="d", out=Path("o")).watch.on_collapse == "stop"
