"""After loading, an encoder computes what the plain network of timm or torchvision computes."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from headstart.models import weights
from headstart.models.backbones import Backbone, build_backbone, unmeasured_backbone
from headstart.models.encoders import backbone_of
from headstart.models.fcn32s import Fcn32s
from headstart.models.segmenters import InputSizes, Segmenter, build_segmenter, load_encoder_start
from headstart.models.weights import export_backbone, load_into

torch.set_num_threads(1)


def lived_in(network: nn.Module) -> nn.Module:
    """A network with statistics as if it had been trained."""
    generator = torch.Generator().manual_seed(0)
    for key, tensor in network.state_dict().items():
        if key.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif key.endswith("running_mean"):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) / 10)
    return network.eval()


def filled(tmp_path: Path, model: str, encoder: str, image_size: int) -> tuple[Segmenter, Backbone]:
    """A segmenter started from a pre-training run, and the plain backbone of that run."""
    torch.manual_seed(0)
    name = backbone_of(model, encoder)
    assert name is not None
    backbone = build_backbone(name, image_size)
    lived_in(backbone.network)
    export_backbone(backbone, tmp_path / "run" / "export", {})
    segmenter = build_segmenter(model, encoder, 3, image_size).eval()
    report = load_encoder_start(segmenter, f"ssl={tmp_path / 'run'}")
    assert report is not None
    assert report.share == 1.0
    return segmenter, backbone


def last_map(segmenter: Segmenter, images: Tensor) -> Tensor:
    features = segmenter.encoder(images)
    return features[0][-1] if segmenter.name == "dpt" else features[-1]


@torch.no_grad()
@pytest.mark.parametrize(
    ("model", "encoder"),
    [
        ("unet", "tu-test_resnet"),
        ("unet", "tu-test_convnext"),  # its stages are taken out of their container
        ("fpn", "tu-test_byobnet"),
        ("unet", "tu-regnety_002"),
        ("unet", "resnet18"),
        ("unet", "dpn68"),
        ("unet", "se_resnet50"),
    ],
)
def test_the_last_map_is_the_plain_networks(tmp_path: Path, model: str, encoder: str) -> None:
    segmenter, backbone = filled(tmp_path, model, encoder, 64)
    images = torch.randn(2, 3, 64, 64)
    expected = backbone.network.forward_features(images)
    assert expected.std() > 1e-3
    assert torch.allclose(last_map(segmenter, images), expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("model", "encoder"),
    [
        ("unet", "tu-test_efficientnet"),  # the classifier's own convolution behind it is no part of the encoder
        ("unet", "tu-tf_efficientnet_lite0"),
        ("unet", "tu-test_maxvit"),
        ("unet", "timm-efficientnet-b0"),
        ("unet", "efficientnet-b0"),  # matched by order
        ("dpt", "tu-test_vit"),
    ],
)
def test_the_last_map_is_the_plain_networks_last_stage(tmp_path: Path, model: str, encoder: str) -> None:
    segmenter, backbone = filled(tmp_path, model, encoder, 128)
    images = torch.randn(1, 3, 128, 128)
    expected = backbone.network.forward_intermediates(images, intermediates_only=True)[-1]
    assert expected.std() > 1e-3
    assert torch.allclose(last_map(segmenter, images), expected, atol=1e-5)


@torch.no_grad()
def test_mobilenet_v2_is_torchvisions(tmp_path: Path) -> None:
    segmenter, backbone = filled(tmp_path, "unet", "mobilenet_v2", 64)
    images = torch.randn(1, 3, 64, 64)
    assert torch.allclose(last_map(segmenter, images), backbone.network.features(images), atol=1e-5)


@torch.no_grad()
def test_densenet_is_timms_before_its_last_activation(tmp_path: Path) -> None:
    segmenter, backbone = filled(tmp_path, "fpn", "densenet121", 64)
    images = torch.randn(1, 3, 64, 64)
    expected = backbone.network.forward_features(images)
    assert torch.allclose(last_map(segmenter, images).relu(), expected, atol=1e-5)


@pytest.fixture(scope="module")
def vgg16() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vgg16", num_classes=0).eval()


@torch.no_grad()
def test_the_fcns_middle_unit_is_vggs_classifier(vgg16: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 224 pixels VGG's classifier sees what the middle unit of the convolutions made from it sees."""
    monkeypatch.setattr(weights, "timm_network", lambda *_, **__: vgg16)
    segmenter = Segmenter("fcn32s", "vgg16", Fcn32s(3), 3, InputSizes()).eval()
    report = load_encoder_start(segmenter, "supervised")
    assert report is not None
    assert report.source == "supervised (timm vgg16.tv_in1k); fc6 and fc7 from its classifier"
    assert (report.share, report.matched, report.missing, report.unexpected) == (1.0, 30, [], [])
    network, units = segmenter.network, vgg16.forward_features(torch.randn(1, 3, 224, 224))
    ours = torch.relu(network.fc7(torch.relu(network.fc6(units))))
    theirs = vgg16.pre_logits(units)
    assert ours.shape[-2:] == (9, 9)
    assert theirs.shape[-2:] == (1, 1)
    assert theirs.std() > 1e-3
    assert torch.allclose(ours[..., 4, 4], theirs[..., 0, 0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_torchvisions_vgg_computes_the_same_in_timms_layers() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.vgg16(weights=None, init_weights=False).eval()
    backbone = unmeasured_backbone("vgg16")
    report = load_into(backbone, theirs.state_dict(), "torchvision")
    assert report.share == 1.0
    assert report.reshaped == ["pre_logits.fc1.weight", "pre_logits.fc2.weight"]
    assert sorted(report.unexpected) == ["classifier.6.bias", "classifier.6.weight"]
    images = torch.randn(1, 3, 224, 224)
    expected = theirs.classifier[:5](theirs.avgpool(theirs.features(images)).flatten(1))
    assert expected.std() > 1e-6
    assert torch.allclose(backbone.network.eval()(images), expected, rtol=1e-4, atol=expected.std().item() * 1e-4)
