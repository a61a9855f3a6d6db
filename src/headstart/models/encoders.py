"""Names of models and encoders, and which pre-trained backbone fits which encoder."""

import difflib

import timm

from headstart.errors import ConfigError
from headstart.models.backbones import TORCHVISION, architecture, timm_cfg

FCNS = ("fcn32s", "fcn32s-seed")
DECODERS = (
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet",
    "deeplabv3", "deeplabv3plus", "pan", "upernet", "segformer", "dpt",
)  # fmt: skip
MODELS = (*FCNS, *DECODERS)

TIMM = "tu-"
"""What stands before a timm name where segmentation_models_pytorch is to take its encoder from timm."""

VGG16 = "vgg16"

# segmentation_models_pytorch's own encoders that have the layers of a timm or torchvision network. Those of the second
# table have other names for the same layers in the same order.
_TWINS = {
    **{name: name for name in (
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
        "resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_32x16d", "resnext101_32x32d",
        "dpn68", "dpn68b", "dpn92", "dpn98", "dpn107", "dpn131",
        "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
        "densenet121", "densenet169", "densenet201", "densenet161",
    )},
    "senet154": "legacy_senet154",
    "se_resnet50": "legacy_seresnet50",
    "se_resnet101": "legacy_seresnet101",
    "se_resnet152": "legacy_seresnet152",
    "se_resnext50_32x4d": "legacy_seresnext50_32x4d",
    "se_resnext101_32x4d": "legacy_seresnext101_32x4d",
    "inceptionresnetv2": "inception_resnet_v2",
    "inceptionv4": "inception_v4",
    "xception": "legacy_xception",
    "mobilenet_v2": "torchvision/mobilenet_v2",
    **{f"timm-efficientnet-b{i}": f"efficientnet_b{i}" for i in range(9)},
    "timm-efficientnet-l2": "efficientnet_l2",
    **{f"timm-tf_efficientnet_lite{i}": f"efficientnet_lite{i}" for i in range(5)},
}  # fmt: skip
_TWINS_BY_ORDER = {f"efficientnet-b{i}": f"tf_efficientnet_b{i}" for i in range(8)}

# Old names for encoders from timm, which segmentation_models_pytorch still takes.
_OLD_TIMM = ("timm-regnet", "timm-res2", "timm-resnest", "timm-mobilenetv3", "timm-gernet")


def backbone_of(model: str, encoder: str) -> str | None:
    """Name of the timm or torchvision backbone whose ``headstart pretrain`` run fits the encoder of a model.

    None where there is none: some of segmentation_models_pytorch's own encoders stand alone.
    """
    if model in FCNS:
        return VGG16
    encoder = modern_name(encoder)
    if encoder.startswith(TIMM):
        return encoder.removeprefix(TIMM)
    return _TWINS.get(encoder) or _TWINS_BY_ORDER.get(encoder)


def encoder_for(model: str, backbone: str) -> str:
    """Name of the encoder of a model that a pre-trained backbone fits. Raises ConfigError where there is none."""
    check_model(model)
    if model in FCNS:
        if architecture(backbone) != VGG16:
            raise ConfigError(
                f"--model {model} is built on vgg16, and the backbone is {backbone}; pre-train with --backbone vgg16, "
                f"or take a model with a choice of encoders, such as --model unet"
            )
        return VGG16
    if not backbone.startswith(TORCHVISION):
        return TIMM + backbone
    twin = next((encoder for encoder, twin in _TWINS.items() if twin == backbone), None)
    if twin is None or model == "dpt":
        raise ConfigError(
            f"backbone {backbone}: segmentation models take their encoders from timm; pre-train with a name from "
            f"timm.list_models(), such as {backbone.removeprefix(TORCHVISION)} if it is there"
        )
    return twin


def matches_by_order(encoder: str) -> bool:
    """Whether the encoder's tensors are its backbone's in the same order under other names."""
    return encoder in _TWINS_BY_ORDER


def modern_name(encoder: str) -> str:
    """An encoder's name, with what was ``timm-NAME`` in the seed's days as the ``tu-NAME`` of today."""
    if not encoder.startswith(_OLD_TIMM):
        return encoder
    name = encoder.removeprefix("timm-")
    return TIMM + (f"tf_{name}" if name.startswith("mobilenetv3") else name)


def timm_encoder(encoder: str) -> str | None:
    """``tu-NAME`` of timm's network of the same kind as an encoder of segmentation_models_pytorch, if it has one."""
    name = encoder.removeprefix("timm-").replace("-", "_")
    backbone = _TWINS.get(encoder, name).removeprefix(TORCHVISION)
    candidates = (backbone, f"tf_{backbone}", {"mobilenet_v2": "mobilenetv2_100"}.get(backbone, ""))
    return next((TIMM + candidate for candidate in candidates if timm.is_model(candidate)), None)


def check_model(model: str) -> None:
    """Raises ConfigError for a model that is not in ``MODELS``."""
    if model not in MODELS:
        close = difflib.get_close_matches(model, MODELS, n=3, cutoff=0.5)
        near = f"close names: {', '.join(close)}; " if close else ""
        raise ConfigError(f"unknown --model {model!r} ({near}all: {', '.join(MODELS)})")


def check_encoder(model: str, encoder: str, own: list[str]) -> None:
    """Raises ConfigError unless the name is one that a model can have. ``own``: segmentation_models_pytorch's names."""
    if model in FCNS:
        if encoder != VGG16:
            raise ConfigError(
                f"--model {model} is built on vgg16, not on {encoder!r}; give --encoder vgg16, "
                f"or take a model with a choice of encoders, such as --model unet --encoder {encoder}"
            )
        return
    name = modern_name(encoder)
    if name.startswith(TIMM):
        if not timm.is_model(architecture(name.removeprefix(TIMM))):
            raise _unknown(encoder, [TIMM + known for known in timm.list_models()])
        timm_cfg(name.removeprefix(TIMM))  # raises for an unknown pretrained tag
        return
    if name not in own:
        in_timm = timm.is_model(architecture(name))
        raise _unknown(encoder, [TIMM + name] if in_timm else own + [TIMM + known for known in timm.list_models()])
    if model == "dpt":
        near = timm_encoder(name) or "tu-vit_small_patch16_224"
        raise ConfigError(f"--model dpt takes its encoder from timm only; give --encoder {near} instead of {encoder}")


def _unknown(encoder: str, known: list[str]) -> ConfigError:
    close = known if len(known) == 1 else difflib.get_close_matches(encoder, known, n=5, cutoff=0.5)
    near = f"close names: {', '.join(close)}" if close else "no close name"
    return ConfigError(
        f"unknown --encoder {encoder!r} ({near}). Take tu-NAME with a name from timm.list_models(), "
        "or a name of segmentation_models_pytorch.encoders.get_encoder_names()"
    )
