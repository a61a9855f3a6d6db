"""Our BYOL against byol-pytorch 0.9: same weights and views, same loss, same weights after a step."""

import copy

import pytest
import torch
from byol_pytorch import BYOL
from torch import Tensor, nn

from headstart.configs.byol import ByolConfig
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol

HIDDEN, PROJECTION, TAU = 32, 16, 0.97


class Pick(nn.Module):
    """Takes one of two ready views, where byol-pytorch would augment."""

    def __init__(self, views: Tensor, which: int) -> None:
        super().__init__()
        self.views, self.which = views, which

    def forward(self, images: Tensor) -> Tensor:
        return self.views[:, self.which]


@pytest.fixture(params=["test_resnet", "test_efficientnet"])
def pair(request: pytest.FixtureRequest) -> tuple[Byol, BYOL, Tensor]:
    torch.manual_seed(0)
    views = torch.randn(8, 2, 3, 32, 32)
    ours = Byol(build_backbone(request.param, 32), ByolConfig(projection_size=PROJECTION, hidden_size=HIDDEN))
    theirs = BYOL(
        copy.deepcopy(ours.backbone),
        image_size=32,
        hidden_layer=-1,
        projection_size=PROJECTION,
        projection_hidden_size=HIDDEN,
        augment_fn=nn.Identity(),
        moving_average_decay=TAU,
        use_simplicial_embeddings=False,
        sync_batchnorm=False,
    )
    theirs.online_encoder.net.load_state_dict(ours.backbone.state_dict())
    theirs.online_encoder.projector.load_state_dict(ours.online[1].state_dict())
    theirs.online_predictor.load_state_dict(ours.predictor.state_dict())
    theirs.target_encoder.load_state_dict(theirs.online_encoder.state_dict())
    theirs.augment1, theirs.augment2 = Pick(views, 0), Pick(views, 1)
    return ours, theirs, views


def test_loss_and_one_training_step_agree(pair: tuple[Byol, BYOL, Tensor]) -> None:
    ours, theirs, views = pair
    losses = []
    for model, forward in ((ours, lambda: ours(views)), (theirs, lambda: theirs(views[:, 0]))):
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
        loss = forward()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    ours.update_target(TAU)
    theirs.update_moving_average()
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    same(ours.backbone, theirs.online_encoder.net)
    same(ours.online[1], theirs.online_encoder.projector)
    same(ours.predictor, theirs.online_predictor)
    same(ours.target[0], theirs.target_encoder.net)
    same(ours.target[1], theirs.target_encoder.projector)


def same(ours: nn.Module, theirs: nn.Module) -> None:
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(
            value, theirs.state_dict()[name], rtol=0, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
