"""Images grow to what a network takes, and keep their pixels where they were."""

import pytest
import torch

from headstart.models.padding import pad_to_multiple, padded_side

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("side", "multiple", "minimum", "padded"),
    [(1, 32, 1, 32), (32, 32, 1, 32), (33, 32, 1, 64), (33, 32, 128, 128), (129, 32, 128, 160), (7, 1, 1, 7)],
)
def test_the_smallest_multiple_that_is_large_enough(side: int, multiple: int, minimum: int, padded: int) -> None:
    assert padded_side(side, multiple, minimum) == padded


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (33, 64), (40, 40), (64, 63)])
def test_pixels_keep_their_places(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    grown = pad_to_multiple(images, 32)
    assert grown.shape[-2] % 32 == grown.shape[-1] % 32 == 0
    assert torch.equal(grown[..., : size[0], : size[1]], images)


def test_what_fits_is_not_copied() -> None:
    images = torch.rand(1, 3, 64, 96)
    assert pad_to_multiple(images, 32, 64) is images


def test_large_images_are_mirrored_and_tiny_ones_repeated() -> None:
    large = pad_to_multiple(torch.arange(20.0).view(1, 1, 1, 20).expand(1, 1, 20, 20), 32)
    assert large[0, 0, 0, 20:].tolist() == list(range(18, 6, -1))
    tiny = pad_to_multiple(torch.arange(4.0).view(1, 1, 2, 2), 32)
    assert torch.equal(tiny[0, 0, 1:], torch.tensor([2.0] + [3.0] * 31).expand(31, 32))
