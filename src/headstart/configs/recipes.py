"""Recipes: named functions that return the settings of a verb that matter; the config fills in the rest.

``seed_*`` recipes are the course report's own hyperparameters, faults included; ``default`` is ours. A config that
names a recipe has its settings, on the command line and in Python alike; settings given beside it win.
"""

from collections.abc import Callable, Mapping
from typing import Any

from headstart.configs.base import Config
from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.configs.views import ViewsConfig

Settings = dict[str, Any]
Recipes = Mapping[str, Callable[[], Settings]]

SEED_VIEWS = ViewsConfig(style="trivial", mean_std="imagenet")
SEED_SCHEDULE = ScheduleConfig(name="warm_restarts", restart_epochs=10, restart_factor=1)


def default_pretrain() -> Settings:
    """BYOL as lightly trains it on CIFAR-10 (SGD, momentum 0.9, a fast target), with gentler views.

    The paper's LARS at 4096 images a step does not fit a small machine, and its grey views, blur and solarising take
    from small images what tells them apart; so do small crops in a few thousand steps. What was tried, and what is not
    settled: docs/learning.md.
    """
    return {
        "image_size": 64,
        "batch_size": 64,
        "epochs": 100,
        "optim": OptimConfig(name="sgd", lr=0.06, lr_base_batch=64, weight_decay=5e-4, grad_clip=1.0),
        "schedule": ScheduleConfig(name="cosine", warmup_fraction=0.1),
        "views": ViewsConfig(
            style="byol",
            crop_scale=(0.5, 1.0),
            flip="auto",
            vertical_flip="auto",
            turn="auto",
            colour=0.5,
            grey=0.0,
            blur=(0.0, 0.0),
            solarise=(0.0, 0.0),
        ),
        "byol": ByolConfig(projection_size=256, hidden_size=1024, tau_base=0.99),
    }


def seed_byol() -> Settings:
    """The report's pre-training: batch 32, Adam at 1e-2, warm restarts, one weak transform, ResNet-50 at 128 pixels.

    The report names no restart period; 10 epochs are taken. Nobody watched that run for collapse, so this one only
    warns. Its second 50 epochs are ``--init-from`` the first: the weights go on, the optimiser starts afresh.
    """
    return {
        "backbone": "resnet50",
        "image_size": 128,
        "batch_size": 32,
        "epochs": 50,
        "optim": OptimConfig(name="adam", lr=1e-2),
        "schedule": SEED_SCHEDULE,
        "views": SEED_VIEWS,
        "byol": ByolConfig(projection_size=256, hidden_size=4096, tau_base=0.996, started_lr=1.0, keep=0.0),
        "watch": WatchConfig(on_collapse="warn"),
    }


def default_classify() -> Settings:
    """AdamW on a cosine with warm-up, random crops, flips where the images allow them; at least 400 steps, so that few
    labels get a fair try.
    """
    return {
        "image_size": 64,
        "batch_size": 32,
        "epochs": 30,
        "min_steps": 400,
        "optim": OptimConfig(name="adamw", lr=1e-3, weight_decay=0.05, grad_clip=1.0),
        "schedule": ScheduleConfig(name="cosine", warmup_fraction=0.1),
        "views": ViewsConfig(style="light", crop_scale=(0.5, 1.0), flip="auto"),
    }


def seed_transfer() -> Settings:
    """The report's downstream training: batch 32, Adam at 1e-3, warm restarts, 100 epochs, the same transform."""
    return {
        "backbone": "resnet50",
        "image_size": 128,
        "batch_size": 32,
        "epochs": 100,
        "standardise": False,
        "optim": OptimConfig(name="adam", lr=1e-3),
        "schedule": SEED_SCHEDULE,
        "views": SEED_VIEWS,
    }


def default_segment() -> Settings:
    """AdamW on a poly schedule with warm-up, the encoder at 0.3 of the rate, cross-entropy and dice."""
    return {
        "image_size": 256,
        "batch_size": 8,
        "epochs": 50,
        "min_steps": 400,
        "encoder_lr": 0.3,
        "optim": OptimConfig(name="adamw", lr=1e-3, weight_decay=0.01, grad_clip=1.0),
        "schedule": ScheduleConfig(name="poly", warmup_fraction=0.05),
        "loss": {"terms": ("cross-entropy", "dice")},
    }


def seed_model_a() -> Settings:
    """The report's model A, VGG16-FCN32s, on 512-pixel images, with its protocol.

    The report does not give its optimiser; Adam at 1e-4 and batch 8 are taken.
    """
    return _seed_segment() | {"model": "fcn32s-seed", "encoder": "vgg16", "epochs": 100}


def seed_model_b() -> Settings:
    """The report's model B: an encoder-decoder with timm's MobileNetV3-Large, 150 epochs, masks after 1, 75 and 150.

    The report does not name the decoder (Unet is taken) nor the optimiser (as in ``seed_model_a``).
    """
    own = {"model": "unet", "encoder": "tu-mobilenetv3_large_100", "epochs": 150, "mask_epochs": (1, 75, 150)}
    return _seed_segment() | own


def _seed_segment() -> Settings:
    return {
        "image_size": 512,
        "batch_size": 8,
        "start": "supervised",
        "palette": "deepglobe",
        "ignored": "learn",
        "protocol": "deepglobe6",
        "optim": OptimConfig(name="adam", lr=1e-4),
        "schedule": ScheduleConfig(name="constant", warmup_fraction=0.0),
        "crops": {"scale": (1.0, 1.0), "flip": 0.5, "vertical_flip": 0.0, "rotate": 0.0, "colour": 0.0},
    }


PRETRAIN: Recipes = {"default": default_pretrain, "seed_byol": seed_byol}
CLASSIFY: Recipes = {"default": default_classify, "seed_transfer": seed_transfer}
SEGMENT: Recipes = {
    "default": default_segment,
    "default_segment": default_segment,
    "seed_model_a": seed_model_a,
    "seed_model_b": seed_model_b,
}


def batch_that_fits(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """``batch_size`` auto means that of the recipe, split so that it fits into memory: ``accumulate`` auto.

    ValueError where ``accumulate`` is given beside it.
    """
    if given.get("batch_size") != "auto":
        return given
    if given.get("accumulate", "auto") != "auto":
        raise ValueError(
            f"--batch-size auto chooses the parts itself: leave --accumulate {given['accumulate']} out, or give the "
            "batch size as a number"
        )
    return {**{key: value for key, value in given.items() if key != "batch_size"}, "accumulate": "auto"}


def with_recipe(given: Any, recipes: Recipes) -> Any:
    """``given`` settings over those of the recipe they name. A group given as a dict changes only the keys it has; one
    given as a config replaces the recipe's. ValueError for an unknown recipe.
    """
    if not isinstance(given, Mapping):
        return given
    name = given.get("recipe", "default")
    if name not in recipes:
        raise ValueError(f"--recipe {name!r}: the recipes are {', '.join(recipes)}")
    settings = recipes[name]()
    given = batch_that_fits(given)
    for key, value in given.items():
        base = settings.get(key)
        if isinstance(base, Config):
            base = base.model_dump()
        if isinstance(base, Mapping) and isinstance(value, Mapping):
            value = {**base, **value}
        settings[key] = value
    return settings
