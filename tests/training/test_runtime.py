"""Precision is chosen by processor and backbone, and never against what was asked."""

from pathlib import Path

import pytest
import torch

from headstart.configs.pretrain import PretrainConfig
from headstart.training import runtime


def chosen(backbone: str, precision: str = "auto") -> str:
    config = PretrainConfig(data="d", out=Path("o"), backbone=backbone, image_size=32, precision=precision)  # type: ignore[arg-type]
    return runtime.choose_precision(config)


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
