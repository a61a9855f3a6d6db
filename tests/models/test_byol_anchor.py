"""Pre-training that goes on from weights: what it keeps, and how fast its backbone may move."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from headstart.configs.byol import ByolConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol, byol_loss
from headstart.tasks.pretrain.verb import lr_scale

SMALL = ByolConfig(projection_size=8, hidden_size=16)


@pytest.fixture
def views() -> Tensor:
    return torch.randn(6, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def anchored(keep: float) -> Byol:
    torch.manual_seed(0)
    return Byol(build_backbone("test_resnet", 32), SMALL, keep).train()


def test_keep_adds_the_distance_from_the_features_at_the_start(views: Tensor) -> None:
    plain, kept = anchored(0.0), anchored(1.5)
    assert plain.anchor is None
    with torch.no_grad():
        images = views.transpose(0, 1).flatten(0, 1)
        known = build_like_start()(images)
        expected = plain(views) + 1.5 * sum(
            byol_loss(f, k).mean() for f, k in zip(plain.backbone(images).chunk(2), known.chunk(2), strict=True)
        )
        torch.testing.assert_close(kept(views), expected, rtol=1e-5, atol=1e-6)
        assert kept(views) > plain(views)


def build_like_start() -> torch.nn.Module:
    """The backbone as ``anchored`` begins with it, in evaluation."""
    torch.manual_seed(0)
    return build_backbone("test_resnet", 32).eval()


def test_the_anchor_stays_bit_identical_while_the_backbone_learns(views: Tensor) -> None:
    byol = anchored(4.0)
    assert byol.anchor is not None
    before = {name: tensor.clone() for name, tensor in byol.anchor.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in byol.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        byol.train()
        byol(views).backward()
        optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in byol.anchor.state_dict().items())
    assert all(p.grad is None for p in byol.anchor.parameters())
    assert any(
        not torch.equal(tensor, before[name]) for name, tensor in byol.backbone.state_dict().items() if "weight" in name
    )


def test_a_strong_anchor_holds_the_features_nearer_to_the_start(views: Tensor) -> None:
    def moved(keep: float) -> float:
        byol = anchored(keep)
        optimizer = torch.optim.SGD([p for p in byol.parameters() if p.requires_grad], lr=0.02)
        for _ in range(10):
            optimizer.zero_grad()
            byol(views).backward()
            torch.nn.utils.clip_grad_norm_(byol.parameters(), 1.0)
            optimizer.step()
        images = views.flatten(0, 1)
        with torch.no_grad():
            return float(byol_loss(byol.backbone.train()(images), build_like_start()(images)).mean())

    assert moved(50.0) < moved(0.0)


@pytest.mark.parametrize(("start", "expected"), [("scratch", 1.0), ("supervised", 0.2)])
def test_only_a_backbone_that_begins_from_weights_learns_more_slowly(start: str, expected: float) -> None:
    config = PretrainConfig(data="images", out=Path("run"), start=start, byol=ByolConfig(started_lr=0.2))
    byol = anchored(1.0)
    scales = {name: lr_scale(config, name) for name, p in byol.named_parameters() if p.requires_grad}
    backbone = {f"{Byol.BACKBONE}{name}" for name, _ in byol.backbone.named_parameters()}
    assert backbone < scales.keys()
    assert {scales[name] for name in backbone} == {expected}
    assert {scale for name, scale in scales.items() if name not in backbone} == {1.0}
