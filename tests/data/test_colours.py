"""Colours in batches: torchvision's operations, each view as it is alone, and what is known in closed form.

Two references. torchvision's operations on floating-point images are the same functions, so only float32 rounding may
lie between: below 0.01 levels of 255. Its operations on uint8 images round down to whole levels after each of them, and
take whole grey values: one operation may be off by one level for each of these two, so at most two.
"""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as tv

from headstart.data.colours import FINENESS, OPERATIONS, Step, blur_width, coloured, grey

Operation = Callable[[Tensor, float], Tensor]


def torchvision_blur(image: Tensor, sigma: float) -> Tensor:
    return tv.gaussian_blur(image, [blur_width(image.shape[-1])] * 2, [sigma] * 2)


def torchvision_solarise(image: Tensor, threshold: float) -> Tensor:
    return tv.solarize(image, threshold / 255 if image.is_floating_point() else threshold)


TORCHVISION: dict[str, tuple[Operation, tuple[float, ...]]] = {
    "brightness": (tv.adjust_brightness, (0.0, 0.6, 1.0, 1.4, 2.0)),
    "contrast": (tv.adjust_contrast, (0.0, 0.6, 1.0, 1.4, 2.0)),
    "saturation": (tv.adjust_saturation, (0.0, 0.8, 1.0, 1.2, 2.0)),
    "hue": (tv.adjust_hue, (-0.5, -0.1, 0.0, 0.03, 0.1, 0.5)),
    "blur": (torchvision_blur, (0.1, 0.7, 2.0)),
    "solarise": (torchvision_solarise, (128.0,)),
}
STEPS = [(name, amount) for name, (_, amounts) in TORCHVISION.items() for amount in amounts]


def photo(seed: int, size: int = 40) -> Tensor:
    """Something like a photo, uint8 (3, size, size): broad shapes, fine noise, dark and bright parts clipped."""
    generator = torch.Generator().manual_seed(seed)
    broad = torch.randn(1, 3, 5, 5, generator=generator) * 80 + 120
    shapes = functional.interpolate(broad, (size, size), mode="bicubic")[0]
    return (shapes + 6 * torch.randn(3, size, size, generator=generator)).clamp(0, 255).byte()


def every_corner() -> Tensor:
    """All colours of six levels, greys, black and white among them: uint8 (3, 24, 9)."""
    levels = torch.tensor([0, 1, 100, 127, 128, 255], dtype=torch.uint8)
    return torch.cartesian_prod(levels, levels, levels).T.reshape(3, 24, 9).contiguous()


def by_torchvision(image: Tensor, steps: list[Step], floating: bool) -> Tensor:
    """The steps one after the other on an image of either kind; levels in [0, 255]."""
    changed = image / 255 if floating else image
    for name, amount in steps:
        changed = TORCHVISION[name][0](changed, amount)
    return changed * 255 if floating else changed.float()


def levels(image: Tensor, steps: list[Step]) -> Tensor:
    return coloured([image], [steps])[0].float()


def test_every_operation_is_held_to_torchvision() -> None:
    assert TORCHVISION.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("image", [photo(0), photo(1, 25), every_corner()], ids=["photo", "odd", "corners"])
def test_one_operation_is_torchvisions(step: Step, image: Tensor) -> None:
    ours = levels(image, [step])
    assert (ours - by_torchvision(image, [step], floating=True)).abs().max() < 0.01
    assert (ours - by_torchvision(image, [step], floating=False)).abs().max() < 2


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.sampled_from([step for step in STEPS if step[0] != "solarise"]), max_size=6))
def test_any_operations_in_any_order_are_torchvisions(steps: list[Step]) -> None:
    ours = levels(photo(2), steps)
    assert (ours - by_torchvision(photo(2), steps, floating=True)).abs().max() < 0.05


