import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from headstart.configs.inference import TilingConfig
from headstart.errors import ConfigError
from headstart.inference.grid import make_grid
from headstart.inference.tiles import (
    Pixels,
    Predictor,
    most_probable,
    predict_image,
    predict_many,
    predict_strips,
)

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def per_pixel(classes: int = 4) -> nn.Module:
    """A network whose answer depends on one pixel only."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, classes, 1)).eval()


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def whole(network: nn.Module, image: Tensor) -> Tensor:
    """The answer for the image in one piece, by the formula."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return torch.softmax(network(((image.float() / 255 - mean) / std)[None]), 1)[0]


@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(32, 90),
    st.floats(0, 0.75),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
)
@settings(max_examples=80, deadline=None)
def test_tiled_equals_whole_where_the_answer_does_not_depend_on_the_place(
    height: int, width: int, size: int, overlap: float, flips: bool, fixed: bool, batch: int
) -> None:
    network, image = per_pixel(), picture(height, width)
    tiling = TilingConfig(overlap=overlap, flips=flips, batch=batch)
    tiled = predict_image(network, image, MEAN, STD, tiling, size, fixed)
    assert tiled.dtype == torch.float32
    torch.testing.assert_close(tiled, whole(network, image), atol=1e-5, rtol=0)


def test_an_image_within_a_tile_goes_through_whole_and_a_fixed_network_sees_its_size() -> None:
    seen: list[tuple[int, ...]] = []

    class Spy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(tuple(images.shape[2:]))
            return images

    predict_image(Spy(), picture(50, 64), MEAN, STD, TilingConfig(), 64, False)
    predict_image(Spy(), picture(50, 64), MEAN, STD, TilingConfig(), 64, True)
    predict_image(Spy(), picture(50, 200), MEAN, STD, TilingConfig(), 64, False)
    assert seen[:2] == [(50, 64), (64, 64)]
    assert set(seen[2:]) == {(50, 64)}


def test_tiles_that_a_fixed_network_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="64 pixels only"):
        predict_image(per_pixel(), picture(9, 9), MEAN, STD, TilingConfig(size=128), 64, True)


def test_four_flips_make_the_answer_the_same_for_a_flipped_image() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 5, padding=2).eval()
    image, tiling = picture(40, 40), TilingConfig(flips=True)
    straight = predict_image(network, image, MEAN, STD, tiling, 64, False)
    turned = predict_image(network, image.flip(2), MEAN, STD, tiling, 64, False).flip(2)
    torch.testing.assert_close(straight, turned, atol=1e-6, rtol=0)
    plain = predict_image(network, image, MEAN, STD, TilingConfig(), 64, False)
    assert not torch.allclose(straight, plain, atol=1e-3)


def test_many_images_are_predicted_as_each_alone_in_order_and_in_batches() -> None:
    network, calls = per_pixel(), 0

    class Counted(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return network(images)

    images = [picture(20, 30, i) for i in range(5)] + [picture(100, 90, 5), picture(20, 30, 6)]
    many = list(predict_many(Counted(), images, MEAN, STD, TilingConfig(batch=4), 48, False))
    tiled = -(-len(make_grid(100, 90, 48, 0.25).cols.origins) // 4) * len(make_grid(100, 90, 48, 0.25).rows.origins)
    assert calls == 2 + tiled + 1
    for image, probabilities in zip(images, many, strict=True):
        torch.testing.assert_close(probabilities, whole(network, image), atol=1e-6, rtol=0)


def test_a_strip_has_the_same_bits_whichever_came_first() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 7, padding=3), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)).eval()
    image = picture(300, 150)
    predictor = Predictor(network, MEAN, STD, TilingConfig(overlap=0.7, batch=3), 64)
    grid = predictor.grid(300, 150)

    def read(top: int, bottom: int, left: int, right: int) -> Pixels:
        return image[:, top:bottom, left:right], None

    def strips(first: int) -> dict[int, Tensor]:
        found = {}
        for strip in predict_strips(predictor, read, grid, first):
            assert strip.probabilities is not None
            found[strip.row] = strip.probabilities.clone()
        return found

    complete = strips(0)
    assert len(complete) == len(grid.rows.origins) > 8
    for first in (1, 4, len(complete) - 1):
        later = strips(first)
        assert list(later) == list(range(first, len(complete)))
        assert all(torch.equal(later[row], complete[row]) for row in later)


def test_parts_of_the_columns_give_the_same_answer() -> None:
    network, image = per_pixel(), picture(80, 700)
    predictor = Predictor(network, MEAN, STD, TilingConfig(), 64)

    def read(top: int, bottom: int, left: int, right: int) -> Pixels:
        return image[:, top:bottom, left:right], None

    answer = torch.full((4, 80, 700), -1.0)
    panels = list(predictor.grid(80, 700).panels(200))
    for panel in panels:
        for strip in predict_strips(predictor, read, panel):
            assert strip.probabilities is not None
            answer[:, strip.top : strip.bottom, panel.left : panel.right] = strip.probabilities
    assert len(panels) == 4
    torch.testing.assert_close(answer, whole(network, image), atol=1e-5, rtol=0)


def test_tiles_without_a_valid_pixel_are_not_computed() -> None:
    tiles = 0

    class Counted(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            nonlocal tiles
            tiles += len(images)
            return images

    valid = torch.zeros(200, 200, dtype=torch.bool)
    valid[150:160, 10] = True
    image = picture(200, 200)

    def read(top: int, bottom: int, left: int, right: int) -> Pixels:
        return image[:, top:bottom, left:right], valid[top:bottom, left:right]

    predictor, done = Predictor(Counted(), MEAN, STD, TilingConfig(overlap=0), 64), []
    grid = predictor.grid(200, 200)
    strips = list(predict_strips(predictor, read, grid, on_tiles=done.append))
    assert tiles < 4
    assert sum(done) == grid.n_tiles
    assert strips[0].probabilities is None
    shown = [strip.valid for strip in strips if strip.valid is not None]
    assert torch.equal(torch.cat(shown), valid)


def test_no_seams_where_tiles_of_a_real_network_meet() -> None:
    """The step of the answer from column to column, beside that of the whole image: one where hard cuts have three."""
    torch.manual_seed(0)
    network = smp.create_model("unet", "tu-test_resnet", encoder_weights=None, in_channels=3, classes=4)
    with torch.no_grad():
        for _ in range(5):  # statistics for the batch norms, so that the answer is not a constant
            network.train()(torch.randn(4, 3, 64, 64))
    network.eval()
    coarse = torch.rand(1, 3, 20, 20)
    image = (torch.nn.functional.interpolate(coarse, (320, 320), mode="bicubic")[0].clamp(0, 1) * 255).to(torch.uint8)
    reference = whole(network, image)

    def steps(answer: Tensor) -> Tensor:
        return answer.diff(dim=2).abs().mean((0, 1))

    def worst_and_error(overlap: float) -> tuple[float, float]:
        answer = predict_image(network, image, MEAN, STD, TilingConfig(overlap=overlap), 96, False)
        return float((steps(answer) / steps(reference)).max()), float((answer - reference).abs().mean())

    cut, cut_error = worst_and_error(0)
    blended, blended_error = worst_and_error(0.5)
    assert cut > 2.5
    assert blended < 1.1
    assert blended_error < 0.7 * cut_error < 0.01


def test_most_probable_is_argmax() -> None:
    probabilities = torch.rand(7, 33, 21)
    assert torch.equal(most_probable(probabilities).long(), probabilities.argmax(0))
    assert most_probable(torch.ones(3, 2, 2)).tolist() == [[0, 0], [0, 0]]
