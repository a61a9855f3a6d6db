"""The seed's VGG16-FCN32s is faithful, faults included; the corrected one has none of them."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from headstart.models.fcn32s import STRIDE, Fcn32s, Fcn32sSeed, bilinear_kernel

torch.set_num_threads(1)

CLASSES = 7

SEED_SHAPES = {
    "features.0.weight": (64, 3, 3, 3),
    "features.0.bias": (64,),
    "features.2.weight": (64, 64, 3, 3),
    "features.2.bias": (64,),
    "features.5.weight": (128, 64, 3, 3),
    "features.5.bias": (128,),
    "features.7.weight": (128, 128, 3, 3),
    "features.7.bias": (128,),
    "features.10.weight": (256, 128, 3, 3),
    "features.10.bias": (256,),
    "features.12.weight": (256, 256, 3, 3),
    "features.12.bias": (256,),
    "features.14.weight": (256, 256, 3, 3),
    "features.14.bias": (256,),
    "features.17.weight": (512, 256, 3, 3),
    "features.17.bias": (512,),
    "features.19.weight": (512, 512, 3, 3),
    "features.19.bias": (512,),
    "features.21.weight": (512, 512, 3, 3),
    "features.21.bias": (512,),
    "features.24.weight": (512, 512, 3, 3),
    "features.24.bias": (512,),
    "features.26.weight": (512, 512, 3, 3),
    "features.26.bias": (512,),
    "features.28.weight": (512, 512, 3, 3),
    "features.28.bias": (512,),
    "head.conv.weight": (1024, 512, 7, 7),
    "head.conv.bias": (1024,),
    "head.score.weight": (7, 1024, 1, 1),
    "head.score.bias": (7,),
    "upsample.weight": (7, 7, 44, 44),
}


@pytest.fixture(scope="module")
def seed() -> Fcn32sSeed:
    torch.manual_seed(0)
    return Fcn32sSeed(CLASSES).eval()


def small(n_outputs: int = 3, hidden: int = 8) -> Fcn32s:
    """The corrected network with few channels in fc6 and fc7; alignment and sizes do not depend on them."""
    torch.manual_seed(1)
    return Fcn32s(n_outputs, hidden).eval()


def stripes() -> Tensor:
    """Which of 512 rows or columns lie between the kernels: the last 8 of every 52, nine times."""
    return torch.arange(512) % 52 >= 44


def test_the_seeds_parameters_are_these() -> None:
    with torch.device("meta"):
        state = Fcn32sSeed(CLASSES).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == SEED_SHAPES


def test_the_seeds_layers_are_these(seed: Fcn32sSeed) -> None:
    assert [type(layer).__name__ for layer in seed.head] == ["Conv2d", "ReLU", "Dropout2d", "Conv2d", "ReLU"]
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in seed.features) == 5
    assert seed.head.conv.padding == (0, 0)
    assert (seed.upsample.kernel_size, seed.upsample.stride, seed.upsample.padding) == ((44, 44), (52, 52), (0, 0))
    assert seed.upsample.bias is None


@torch.no_grad()
def test_the_seed_gives_512_from_512() -> None:
    with torch.device("meta"):
        network, images = Fcn32sSeed(CLASSES), torch.empty(2, 3, 512, 512)
        assert network.features(images).shape == (2, 512, 16, 16)
        assert network(images).shape == (2, CLASSES, 512, 512)


@torch.no_grad()
def test_the_seed_leaves_stripes_at_zero(seed: Fcn32sSeed) -> None:
    logits = seed.upsample(seed.head(torch.rand(1, 512, 16, 16)))
    assert not logits[..., stripes(), :].any()
    assert not logits[..., :, stripes()].any()
    assert logits[..., ~stripes(), :][..., ~stripes()].abs().amax() > 0


@torch.no_grad()
def test_no_weight_reaches_the_seeds_stripes(seed: Fcn32sSeed) -> None:
    everything = F.conv_transpose2d(torch.ones(1, 1, 10, 10), torch.ones(1, 1, 44, 44), stride=52)
    reached = everything[0, 0] > 0
    assert everything.shape[-2:] == (512, 512)
    assert torch.equal(reached, ~stripes()[:, None] & ~stripes()[None, :])
    assert 1 - reached.float().mean() == pytest.approx(1 - (440 / 512) ** 2, abs=1e-6)  # 26 % of the pixels


def test_the_seed_cuts_negative_logits(seed: Fcn32sSeed) -> None:
    seen = 1 + torch.rand(2, 512, 7, 7)
    against = nn.Sequential(*seed.head[:3], nn.Conv2d(1024, CLASSES, 1), seed.head.score_relu)
    nn.init.constant_(against[3].bias, -1e4)
    logits = against(seen)
    assert not logits.any()
    logits.sum().backward()
    assert not against[3].weight.grad.any()  # and no gradient comes back to change that


def test_a_negative_score_gets_through_the_corrected_network_and_learns() -> None:
    network = small()
    nn.init.constant_(network.score.bias, -3.0)
    logits = network(torch.rand(1, 3, 64, 64))
    assert torch.allclose(logits, torch.tensor(-3.0))
    logits.sum().backward()
    assert network.score.weight.grad.any()


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (32, 32), (33, 65), (100, 70), (64, 96)])
def test_every_pixel_of_any_size_is_reached_with_the_whole_weight(size: tuple[int, int]) -> None:
    network = small()
    network.score.bias.copy_(torch.tensor([1.0, -2.0, 0.5]))
    logits = network(torch.randn(2, 3, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.allclose(logits, network.score.bias[:, None, None].expand_as(logits), atol=1e-6)


@torch.no_grad()
def test_the_score_layer_begins_at_zero_and_the_last_upsampling_is_not_trained() -> None:
    network = small()
    assert not network(torch.randn(1, 3, 40, 40)).any()
    assert {name for name, parameter in network.named_parameters() if not parameter.requires_grad} == {"upscore.weight"}


def test_the_corrected_networks_own_layers_have_the_papers_shapes() -> None:
    with torch.device("meta"):
        state = Fcn32s(21).state_dict()
    own = {name: tuple(tensor.shape) for name, tensor in state.items() if not name.startswith("features.")}
    assert own == {
        "fc6.weight": (4096, 512, 7, 7),
        "fc6.bias": (4096,),
        "fc7.weight": (4096, 4096, 1, 1),
        "fc7.bias": (4096,),
        "score.weight": (21, 4096, 1, 1),
        "score.bias": (21,),
        "upscore.weight": (21, 21, 64, 64),
    }
    features = {name: shape for name, shape in SEED_SHAPES.items() if name.startswith("features.")}
    assert {name: tuple(t.shape) for name, t in state.items() if name.startswith("features.")} == features


@torch.no_grad()
@pytest.mark.parametrize("axis", [-1, -2])
def test_a_mirrored_image_gives_the_mirrored_output(axis: int) -> None:
    """With kernels that are their own mirror images, only a misplaced padding or crop could tell left from right."""
    network = small().double()
    nn.init.normal_(network.score.weight)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_((layer.weight + layer.weight.flip(axis)) / 2)
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    there, back = network(image), network(image.flip(axis)).flip(axis)
    assert there.std() > 1e-3
    assert torch.allclose(there, back, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def only_the_middle(network: Fcn32s | Fcn32sSeed) -> None:
    """Make every convolution look at one place: it adds up its channels there. A score unit then sees one VGG unit."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            middle = layer.kernel_size[0] // 2
            layer.weight.zero_()
            layer.weight[:, :, middle, middle] = 1 / layer.in_channels
            layer.bias.zero_()


