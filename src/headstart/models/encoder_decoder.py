"""Networks of segmentation_models_pytorch: how one is built for a size, and which sizes it then takes."""

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from headstart.errors import ConfigError
from headstart.models.backbones import timm_cfg
from headstart.models.encoders import TIMM
from headstart.models.padding import pad_to_multiple, padded_side

_log = logging.getLogger(__name__)

_STRIDE = 32
"""Pixels between two units of the deepest feature map, at most: what an image's sides are made multiples of."""

_SMALLEST = (32, 64, 128)
"""Sides in pixels at which networks are tried; below the first that works, images are padded to it."""

_DILATED = ("deeplabv3", "deeplabv3plus", "pan")
"""Decoders that take strides out of the encoder."""


@dataclass(frozen=True)
class InputSizes:
    """Which images a network takes, in pixels.

    Attributes:
        fixed: it takes square images of this side and no others; None: any size.
        multiple, minimum: what sides are padded to before the network sees them.
    """

    fixed: int | None = None
    multiple: int = 1
    minimum: int = 1


def build_network(model: str, encoder: str, n_outputs: int, image_size: int | None) -> tuple[nn.Module, InputSizes]:
    """A network of segmentation_models_pytorch with random weights, and the sizes it takes (tried, not looked up).

    Parameters that have no influence on the output (an encoder's layers behind the last map that the decoder takes)
    require no gradient.

    Raises:
        ConfigError: this model cannot be built on this encoder, or not for images of this size.
    """
    try:
        network = _create(model, encoder, n_outputs, built_side(image_size))
    except Exception as error:  # there is no list of what the constructors of a thousand networks raise
        raise _unfit(model, encoder, error) from None
    for least in _SMALLEST:
        if _what_fails(network, torch.zeros(1, 3, least, least + _STRIDE)) is None:
            return network, InputSizes(None, _STRIDE, least)
    fixed = image_size or _default_side(encoder)
    failure = _what_fails(network, pad_to_multiple(torch.zeros(1, 3, fixed, fixed), _STRIDE))
    if failure is not None:
        raise _unfit(model, encoder, failure, f" for images of {fixed} px")
    _log.info("%s with %s takes images of %d x %d px only", model, encoder, fixed, fixed)
    return network, InputSizes(fixed, _STRIDE)


def built_side(image_size: int | None) -> int | None:
    """Side in pixels of what a network made for ``image_size`` really sees, padding included."""
    return None if image_size is None else padded_side(image_size, _STRIDE)


def _create(model: str, encoder: str, n_outputs: int, side: int | None) -> nn.Module:
    """The network, its encoder made for ``side`` pixels where its kind has a size, and for others too where it can."""
    fixed: dict[str, Any] = {} if side is None else {"img_size": side}
    attempts = [{**fixed, "dynamic_img_size": True}, {**fixed, "strict_img_size": False}, fixed, {}]
    settings: dict[str, Any] = {"num_classes": 0} if model == "dpt" else {}  # else a classifier comes along
    for size in attempts if encoder.startswith(TIMM) else [{}]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of old names, and of tokens that an encoder for dpt lacks
                network: nn.Module = smp.create_model(
                    model, encoder, encoder_weights=None, in_channels=3, classes=n_outputs, **settings, **size
                )
        except TypeError as error:
            if any(name in str(error) for name in size):
                continue
            raise
        return network
    raise AssertionError("the last attempt passes no size and either returns or raises")


def _what_fails(network: nn.Module, images_bchw: Tensor) -> Exception | None:
    """None if logits of the images' size come out, else what is wrong. Parameters without influence are put to rest."""
    was_training = network.training
    network.eval()
    try:
        with torch.enable_grad():
            logits = network(images_bchw)
            if logits.shape[-2:] != images_bchw.shape[-2:]:
                return ValueError(f"masks of {tuple(logits.shape[-2:])} px from {tuple(images_bchw.shape[-2:])} px")
            logits.sum().backward()
    except Exception as error:  # as in build_network
        return error
    finally:
        network.train(was_training)
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    return None


def _default_side(encoder: str) -> int:
    """Side in pixels that the encoder's pretrained weights are for."""
    if not encoder.startswith(TIMM):
        return 224
    side: int = timm_cfg(encoder.removeprefix(TIMM)).input_size[-1]
    return side


def _unfit(model: str, encoder: str, error: Exception, when: str = "") -> ConfigError:
    """The error for a model and an encoder that do not go together."""
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    if "downsampling pattern" in reason:
        remedy = "its feature maps are not halved from one to the next: take --model dpt, or another encoder"
    elif model in _DILATED:
        remedy = f"{model} wants an encoder that can be dilated: take tu-resnet50 or the like, or --model unet or fpn"
    elif model == "dpt":
        remedy = "take a vision transformer with patches of 8, 16 or 32 px, or a convolutional encoder: tu-resnet50"
    else:
        remedy = "take another --encoder (tu-resnet50 goes with every model) or another --image-size (256 suits most)"
    return ConfigError(f"--model {model} does not work with --encoder {encoder}{when} ({reason}); {remedy}")
