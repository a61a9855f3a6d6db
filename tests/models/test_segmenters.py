"""Every decoder takes images of any size and trains its encoder; what does not go together is said in one line."""

import pytest
import torch
from torch import Tensor, nn

from headstart.errors import ConfigError
from headstart.models.encoders import DECODERS
from headstart.models.fcn32s import Fcn32s
from headstart.models.freeze import freeze
from headstart.models.padding import pad_to_multiple
from headstart.models.segmenters import InputSizes, Segmenter, build_segmenter

torch.set_num_threads(1)

NEEDS_TWO = ("deeplabv3", "deeplabv3plus", "pan", "upernet")
"""Decoders that normalise a map of a single pixel."""


@pytest.fixture(scope="module")
def segmenters() -> dict[str, Segmenter]:
    """Each decoder with timm's smallest residual network, 4 classes."""
    torch.manual_seed(0)
    return {model: build_segmenter(model, "tu-test_resnet", 4, 64) for model in DECODERS}


def small_fcn() -> Segmenter:
    """An FCN with few channels in fc6 and fc7."""
    return Segmenter("fcn32s", "vgg16", Fcn32s(4, hidden=8), 4, InputSizes())


def bits(module: nn.Module) -> dict[str, bytes]:
    return {key: tensor.numpy(force=True).tobytes() for key, tensor in module.state_dict().items()}


