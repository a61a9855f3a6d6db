"""What must hold of BYOL whatever is refactored (Grill et al., 2020)."""

import copy

import pytest
import torch
from torch import Tensor, nn

from headstart.configs.byol import ByolConfig
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol, byol_loss, without_gradient

SMALL = ByolConfig(projection_size=8, hidden_size=16)


@pytest.fixture
def byol() -> Byol:
    torch.manual_seed(0)
    return Byol(build_backbone("test_resnet", 32), SMALL)


@pytest.fixture
def views() -> Tensor:
    return torch.randn(6, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def step(byol: Byol, views: Tensor, lr: float = 0.1) -> None:
    optimizer = torch.optim.SGD([p for p in byol.parameters() if p.requires_grad], lr=lr)
    byol(views).backward()
    optimizer.step()


def test_target_shares_no_storage_with_the_online_network(byol: Byol) -> None:
    online = {tensor.data_ptr() for tensor in byol.online.state_dict().values()}
    target = {tensor.data_ptr() for tensor in byol.target.state_dict().values()}
    assert not online & target
    assert {id(m) for m in byol.online.modules()}.isdisjoint(id(m) for m in byol.target.modules())


def test_target_gets_no_gradient_and_only_the_online_side_wants_one(byol: Byol, views: Tensor) -> None:
    byol(views).backward()
    assert all(p.grad is None and not p.requires_grad for p in byol.target.parameters())
    assert all(p.grad is not None for p in [*byol.online.parameters(), *byol.predictor.parameters()])


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_target_says_in_inference_mode_what_it_says_without_gradients(
    byol: Byol, views: Tensor, precision: torch.dtype
) -> None:
    plain = copy.deepcopy(byol.target)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        said = without_gradient(byol.target, views[:, 0])
        with torch.no_grad():
            expected = plain(views[:, 0])
    assert torch.equal(said, expected)
    assert not said.is_inference()  # else no loss could be computed from it
    for ours, theirs in zip(byol.target.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)  # running statistics of the batch norms


def test_ema_matches_the_closed_form_over_many_steps(byol: Byol, views: Tensor) -> None:
    tau, weight = 0.9, next(iter(byol.online.parameters()))
    expected = weight.detach().double().clone()
    for _ in range(5):
        step(byol, views)
        byol.update_target(tau)
        expected = tau * expected + (1 - tau) * weight.detach().double()
    target = next(iter(byol.target.parameters()))
    torch.testing.assert_close(target.double(), expected, rtol=1e-6, atol=1e-7)
    assert not torch.equal(target, weight)


@pytest.mark.parametrize(("tau", "same_as"), [(1.0, "before"), (0.0, "online")])
def test_tau_at_its_ends_freezes_or_copies(byol: Byol, views: Tensor, tau: float, same_as: str) -> None:
    before = copy.deepcopy(list(byol.target.parameters()))
    step(byol, views)
    byol.update_target(tau)
    expected = before if same_as == "before" else list(byol.online.parameters())
    for target, other in zip(byol.target.parameters(), expected, strict=True):
        torch.testing.assert_close(target, other, rtol=0, atol=0 if same_as == "before" else 1e-7)


def test_the_loss_of_a_pair_is_the_squared_distance_of_unit_vectors() -> None:
    p, z = torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(2))
    loss = byol_loss(p, z)
    unit = nn.functional.normalize
    torch.testing.assert_close(loss, (unit(p, dim=-1) - unit(z, dim=-1)).square().sum(-1))
    assert loss.min() >= 0
    assert loss.max() <= 4
    torch.testing.assert_close(byol_loss(p, p), torch.zeros(50), rtol=0, atol=1e-6)
    torch.testing.assert_close(byol_loss(p, -p), torch.full((50,), 4.0))


def test_the_loss_is_symmetric_in_the_views(byol: Byol, views: Tensor) -> None:
    torch.testing.assert_close(byol(views), byol(views.flip(1)), rtol=1e-5, atol=1e-6)


def test_the_loss_falls_when_one_batch_is_learned(byol: Byol, views: Tensor) -> None:
    first = byol(views).item()
    for _ in range(20):
        step(byol, views, lr=0.05)
        byol.update_target(0.99)
    assert byol(views).item() < first - 0.5