def centre(map_hw: Tensor) -> tuple[float, float]:
    """The centre of gravity (row, column) of a map."""
    rows, columns = map_hw.sum(1), map_hw.sum(0)
    at = torch.arange(len(rows), dtype=map_hw.dtype), torch.arange(len(columns), dtype=map_hw.dtype)
    return (at[0] @ rows / rows.sum()).item(), (at[1] @ columns / columns.sum()).item()


@torch.no_grad()
@pytest.mark.parametrize("cell", [(1, 1), (2, 3)])
def test_what_lies_in_a_cell_is_said_around_that_cell(cell: tuple[int, int]) -> None:
    network = small()
    only_the_middle(network)
    row, column = (32 * place for place in cell)
    image = torch.zeros(1, 3, 160, 192)
    image[..., row : row + 32, column : column + 32] = 1
    answer = network(image)[0, 0]
    assert centre(answer) == pytest.approx((row + 15.5, column + 15.5), abs=1e-3)
    moved = network(image.roll((32, 32), (-2, -1)))[0, 0]
    assert torch.allclose(moved, answer.roll((32, 32), (-2, -1)), atol=1e-6)  # a shift goes through


@torch.no_grad()
def test_the_seed_says_it_up_to_90_pixels_off() -> None:
    network = Fcn32sSeed(1).eval()
    only_the_middle(network)
    nn.init.ones_(network.upsample.weight)
    for unit, looks_at, says_at in ((3, 111.5, 21.5), (12, 399.5, 489.5)):  # the first and the last it answers for
        units = torch.zeros(1, 512, 16, 16)
        units[..., unit, unit] = 1
        assert looks_at == 32 * unit + 15.5
        assert centre(network.upsample(network.head(units))[0, 0]) == pytest.approx((says_at, says_at), abs=1e-3)


@torch.no_grad()
def test_upsampling_is_bilinear_interpolation() -> None:
    torch.manual_seed(3)
    scores = torch.randn(2, 3, 4, 5)
    ours = F.conv_transpose2d(scores, bilinear_kernel(3, STRIDE), stride=STRIDE, padding=16)
    theirs = F.interpolate(scores, scale_factor=STRIDE, mode="bilinear", align_corners=False)
    inside = slice(16, -16)
    assert ours.shape == theirs.shape
    assert torch.allclose(ours[..., inside, inside], theirs[..., inside, inside], atol=1e-5)


def test_a_kernel_sums_to_the_area_of_a_unit() -> None:
    kernel = bilinear_kernel(2, STRIDE)
    assert math.isclose(kernel[0, 0].double().sum().item(), STRIDE**2, rel_tol=1e-6)
    assert not kernel[0, 1].any()
