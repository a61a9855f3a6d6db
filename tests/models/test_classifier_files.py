from pathlib import Path

import pytest
import torch

from headstart.errors import WeightsError
from headstart.models.backbones import build_backbone
from headstart.models.classifier import HEAD_FILE, Classifier, FeatureClassifier, read_classifier, save_head
from headstart.models.exports import export_backbone


@pytest.mark.parametrize("frozen", [False, True])
def test_a_saved_classifier_answers_as_before(tmp_path: Path, frozen: bool) -> None:
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", 32)
    backbone.mean, backbone.std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    size = backbone.feature_size
    saved = FeatureClassifier(torch.randn(size), torch.rand(size) + 0.5, 5) if frozen else Classifier(backbone, 5)
    torch.nn.init.normal_(saved.head.weight)
    torch.nn.init.normal_(saved.head.bias)
    export_backbone(backbone, tmp_path, {"classes": list("abcde")})
    save_head(saved, tmp_path)
    read, head, facts = read_classifier(tmp_path)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        backbone.eval()
        before = saved(backbone(images)) if frozen else saved.eval()(images)
        torch.testing.assert_close(head(read(images)), before)
    assert (read.mean, read.std) == (backbone.mean, backbone.std)
    assert facts["classes"] == list("abcde")


def test_a_missing_or_foreign_head_is_said_to_be(tmp_path: Path) -> None:
    export_backbone(build_backbone("test_resnet", 32), tmp_path, {})
    with pytest.raises(WeightsError, match=f"no {HEAD_FILE}"):
        read_classifier(tmp_path)
    (tmp_path / HEAD_FILE).write_bytes((tmp_path / "backbone.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="damaged"):
        read_classifier(tmp_path)