def train_a_step(segmenter: Segmenter, images: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
    segmenter.train()
    truth = torch.randint(segmenter.n_outputs, (len(images), *images.shape[-2:]))
    loss = nn.functional.cross_entropy(segmenter(images), truth)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()


@torch.no_grad()
@pytest.mark.parametrize("model", DECODERS)
def test_any_size_comes_out_as_it_went_in(segmenters: dict[str, Segmenter], model: str) -> None:
    segmenter = segmenters[model].eval()
    assert segmenter.fixed_size is None
    for size in ((1, 1), (32, 32), (45, 75), (96, 160), (130, 33)):
        logits = segmenter(torch.randn(1, 3, *size))
        assert logits.shape == (1, 4, *size)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


@torch.no_grad()
@pytest.mark.parametrize("model", DECODERS)
def test_padding_is_all_that_is_added_to_the_librarys_network(segmenters: dict[str, Segmenter], model: str) -> None:
    segmenter = segmenters[model].eval()
    images = torch.randn(2, 3, 150, 140)
    whole = segmenter.network(pad_to_multiple(images, 32))
    assert torch.equal(segmenter(images), whole[..., :150, :140])


@pytest.mark.parametrize("model", DECODERS)
def test_every_parameter_that_is_trained_gets_a_gradient(segmenters: dict[str, Segmenter], model: str) -> None:
    segmenter = segmenters[model].train()
    segmenter.zero_grad()
    segmenter(torch.randn(2, 3, 64, 96)).square().mean().backward()
    trained = {name: p for name, p in segmenter.named_parameters() if p.requires_grad}
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in trained.values())
    assert any(parameter.grad.any() for parameter in segmenter.encoder.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("model", DECODERS)
def test_a_batch_of_one_trains_or_says_what_to_do(segmenters: dict[str, Segmenter], model: str) -> None:
    segmenter = segmenters[model].train()
    images = torch.randn(1, 3, 64, 96)
    if model in NEEDS_TWO:
        with pytest.raises(ConfigError, match=r"batches of 1 image\(s\) of 96 x 64 px.*set --batch-size 2 or more"):
            segmenter(images)
    else:
        assert segmenter(images).shape == (1, 4, 64, 96)
    assert segmenter.eval()(images).shape == (1, 4, 64, 96)


def test_layers_that_reach_nothing_are_not_trained() -> None:
    segmenter = build_segmenter("pspnet", "resnet18", 3)  # takes the first three of five stages
    at_rest = {name.split(".")[2] for name, p in segmenter.named_parameters() if not p.requires_grad}
    assert at_rest == {"layer3", "layer4"}
    optimiser = torch.optim.SGD([p for p in segmenter.parameters() if p.requires_grad], lr=0.1)
    assert torch.isfinite(train_a_step(segmenter, torch.randn(2, 3, 32, 32), optimiser))


def test_the_same_seed_builds_the_same_network() -> None:
    def build() -> dict[str, bytes]:
        torch.manual_seed(5)
        return bits(build_segmenter("fpn", "tu-test_convnext", 2, 64))

    assert build() == build()


def test_the_channel_statistics_are_those_of_the_encoders_weights() -> None:
    lite = build_segmenter("unet", "tu-tf_efficientnet_lite0", 2)
    assert (lite.mean, lite.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert build_segmenter("fpn", "tu-resnet18", 2).mean == (0.485, 0.456, 0.406)


@torch.no_grad()
@pytest.mark.parametrize(("asked", "seen"), [(64, 64), (50, 64)])
def test_an_encoder_made_for_one_size_takes_that_size_only(asked: int, seen: int) -> None:
    segmenter = build_segmenter("unet", "tu-test_maxvit", 3, asked).eval()
    assert segmenter.fixed_size == asked
    assert segmenter(torch.randn(1, 3, asked, asked)).shape == (1, 3, asked, asked)
    for size in ((seen + 32, seen + 32), (asked, asked + 1)):
        with pytest.raises(ConfigError, match=rf"{asked} x {asked} px only, not {size[1]} x {size[0]}; cut them"):
            segmenter(torch.randn(1, 3, *size))


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["tu-test_vit", "tu-test_convnext"])
def test_dpt_takes_any_size_where_its_encoder_can(encoder: str) -> None:
    segmenter = build_segmenter("dpt", encoder, 3, 64).eval()
    assert segmenter.fixed_size is None
    assert segmenter(torch.randn(1, 3, 40, 100)).shape == (1, 3, 40, 100)
    assert not any("head.fc" in name or "classifier" in name for name, _ in segmenter.encoder.named_parameters())


def test_a_window_transformer_takes_any_size() -> None:
    segmenter = build_segmenter("unet", "tu-swin_tiny_patch4_window7_224", 3, 64)
    assert segmenter.fixed_size is None


@pytest.mark.parametrize(
    ("model", "encoder", "said"),
    [
        ("unet", "tu-test_vit", "take --model dpt, or another encoder"),
        ("deeplabv3", "vgg11", "can be dilated: take tu-resnet50"),
        ("deeplabv3plus", "tu-test_maxvit", "can be dilated: take tu-resnet50"),
        ("pan", "tu-test_mambaout", "can be dilated: take tu-resnet50"),
        ("unetplusplus", "mit_b0", "take another --encoder"),
        ("linknet", "mit_b0", "take another --encoder"),
        ("dpt", "tu-levit_128s", "patches of 8, 16 or 32 px"),
        ("dpt", "tu-xcit_nano_12_p16_224", "patches of 8, 16 or 32 px"),
    ],
)
def test_what_does_not_go_together_is_one_line_with_a_remedy(model: str, encoder: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        build_segmenter(model, encoder, 3, 64)
    assert f"--model {model} does not work with --encoder {encoder}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one class"):
        build_segmenter("unet", "tu-test_resnet", 0)


def test_the_seeds_network_takes_512_pixels_only() -> None:
    with torch.device("meta"):
        segmenter = build_segmenter("fcn32s-seed", "vgg16", 7, 512)
        assert segmenter.fixed_size == 512
        assert segmenter(torch.empty(2, 3, 512, 512)).shape == (2, 7, 512, 512)
        with pytest.raises(ConfigError, match="takes images of 512 x 512 px only"):
            segmenter(torch.empty(2, 3, 256, 256))
        assert build_segmenter("fcn32s", "vgg16", 7).fixed_size is None


@pytest.mark.parametrize("model", ["unet", "fcn32s", "dpt"])
def test_a_frozen_encoder_is_bit_identical_after_training(model: str) -> None:
    torch.manual_seed(2)
    segmenter = small_fcn() if model == "fcn32s" else build_segmenter(model, "tu-test_resnet", 4, 64)
    freeze(segmenter.encoder)
    before, all_before = bits(segmenter.encoder), bits(segmenter)
    optimiser = torch.optim.AdamW(segmenter.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(2):
        train_a_step(segmenter, torch.randn(2, 3, 64, 64), optimiser)
    assert bits(segmenter.encoder) == before
    assert {key for key, value in bits(segmenter).items() if value != all_before[key]}
    assert segmenter.training
    assert not any(part.training for part in segmenter.encoder.modules())


def test_unfrozen_the_same_training_changes_the_encoder_and_its_statistics() -> None:
    segmenter = build_segmenter("unet", "tu-test_resnet", 4, 64)
    before = bits(segmenter.encoder)
    train_a_step(segmenter, torch.randn(2, 3, 64, 64), torch.optim.SGD(segmenter.parameters(), lr=0.1))
    changed = {key for key, value in bits(segmenter.encoder).items() if value != before[key]}
    assert {"model.conv1.0.weight", "model.bn1.running_mean"} <= changed


def test_the_packaged_encoder_trains_in_bfloat16_and_channels_last() -> None:
    torch.manual_seed(0)
    segmenter = build_segmenter("unet", "tu-tf_efficientnet_lite0", 4, 64).to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 60, 64).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(segmenter.parameters(), lr=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        losses = [train_a_step(segmenter, images, optimiser) for _ in range(2)]
    assert all(torch.isfinite(loss) for loss in losses)
    assert segmenter(images).dtype == torch.float32