@given(
    chosen=st.lists(st.lists(st.sampled_from(STEPS), max_size=5), min_size=2, max_size=7),
    size=st.sampled_from([16, 25, 33]),
)
@settings(max_examples=60, deadline=None)
def test_an_image_in_a_batch_has_the_bits_it_has_alone(chosen: list[list[Step]], size: int) -> None:
    images = [photo(i, size) for i in range(len(chosen))]
    for image, steps, together in zip(images, chosen, coloured(images, chosen), strict=True):
        assert torch.equal(together, coloured([image], [steps])[0])


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    """Of an image large enough to be shared among threads, odd so that each has another remainder."""
    step = (name, TORCHVISION[name][1][1 % len(TORCHVISION[name][1])])
    image, before = photo(3, 257), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(coloured([image, photo(4, 257)], [[step], [step]])[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_the_mean_that_contrast_needs_is_a_sum_of_whole_numbers() -> None:
    """Of parts of a level, so that neither the order of the pixels nor of the additions can matter."""
    for seed in range(8):
        image = photo(seed, 257)
        parts = (grey(image.float()[None]) * FINENESS).round().long()
        expected = torch.tensor(int(parts.sum()) / (FINENESS * 257 * 257), dtype=torch.float32)
        other = image.flatten(1)[:, torch.randperm(257 * 257, generator=torch.Generator().manual_seed(seed))]
        for each in (image, other.view(3, 257, 257)):
            assert torch.equal(levels(each, [("contrast", 0.0)]), expected.expand(3, 257, 257))


def test_images_without_steps_are_left_as_they_are() -> None:
    first, second = coloured([photo(0), photo(1)], [[], [("brightness", 0.5)]])
    assert first.dtype == torch.uint8
    assert torch.equal(first, photo(0))
    assert torch.equal(second, photo(1).float() / 2)


def test_inputs_are_not_written_to() -> None:
    image = photo(0).float()
    for name, (_, amounts) in TORCHVISION.items():
        kept = image.clone()
        OPERATIONS[name](image[None], torch.full((1, 1, 1, 1), amounts[1 % len(amounts)]))
        assert torch.equal(image, kept), name


def one_colour(*rgb: float) -> Tensor:
    return torch.tensor(rgb, dtype=torch.uint8).view(3, 1, 1).expand(3, 30, 30)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [(1 / 3, (0, 255, 0)), (-1 / 3, (0, 0, 255)), (1 / 6, (255, 255, 0)), (0.5, (0, 255, 255)), (0.0, (255, 0, 0))],
)
def test_red_turned_by_a_third_is_green_and_so_on(turn: float, expected: tuple[int, ...]) -> None:
    turned = levels(one_colour(255, 0, 0), [("hue", turn)])
    torch.testing.assert_close(turned, one_colour(*expected).float(), atol=1e-3, rtol=0)


def test_a_turn_of_hue_keeps_the_brightest_and_the_darkest_channel() -> None:
    image = photo(5)
    turned = levels(image, [("hue", 0.23)])
    torch.testing.assert_close(turned.amax(0), image.float().amax(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(turned.amin(0), image.float().amin(0), atol=1e-3, rtol=0)
    back = levels(image, [("hue", 0.23), ("hue", -0.23)])
    torch.testing.assert_close(back, image.float(), atol=1e-2, rtol=0)


def test_no_saturation_is_grey_and_no_contrast_is_flat() -> None:
    image = photo(6)
    dull = levels(image, [("saturation", 0.0)])
    torch.testing.assert_close(dull, grey(image.float()[None])[0].expand(3, -1, -1))
    flat = levels(image, [("contrast", 0.0)])
    mean = grey(image.double()[None]).mean()
    assert (flat - mean).abs().max() < 1 / 256


def test_a_blurred_point_is_the_gaussian_and_edges_are_mirrored() -> None:
    point = torch.zeros(3, 64, 64)
    point[:, 30, 32] = 200
    sigma, reach = 1.3, blur_width(64) // 2
    blurred = OPERATIONS["blur"](point[None], torch.full((1, 1, 1, 1), sigma))[0]
    places = torch.arange(64.0)
    rows, columns = (torch.exp(-((places - at) ** 2) / (2 * sigma**2)) for at in (30, 32))
    rows[(places - 30).abs() > reach], columns[(places - 32).abs() > reach] = 0, 0
    expected = 200 * torch.outer(rows / rows.sum(), columns / columns.sum())
    torch.testing.assert_close(blurred, expected.expand(3, -1, -1), atol=1e-4, rtol=0)
    constant = one_colour(10, 20, 30).float()
    even = OPERATIONS["blur"](constant[None], torch.full((1, 1, 1, 1), 2.0))[0]
    torch.testing.assert_close(even, constant)


@pytest.mark.parametrize(("size", "width"), [(16, 3), (32, 3), (64, 7), (128, 13), (224, 23)])
def test_a_blur_is_a_tenth_of_the_image_wide(size: int, width: int) -> None:
    assert blur_width(size) == width
