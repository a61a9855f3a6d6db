"""Why the report's pre-training hurt: its recipe with one choice at a time from ``default``, then all of them."""

from benchmarks.learning.series import Change, Series, Settings, group

from headstart import PretrainConfig

USUAL_ADAM_LR = 1e-3


def default_or_usual_lr(default: PretrainConfig) -> Settings:
    """Adam stays; the rate of ``default`` where that is Adam's too, else Adam's usual one: a rate of SGD means nothing
    to Adam.
    """
    adam = default.optim.name in ("adam", "adamw")
    return {"optim": {"lr": default.optim.lr if adam else USUAL_ADAM_LR}}


def crops(default: PretrainConfig) -> Settings:
    """Random crops and flips in place of TrivialAugmentWide."""
    return {"views": {"style": "light", "crop_scale": default.views.crop_scale}}


def colour_without_crops(default: PretrainConfig) -> Settings:
    """The views of ``default`` on the whole image."""
    return {"views": default.views.model_dump() | {"crop_scale": (1.0, 1.0), "mean_std": "imagenet"}}


def crops_and_colour(default: PretrainConfig) -> Settings:
    """The views of ``default``, the report's channel statistics kept."""
    return {"views": default.views.model_dump() | {"mean_std": "imagenet"}}


WHY = Series(
    "why",
    base="seed_byol",
    changes={
        "lr": Change("learning rate of Adam", default_or_usual_lr),
        "optimiser": Change("optimiser with its learning rate", group("optim")),
        "schedule": Change("warm restarts to the schedule of `default`", group("schedule")),
        "crops": Change("TrivialAugmentWide to random crops and flips", crops),
        "colour": Change("TrivialAugmentWide to the colour jitter of `default`, no crops", colour_without_crops),
        "views": Change("TrivialAugmentWide to the views of `default`", crops_and_colour),
        "batch": Change("batch size", lambda default: {"batch_size": default.batch_size}),
        "tau": Change("momentum of the target", group("byol", "tau_base", "tau_end")),
        "heads": Change("sizes of projector and predictor", group("byol", "hidden_size", "projection_size")),
        "default": Change("everything: the recipe `default`", lambda default: {"recipe": "default"}),
    },
)
