"""What the recipe ``default`` chooses, and what the alternative costs: each of its choices changed alone."""

from collections.abc import Callable
from typing import Any

from benchmarks.learning.series import Change, Series, Settings

from headstart import PretrainConfig


def fixed(**settings: Any) -> Callable[[PretrainConfig], Settings]:
    """The same settings whatever ``default`` has; of a group only the keys that are given."""
    return lambda default: settings


def lr_times(factor: float) -> Callable[[PretrainConfig], Settings]:
    """The learning rate of ``default`` times ``factor``."""
    return lambda default: {"optim": {"lr": default.optim.lr * factor}}


def half_the_side(default: PretrainConfig) -> Settings:
    """Images of half the side."""
    return {"image_size": default.image_size // 2}


ADAMW = {"name": "adamw", "lr": 5e-4, "lr_base_batch": 64, "weight_decay": 0.05}
LARS = {"name": "lars", "lr": 0.5, "weight_decay": 1e-6, "grad_clip": None}
STRONG = {"crop_scale": (0.2, 1.0), "colour": 1.0, "grey": 0.2, "blur": (1.0, 0.1), "solarise": (0.0, 0.2)}
NO_FLIPS = {"flip": 0.0, "vertical_flip": 0.0, "turn": 0.0}

LEVERS = Series(
    "levers",
    base="default",
    changes={
        "adamw": Change("SGD to AdamW", fixed(optim=ADAMW)),
        "lars": Change("SGD to LARS, no clipping", fixed(optim=LARS)),
        "strong-views": Change("BYOL's colour, grey, blur and solarising, and smaller crops", fixed(views=STRONG)),
        "no-colour": Change("no colour jitter", fixed(views={"colour": 0.0})),
        "wide-crops": Change("crops of three quarters of the area or more", fixed(views={"crop_scale": (0.75, 1.0)})),
        "tight-crops": Change("crops of three tenths of the area or more", fixed(views={"crop_scale": (0.3, 1.0)})),
        "no-flips": Change("neither flips nor turns, whatever the images", fixed(views=NO_FLIPS)),
        "mirrored": Change("horizontal flips alone, whatever the images", fixed(views={**NO_FLIPS, "flip": 0.5})),
        "tau-0.97": Change("a faster target", fixed(byol={"tau_base": 0.97})),
        "tau-0.996": Change("a slower target", fixed(byol={"tau_base": 0.996})),
        "batch-32": Change("half the batch, and the learning rate with it", fixed(batch_size=32)),
        "batch-128": Change("twice the batch, and the learning rate with it", fixed(batch_size=128)),
        "heads-4096": Change("wider projector and predictor", fixed(byol={"hidden_size": 4096})),
        "small-images": Change("half the image size in pre-training and for its kNN", half_the_side),
        "lr-half": Change("half the learning rate", lr_times(0.5)),
        "lr-double": Change("twice the learning rate", lr_times(2.0)),
        "supervised": Change("from supervised weights", fixed(start="supervised")),
        "supervised-no-keep": Change(
            "from supervised weights, which nothing keeps", fixed(start="supervised", byol={"keep": 0.0}), "supervised"
        ),
        "supervised-full-rate": Change(
            "from supervised weights, at the rate of the heads",
            fixed(start="supervised", byol={"started_lr": 1.0}),
            "supervised",
        ),
    },
)
