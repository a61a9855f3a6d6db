"""Segmentation models: an encoder that any start can fill, a decoder, and images of any size to logits of that size."""

from typing import cast

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from headstart.errors import ConfigError
from headstart.models.backbones import IMAGENET_MEAN, IMAGENET_STD, ChannelStatistics, channel_statistics, timm_cfg
from headstart.models.encoder_decoder import InputSizes, build_network
from headstart.models.encoder_starts import fill_encoder
from headstart.models.encoders import (
    FCNS,
    TIMM,
    backbone_of,
    check_encoder,
    check_model,
    encoder_for,
    modern_name,
)
from headstart.models.fcn32s import SEED_SIDE, Fcn32s, Fcn32sSeed
from headstart.models.padding import pad_to_multiple
from headstart.results import WeightsReport

__all__ = ["InputSizes", "Segmenter", "backbone_of", "build_segmenter", "encoder_for", "load_encoder_start"]


class Segmenter(nn.Module):
    """A segmentation network, and what one needs to know to feed it.

    Attributes:
        name: of the model, from ``encoders.MODELS``.
        encoder_name: as it was asked for.
        n_outputs: channels of the logits.
        mean, std: of the RGB channels, for images in [0, 1]. ``load_encoder_start`` sets them to those of the weights.
        fixed_size: side in pixels of the only images it takes; None: any size.
        image_size: side in pixels that it was built for, as it was asked for.
        network: the whole network, the encoder in it.
    """

    def __init__(
        self,
        name: str,
        encoder_name: str,
        network: nn.Module,
        n_outputs: int,
        sizes: InputSizes,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.encoder_name = encoder_name
        self.network = network
        self.n_outputs = n_outputs
        self.sizes = sizes
        self.image_size = image_size
        self.mean: ChannelStatistics = IMAGENET_MEAN
        self.std: ChannelStatistics = IMAGENET_STD

    @property
    def encoder(self) -> nn.Module:
        """The part that a start fills and that ``freeze`` may freeze; everything else is the decoder."""
        return cast(nn.Module, self.network.encoder)

    @property
    def fixed_size(self) -> int | None:
        """Side in pixels of the only images that the network takes; None: any size."""
        return self.sizes.fixed

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Normalised RGB images (B, 3, H, W), float -> logits (B, n_outputs, H, W), float32.

        Images are padded inside to what the network takes, and the logits cut back.

        Raises:
            ConfigError: another size than the fixed one, or a batch too small to train batch normalisation on.
        """
        height, width = images_bchw.shape[-2:]
        if self.fixed_size is not None and (height, width) != (self.fixed_size, self.fixed_size):
            raise ConfigError(
                f"{self.name} with {self.encoder_name} takes images of {self.fixed_size} x {self.fixed_size} px only, "
                f"not {width} x {height}; cut them into tiles of that size, or choose a model that takes any"
            )
        try:
            logits: Tensor = self.network(pad_to_multiple(images_bchw, self.sizes.multiple, self.sizes.minimum))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"{self.name} with {self.encoder_name} cannot be trained on batches of {len(images_bchw)} image(s) of "
                f"{width} x {height} px: batch normalisation has a single value to work on somewhere in it; "
                "set --batch-size 2 or more, or take --model unet"
            ) from None
        return logits[..., :height, :width].float()


def build_segmenter(model: str, encoder: str, n_outputs: int, image_size: int | None = None) -> Segmenter:
    """Build a segmenter with random weights; nothing is downloaded.

    Args:
        model: fcn32s, fcn32s-seed, or a decoder of segmentation_models_pytorch; ``encoders.MODELS`` has them all.
        encoder: ``vgg16`` for the FCNs; else ``tu-NAME`` for any timm model, or a name of segmentation_models_pytorch.
        n_outputs: channels of the logits.
        image_size: side in pixels of the square images it will be trained on; None: the size the encoder's pretrained
            weights are for. It matters to encoders that are made for one size, and to them alone.

    Raises:
        ConfigError: unknown names (with close ones), or a model and an encoder that do not go together.
    """
    check_model(model)
    check_encoder(model, encoder, smp.encoders.get_encoder_names())
    if n_outputs < 1:
        raise ConfigError(f"a segmentation model needs at least one class, not {n_outputs}")
    if model in FCNS:
        seed = model == "fcn32s-seed"
        network: nn.Module = Fcn32sSeed(n_outputs) if seed else Fcn32s(n_outputs)
        return Segmenter(model, encoder, network, n_outputs, InputSizes(SEED_SIDE if seed else None), image_size)
    name = modern_name(encoder)
    network, sizes = build_network(model, name, n_outputs, image_size)
    segmenter = Segmenter(model, encoder, network, n_outputs, sizes, image_size)
    if name.startswith(TIMM):
        cfg = timm_cfg(name.removeprefix(TIMM))
        segmenter.mean, segmenter.std = channel_statistics(cfg.mean), channel_statistics(cfg.std)
    return segmenter


def load_encoder_start(segmenter: Segmenter, start: str, allow_partial: bool = False) -> WeightsReport | None:
    """Give a segmenter's encoder the weights of a start (grammar: ``headstart.configs.starts``); None for scratch.

    Sets ``segmenter.mean`` and ``segmenter.std`` to those the weights were trained with, where these are known. torch's
    random state is afterwards as before.

    Raises:
        ConfigError: the start is not of the grammar, names no run, or the encoder cannot have one.
        WeightsError: the weights cannot be had, cannot be read, or fill less than 90 % of the encoder.
    """
    filled = fill_encoder(
        segmenter.network, segmenter.name, segmenter.encoder_name, segmenter.image_size, start, allow_partial
    )
    if filled is None:
        return None
    report, segmenter.mean, segmenter.std = filled
    return report
