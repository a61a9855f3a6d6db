"""Backbones: any timm model or ``torchvision/NAME``, without its classifier, as images -> pooled features."""

import difflib
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from headstart.errors import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
TORCHVISION = "torchvision/"

ChannelStatistics = tuple[float, float, float]


class Backbone(nn.Module):
    """A network without its classifier, and what one needs to know to feed it.

    Attributes:
        name: the name it was built by.
        network: the timm or torchvision module; its state dict's keys are those of that library.
        feature_size: length of a feature vector, measured.
        mean, std: of the RGB channels, for images in [0, 1]. ``load_start`` sets them to those of the weights.
        image_size: side in pixels it was built for and measured at; many networks take other sizes too.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        feature_size: int,
        mean: ChannelStatistics,
        std: ChannelStatistics,
        image_size: int,
    ) -> None:
        super().__init__()
        self.name = name
        self.network = network
        self.feature_size = feature_size
        self.mean = mean
        self.std = std
        self.image_size = image_size

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Normalised RGB images (B, 3, H, W), float -> features (B, feature_size), float."""
        features: Tensor = self.network(images_bchw)
        return features


def build_backbone(name: str, image_size: int | None = None) -> Backbone:
    """Build a backbone with random weights; nothing is downloaded.

    Args:
        name: a timm model name, with or without a pretrained tag, or ``torchvision/NAME``.
        image_size: side in pixels of the square images it will see; None: the size its pretrained weights are for.
            Networks that are made for one size (vision transformers) are made for this one.

    Raises:
        ConfigError: unknown name (with close ones), no features to be had, or images too small or of a side
            that the network cannot divide into patches.
    """
    backbone = unmeasured_backbone(name, image_size)
    backbone.feature_size = _measure_feature_size(name, backbone.network, backbone.image_size)
    return backbone


def unmeasured_backbone(name: str, image_size: int | None = None) -> Backbone:
    """As ``build_backbone``, but with a ``feature_size`` of 0: to load weights into, not to be run.

    Images of this size need not be large enough for it, as those of an encoder of the same layers are.
    """
    if name.startswith(TORCHVISION):
        network, default_size = _torchvision_network(name, image_size)
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    else:
        cfg = timm_cfg(name)
        network = timm_network(name, image_size)
        mean, std = channel_statistics(cfg.mean), channel_statistics(cfg.std)
        default_size = cfg.input_size[-1]
    return Backbone(name, network, 0, mean, std, image_size or default_size)


def architecture(name: str) -> str:
    """The name without a timm pretrained tag: ``resnet50.a1_in1k`` -> ``resnet50``."""
    return name if name.startswith(TORCHVISION) else name.partition(".")[0]


def channel_statistics(values: Any) -> ChannelStatistics:
    """Three floats from any sequence of three numbers."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def timm_cfg(name: str) -> Any:
    """timm's PretrainedCfg of a name (input size, mean, std, origin). Raises ConfigError for an unknown name."""
    if not timm.is_model(architecture(name)):
        raise _unknown(name)
    try:
        cfg = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tagged = timm.list_pretrained(f"{architecture(name)}.*")
        raise ConfigError(
            f"backbone {name!r}: timm has no such pretrained tag; it has: {', '.join(tagged) or 'none'}"
        ) from None
    return cfg if cfg is not None else timm.models.PretrainedCfg(mean=IMAGENET_MEAN, std=IMAGENET_STD)


def timm_network(name: str, image_size: int | None, **settings: Any) -> nn.Module:
    """A timm model that returns pooled features, made for ``image_size`` where its kind has a fixed size.

    Raises TypeError or ValueError from timm if it cannot be built; a download (``pretrained=True``) may raise OSError.
    """
    settings = {"num_classes": 0, **settings}
    sizes: list[dict[str, Any]] = [{}]
    if image_size is not None:
        sizes = [{"img_size": image_size, "dynamic_img_size": True}, {"img_size": image_size}, {}]
    for size in sizes:
        try:
            network: nn.Module = timm.create_model(name, **settings, **size)
        except OSError:  # a failed download, which huggingface_hub makes a ValueError too
            raise
        except TypeError as error:
            if size and "img_size" in str(error):
                continue
            raise
        except (AssertionError, ValueError) as error:
            if size:
                raise _unfit(name, image_size or 0, error) from None
            raise
        return network
    raise AssertionError("the last attempt passes no size and either returns or raises")


def torchvision_weights(name: str) -> Any:
    """torchvision's DEFAULT weights of ``torchvision/NAME`` (an enum member), or None where it has none."""
    try:
        return torchvision.models.get_model_weights(name.removeprefix(TORCHVISION)).DEFAULT
    except (ValueError, AttributeError):
        return None


def torchvision_settings(builder: Any, image_size: int | None) -> dict[str, Any]:
    """Keyword arguments for a torchvision builder: no auxiliary outputs, the input size where it is fixed."""
    module = builder.__module__.rpartition(".")[2]
    settings: dict[str, Any] = {}
    if module in ("googlenet", "inception"):
        # transform_input turns ImageNet's normalisation into the one these two were trained with
        settings |= {"aux_logits": False, "init_weights": True, "transform_input": True}
    if image_size is not None and module == "vision_transformer":
        settings["image_size"] = image_size
    if image_size is not None and module == "maxvit":
        settings["input_size"] = (image_size, image_size)
    return settings


def _torchvision_network(name: str, image_size: int | None) -> tuple[nn.Module, int]:
    """The network of ``torchvision/NAME`` without its last linear layer, and its default image size in pixels."""
    short = name.removeprefix(TORCHVISION)
    if short not in torchvision.models.list_models(module=torchvision.models):
        raise _unknown(name)
    builder = torchvision.models.get_model_builder(short)
    try:
        network: nn.Module = builder(weights=None, **torchvision_settings(builder, image_size))
    except (ValueError, AssertionError, RuntimeError) as error:
        raise _unfit(name, image_size or 0, error) from None
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear or network.get_submodule(linear[-1]).out_features != 1000:
        raise ConfigError(f"backbone {name!r} has no linear classifier to take off; choose a timm model instead")
    network.set_submodule(linear[-1], nn.Identity())
    return network, 299 if short == "inception_v3" else 224


def _measure_feature_size(name: str, network: nn.Module, image_size: int) -> int:
    """Length of the feature vector of one black image. Raises ConfigError if the network does not give one."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            features = network(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _unfit(name, image_size, error) from None
    finally:
        network.train(was_training)
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise ConfigError(f"backbone {name!r} does not give one feature vector an image; choose another model")
    return features.shape[1]


def _unfit(name: str, image_size: int, error: Exception) -> ConfigError:
    """The error for a network that cannot take images of this size."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ConfigError(
        f"backbone {name!r} cannot take images of {image_size} px ({reason}); "
        "choose another --image-size (a multiple of 32 suits most, 224 nearly all) or another backbone"
    )


def _unknown(name: str) -> ConfigError:
    """The error for a name that neither library knows, with close ones."""
    names = timm.list_models() + [TORCHVISION + n for n in torchvision.models.list_models(module=torchvision.models)]
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.5)
    near = f"close names: {', '.join(close)}" if close else "no close name"
    return ConfigError(
        f"unknown backbone {name!r} ({near}). Take a name from timm.list_models(), or torchvision/NAME "
        "with a name from torchvision.models.list_models(); file and hub addresses are starts: --start supervised=FILE"
    )
