"""Loading is exact, prefixes are found, and too little is an error that leaves the backbone as it was."""

import logging

import pytest
import torch
from torch import Tensor, nn

from headstart.errors import WeightsError
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.weights import load_into

torch.set_num_threads(1)

PREFIXES = [
    "",
    "module.",
    "backbone.",
    "encoder.",
    "model.",
    "network.",
    "online_network.",
    "online_encoder.net.",
    "student.backbone.",
    "module.student.backbone.",
    "model.backbone.module.",
    "_orig_mod.",
    "learner.somebody.elses.name.",
]


def donor(name: str = "test_resnet") -> dict[str, Tensor]:
    """The state of a network whose every tensor, statistics included, is unlike a fresh one's."""
    network = build_backbone(name, 32).network
    state = network.state_dict()
    return {key: torch.rand_like(t) + 0.5 if t.is_floating_point() else t + 7 for key, t in state.items()}


def holds(backbone: Backbone, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, state[key]) for key, tensor in backbone.network.state_dict().items())


@pytest.fixture
def backbone() -> Backbone:
    return build_backbone("test_resnet", 32)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix_is_found_and_everything_is_copied(backbone: Backbone, prefix: str) -> None:
    state = donor()
    extras = {"head.weight": torch.ones(3, 96), prefix + "fc.weight": torch.ones(3, 96)}
    report = load_into(backbone, {prefix + key: tensor for key, tensor in state.items()} | extras, "file")
    assert holds(backbone, state)
    assert report.share == 1.0
    assert report.matched == len(state)
    assert report.missing == []
    assert report.unexpected == list(extras)
    assert report.reshaped == []
    assert report.source == (f"file, under {prefix!r}" if prefix else "file")


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("online_encoder.net.", "target_encoder.net."),
        ("backbone.", "momentum_backbone."),
        ("backbone.", "backbone_momentum."),
        ("module.encoder_q.", "module.encoder_k."),
        ("teacher.backbone.", "student.backbone."),
        ("model.", "ema.model."),
    ],
)
@pytest.mark.parametrize("taken_first", [True, False])
def test_of_two_copies_the_preferred_one_is_taken(backbone: Backbone, taken: str, left: str, taken_first: bool) -> None:
    state, other = donor(), donor()
    parts = [{taken + key: tensor for key, tensor in state.items()}, {left + key: t for key, t in other.items()}]
    report = load_into(backbone, parts[not taken_first] | parts[taken_first], "file")
    assert holds(backbone, state)
    assert taken in report.source
    assert len(report.unexpected) == len(other)


@pytest.mark.parametrize("prefix", ["", "backbone.", "online_network.encoder."])
def test_children_in_a_sequential_are_recognised(prefix: str) -> None:
    torchvision = build_backbone("torchvision/resnet18", 32)
    headless = nn.Sequential(*list(torchvision.network.children())[:-1])
    for tensor in headless.state_dict().values():
        tensor.copy_(torch.rand_like(tensor) if tensor.is_floating_point() else tensor + 7)
    timm = build_backbone("resnet18", 32)
    report = load_into(timm, {prefix + key: tensor for key, tensor in headless.state_dict().items()}, "file")
    assert report.share == 1.0
    assert report.unexpected == report.missing == []
    assert holds(timm, dict(torchvision.network.state_dict()))


@pytest.mark.parametrize("names", [("resnet18", "torchvision/resnet18"), ("torchvision/resnet18", "resnet18")])
def test_timm_and_torchvision_resnets_take_each_others_weights(names: tuple[str, str]) -> None:
    giver, taker = (build_backbone(name, 32).eval() for name in names)
    assert load_into(taker, giver.network.state_dict(), names[0]).share == 1.0
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(taker(images), giver(images), rtol=1e-5, atol=1e-5)


def test_a_whole_backbone_module_loads_too(backbone: Backbone) -> None:
    other = build_backbone("test_resnet", 32)
    load_into(backbone, other.state_dict(), "a Backbone's own state")
    assert holds(backbone, dict(other.network.state_dict()))


def test_linear_layers_and_1x1_convolutions_are_reshaped() -> None:
    backbone = build_backbone("test_convnext", 32)
    state = donor("test_convnext")
    key = next(key for key, tensor in state.items() if key.endswith("fc1.weight") and tensor.ndim in (2, 4))
    wanted = state[key]
    given = wanted[:, :, None, None] if wanted.ndim == 2 else wanted[:, :, 0, 0]
    report = load_into(backbone, state | {key: given}, "file")
    assert report.reshaped == [key]
    assert report.share == 1.0
    assert holds(backbone, state)


def test_equal_counts_in_another_order_are_not_reshaped() -> None:
    backbone = build_backbone("test_convnext", 32)
    state = donor("test_convnext")
    key = next(key for key, tensor in state.items() if key.endswith("fc1.weight"))
    transposed = state[key].transpose(0, 1).contiguous()
    assert transposed.shape != state[key].shape
    report = load_into(backbone, state | {key: transposed}, "file", allow_partial=True)
    assert report.reshaped == []
    assert report.missing == [key]


