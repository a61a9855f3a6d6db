"""Backbones of timm and torchvision give one feature vector an image, whatever their kind."""

import socket

import pytest
import torch
from torch import nn

from headstart.errors import ConfigError
from headstart.models.backbones import IMAGENET_MEAN, architecture, build_backbone

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("building a backbone asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("name", "image_size", "feature_size"),
    [
        ("test_resnet", 64, 96),
        ("test_resnet.r160_in1k", 48, 96),
        ("test_vit", 64, 64),
        ("test_vit", None, 64),
        ("test_efficientnet", 50, 256),
        ("test_convnext", 64, 64),
        ("mobilenetv3_small_050", 64, 1024),
        ("swin_tiny_patch4_window7_224", 64, 768),
        ("torchvision/resnet18", 64, 512),
        ("torchvision/vgg11", 64, 4096),
        ("torchvision/efficientnet_b0", 64, 1280),
        ("torchvision/vit_b_16", 64, 768),
        ("torchvision/swin_t", 64, 768),
        ("torchvision/convnext_tiny", 64, 768),
        ("torchvision/mobilenet_v3_small", 64, 1024),
        ("torchvision/densenet121", 64, 1024),
        ("torchvision/googlenet", 64, 1024),
        ("torchvision/inception_v3", 96, 2048),
    ],
)
def test_features_are_one_vector_an_image(name: str, image_size: int | None, feature_size: int) -> None:
    backbone = build_backbone(name, image_size)
    assert backbone.name == name
    assert backbone.feature_size == feature_size
    assert backbone.image_size == (image_size or 160)
    images = torch.randn(2, 3, backbone.image_size, backbone.image_size)
    assert backbone.training
    assert backbone(images).shape == (2, feature_size)
    with torch.no_grad():
        features = backbone.eval()(images)
    assert features.shape == (2, feature_size)
    assert not torch.equal(features[0], features[1])


def test_a_vision_transformer_is_made_for_the_size_and_takes_others() -> None:
    backbone = build_backbone("test_vit", 64)
    assert backbone.network.pos_embed.shape[1] == 4 * 4 + 1
    assert backbone(torch.randn(1, 3, 96, 96)).shape == (1, 64)


def test_the_state_dict_has_the_librarys_keys_without_a_classifier() -> None:
    keys = set(build_backbone("torchvision/resnet18").network.state_dict())
    assert keys == set(build_backbone("resnet18").network.state_dict())
    assert "conv1.weight" in keys
    assert not any(key.startswith("fc") for key in keys)


def test_channel_statistics_are_the_models_own() -> None:
    assert build_backbone("tf_efficientnet_lite0", 32).mean == (0.5, 0.5, 0.5)
    assert build_backbone("tf_efficientnet_lite0", 32).std == (0.5, 0.5, 0.5)
    assert build_backbone("resnet18", 32).mean == IMAGENET_MEAN
    assert build_backbone("torchvision/resnet18", 32).mean == IMAGENET_MEAN


def test_the_seed_decides_the_weights_and_measuring_does_not_disturb_it() -> None:
    def build(size: int) -> tuple[nn.Module, torch.Tensor]:
        torch.manual_seed(5)
        return build_backbone("test_resnet", size).network, torch.rand(1)

    (one, after_one), (two, after_two) = build(32), build(64)
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[key]), key
    assert torch.equal(after_one, after_two)
    assert one.state_dict()["bn1.num_batches_tracked"] == 0


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("resnet5O", "resnet50"),
        ("torchvision/resnet", "torchvision/resnet50"),
        ("efficientnet_lite", "efficientnet_lite0"),
        ("resnet50.imagenet", "resnet50.a1_in1k"),
        ("hf-hub:timm/resnet50.a1_in1k", "supervised=FILE"),
        ("", "timm.list_models()"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(name: str, close: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_backbone(name)
    assert close in str(caught.value)


@pytest.mark.parametrize(
    ("name", "image_size"), [("test_vit", 60), ("torchvision/vit_b_16", 70), ("torchvision/inception_v3", 32)]
)
def test_a_size_that_does_not_fit_is_an_error_with_the_remedy(name: str, image_size: int) -> None:
    with pytest.raises(ConfigError, match=rf"{image_size} px.*--image-size"):
        build_backbone(name, image_size)


def test_a_network_without_a_linear_classifier_is_refused() -> None:
    with pytest.raises(ConfigError, match="no linear classifier"):
        build_backbone("torchvision/squeezenet1_0", 64)


def test_the_architecture_is_the_name_without_its_tag() -> None:
    assert architecture("resnet50.a1_in1k") == "resnet50"
    assert architecture("torchvision/resnet50") == "torchvision/resnet50"


def test_googlenet_takes_imagenets_normalisation_though_its_weights_want_another() -> None:
    backbone = build_backbone("torchvision/googlenet", 64).eval()
    seen: list[torch.Tensor] = []
    backbone.network.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (backbone.mean, backbone.std))
    with torch.no_grad():
        backbone((images - mean) / std)
    torch.testing.assert_close(seen[0], (images - 0.5) / 0.5)
