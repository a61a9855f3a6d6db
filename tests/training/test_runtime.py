"""Precision is chosen by processor and backbone, and never against what was asked."""

import pytest
import torch

from headstart.models.backbones import build_backbone
from headstart.training import runtime


def chosen(backbone: str, precision: str = "auto") -> str:
    return runtime.choose_precision(precision, lambda: build_backbone(backbone, 32))


def test_bf16_only_where_native_and_without_grouped_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert chosen("test_resnet") == "bf16"
    assert chosen("test_efficientnet") == "fp32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert chosen("test_resnet") == "fp32"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_was_asked_for_is_taken(precision: str) -> None:
    assert chosen("test_efficientnet", precision) == precision