def test_position_embeddings_are_interpolated_to_the_image_size() -> None:
    large, small = build_backbone("test_vit", 160), build_backbone("test_vit", 64)
    plane = torch.linspace(0, 1, 10)[None, :].expand(10, 10).reshape(1, 100, 1)
    with torch.no_grad():
        large.network.pos_embed[:, 1:] = plane
    report = load_into(small, large.network.state_dict(), "file")
    assert report.reshaped == ["pos_embed"]
    assert report.share == 1.0
    assert torch.equal(small.network.pos_embed[:, 0], large.network.pos_embed[:, 0])
    columns = small.network.pos_embed[0, 1:, 0].reshape(4, 4)
    torch.testing.assert_close(columns, columns[:1].expand(4, 4))
    assert (columns.diff(dim=1) > 0.15).all()


@pytest.mark.parametrize("channels", [1, 4])
def test_a_first_convolution_for_other_channels_is_missing_not_adapted(backbone: Backbone, channels: int) -> None:
    first = next(key for key, tensor in backbone.network.state_dict().items() if tensor.ndim == 4)
    before = backbone.network.state_dict()[first].clone()
    state = donor()
    shape = list(state[first].shape)
    shape[1] = channels
    report = load_into(backbone, state | {first: torch.ones(shape)}, "file")
    assert report.missing == [first]
    assert first in report.unexpected
    assert torch.equal(backbone.network.state_dict()[first], before)
    assert 0.9 < report.share < 1.0


def test_too_little_is_an_error_that_names_keys_and_remedy_and_changes_nothing(backbone: Backbone) -> None:
    before = {key: tensor.clone() for key, tensor in backbone.network.state_dict().items()}
    state = {key: tensor for key, tensor in donor().items() if not key.startswith("layer4")} | {
        "odd.weight": torch.ones(2)
    }
    with pytest.raises(WeightsError) as caught:
        load_into(backbone, state, "somewhere.pth")
    text = str(caught.value)
    for words in (
        "somewhere.pth",
        "90%",
        "layer4.0.conv1.weight",
        "odd.weight",
        "test_resnet",
        "--allow-partial-weights",
    ):
        assert words in text
    assert holds(backbone, before)


def test_allowed_partial_weights_fill_what_they_can(backbone: Backbone) -> None:
    state = {key: tensor for key, tensor in donor().items() if not key.startswith("layer4")}
    report = load_into(backbone, state, "file", allow_partial=True)
    sizes = {key: parameter.numel() for key, parameter in backbone.network.named_parameters()}
    assert report.share == pytest.approx(sum(sizes[key] for key in sizes if key in state) / sum(sizes.values()))
    assert report.share < 0.9
    assert all(torch.equal(backbone.network.state_dict()[key], tensor) for key, tensor in state.items())


def test_another_networks_weights_are_refused(backbone: Backbone) -> None:
    with pytest.raises(WeightsError, match="Check that the file is of this --backbone"):
        load_into(backbone, donor("test_vit"), "file")
    with pytest.raises(WeightsError, match=r"fills 0\.0%"):
        load_into(backbone, {}, "nothing")


def test_a_mismatch_of_shapes_is_told_with_both_shapes() -> None:
    backbone = build_backbone("resnet18", 32)
    wide = {
        key: torch.ones(2 * tensor.shape[0], *tensor.shape[1:])
        for key, tensor in donor("resnet18").items()
        if tensor.ndim
    }
    with pytest.raises(WeightsError, match=r"conv1\.weight is \(128, 3, 7, 7\) in the file and \(64, 3, 7, 7\)"):
        load_into(backbone, wide, "file")


def test_missing_num_batches_tracked_is_no_loss_but_missing_statistics_are_warned_of(
    backbone: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    state = {key: tensor for key, tensor in donor().items() if "num_batches_tracked" not in key}
    report = load_into(backbone, state, "file")
    assert report.missing == []
    assert str(report) in caplog.messages
    assert not any(record.levelno >= logging.WARNING for record in caplog.records)
    report = load_into(backbone, {key: tensor for key, tensor in state.items() if "running" not in key}, "file")
    assert report.share == 1.0
    assert "bn1.running_mean" in report.missing
    assert any("statistics" in record.message for record in caplog.records if record.levelno == logging.WARNING)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(backbone: Backbone, value: float) -> None:
    before = {key: tensor.clone() for key, tensor in backbone.network.state_dict().items()}
    state = donor()
    state["bn1.weight"][0] = value
    with pytest.raises(WeightsError, match="NaN or infinity"):
        load_into(backbone, state, "file")
    assert holds(backbone, before)


def test_half_precision_weights_load_into_single(backbone: Backbone) -> None:
    state = {key: t.to(torch.bfloat16) if t.is_floating_point() else t for key, t in donor().items()}
    assert load_into(backbone, state, "file").share == 1.0
    assert backbone.network.state_dict()["bn1.weight"].dtype == torch.float32
    assert torch.equal(backbone.network.state_dict()["bn1.weight"], state["bn1.weight"].float())
