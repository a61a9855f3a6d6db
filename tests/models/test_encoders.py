"""Which names there are, and which backbone fits which encoder."""

import pytest
import segmentation_models_pytorch as smp
import timm
import torch

from headstart.errors import ConfigError
from headstart.models.encoders import (
    DECODERS,
    MODELS,
    backbone_of,
    check_encoder,
    check_model,
    encoder_for,
    modern_name,
    timm_encoder,
)

torch.set_num_threads(1)

OWN = smp.encoders.get_encoder_names()


def test_every_architecture_of_the_library_is_offered() -> None:
    assert set(DECODERS) == set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert MODELS[:2] == ("fcn32s", "fcn32s-seed")


@pytest.mark.parametrize(
    ("model", "encoder", "backbone"),
    [
        ("unet", "tu-resnet50", "resnet50"),
        ("unet", "tu-resnet50.a1_in1k", "resnet50.a1_in1k"),
        ("unet", "resnet50", "resnet50"),
        ("unet", "timm-mobilenetv3_large_100", "tf_mobilenetv3_large_100"),
        ("unet", "timm-regnety_002", "regnety_002"),
        ("unet", "mobilenet_v2", "torchvision/mobilenet_v2"),
        ("unet", "efficientnet-b3", "tf_efficientnet_b3"),
        ("unet", "se_resnet50", "legacy_seresnet50"),
        ("unet", "mit_b0", None),
        ("dpt", "tu-vit_tiny_patch16_224", "vit_tiny_patch16_224"),
        ("fcn32s", "vgg16", "vgg16"),
        ("fcn32s-seed", "vgg16", "vgg16"),
    ],
)
def test_the_backbone_of_an_encoder(model: str, encoder: str, backbone: str | None) -> None:
    assert backbone_of(model, encoder) == backbone


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("backbone", ["vgg16", "vgg16.tv_in1k", "resnet50", "vit_tiny_patch16_224"])
def test_the_encoder_for_a_backbone_leads_back_to_it(model: str, backbone: str) -> None:
    if model.startswith("fcn32s"):
        if not backbone.startswith("vgg16"):
            with pytest.raises(ConfigError, match=r"--backbone vgg16.*--model unet"):
                encoder_for(model, backbone)
            return
        assert encoder_for(model, backbone) == "vgg16"
    else:
        assert backbone_of(model, encoder_for(model, backbone)) == backbone


def test_a_torchvision_backbone_has_an_encoder_only_where_the_library_has_its_layers() -> None:
    assert encoder_for("unet", "torchvision/mobilenet_v2") == "mobilenet_v2"
    for model, backbone in (("unet", "torchvision/resnet50"), ("dpt", "torchvision/mobilenet_v2")):
        with pytest.raises(ConfigError, match=r"take their encoders from timm; pre-train with a name from timm"):
            encoder_for(model, backbone)


def test_every_twin_is_a_name_that_its_library_has() -> None:
    for encoder in OWN:
        backbone = backbone_of("unet", encoder)
        assert backbone is None or backbone.startswith("torchvision/") or timm.is_model(backbone), encoder
    alone = {name for name in OWN if backbone_of("unet", name) is None}
    assert {name.partition("_")[0] for name in alone} == {"mit", "mobileone", "resnext101", "timm-skresnet18"} | {
        "timm-skresnet34",
        "timm-skresnext50",
    }
    assert timm_encoder("mobileone_s0") == "tu-mobileone_s0"
    assert timm_encoder("timm-skresnet18") == "tu-skresnet18"
    assert timm_encoder("mit_b0") is None


@pytest.mark.parametrize("known", MODELS)
def test_known_models_pass(known: str) -> None:
    check_model(known)


@pytest.mark.parametrize(("asked", "near"), [("u-net", "unet"), ("deeplab", "deeplabv3"), ("fcn32", "fcn32s")])
def test_an_unknown_model_is_told_close_names(asked: str, near: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown --model '{asked}' \(close names: .*{near}.*all: fcn32s, "):
        check_model(asked)


@pytest.mark.parametrize(
    ("model", "encoder", "said"),
    [
        ("unet", "tu-resnet5", "close names: tu-resnet50"),
        ("unet", "resnet5", "close names: resnet50"),
        ("unet", "convnext_tiny", r"close names: tu-convnext_tiny\)"),
        ("unet", "tu-resnet18.nobody", "resnet18.a1_in1k"),
        ("unet", "qqqqqq", "no close name.*timm.list_models"),
        ("fcn32s", "tu-resnet50", "--encoder vgg16, or .*--model unet --encoder tu-resnet50"),
        ("dpt", "resnet50", "give --encoder tu-resnet50"),
        ("dpt", "mit_b0", "give --encoder tu-vit_small"),
    ],
)
def test_an_encoder_that_cannot_be_had_is_told_what_to_take(model: str, encoder: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_encoder(model, encoder, OWN)


def test_the_seeds_name_of_its_encoder_is_understood_as_the_library_does() -> None:
    assert modern_name("timm-mobilenetv3_large_100") == "tu-tf_mobilenetv3_large_100"
    assert modern_name("timm-efficientnet-b0") == "timm-efficientnet-b0"  # an encoder of the library's own
