"""Views: moved as torchvision moves pixels, coloured as it colours them, the same in any batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.test_colours import by_torchvision, photo
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv

from headstart.configs.views import ViewsConfig
from headstart.data.colours import Step, coloured
from headstart.data.draws import CROP_NUMBERS, crop_box, uniforms
from headstart.data.imageset import ImageSet
from headstart.data.loaders import ViewsDataset, training_loader
from headstart.data.views import STYLES, build_views, plain_view

MEAN_STD = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
BICUBIC = InterpolationMode.BICUBIC
EVERYTHING = {"style": "byol", "vertical_flip": 0.5, "grey": 0.3, "blur": (0.7, 0.5), "solarise": (0.3, 0.3)}


def hwc(image: Tensor) -> Tensor:
    """The same pixels as decoding gives them: CHW, the channels of a pixel side by side."""
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def normalised(levels: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in MEAN_STD)
    return (levels / 255 - mean) / std


@pytest.mark.parametrize("size", [16, 33, 60])
def test_a_light_view_is_torchvisions_crop_resized_and_flipped(size: int) -> None:
    config = ViewsConfig(style="light", vertical_flip=0.5)
    (view,) = build_views(config, size, *MEAN_STD, 1)
    seen = set()
    for seed in range(40):
        image = hwc(photo(seed, 70)[:, : 50 + seed % 20])
        u = uniforms(seed, CROP_NUMBERS + 2)
        box = crop_box(image.shape[1], image.shape[2], config.crop_scale, u[:CROP_NUMBERS])
        expected = tv.resized_crop(image, *box, [size, size], BICUBIC, antialias=True)
        flips = (u[-2] < config.flip, u[-1] < config.vertical_flip)
        expected = expected.flip(-1) if flips[0] else expected
        expected = expected.flip(-2) if flips[1] else expected
        assert torch.equal(view.pixels(image, seed), expected)
        seen.add(flips)
    assert len(seen) == 4


@pytest.mark.parametrize("style", ["light", "byol"])
def test_turns_and_flips_are_the_eight_symmetries_of_a_square(style: str) -> None:
    settings = {"style": style, "crop_scale": (1.0, 1.0), "colour": 0.0, "grey": 0.0, "blur": (0.0, 0.0)}
    (turned,) = build_views(ViewsConfig(**settings, vertical_flip=0.5, turn=0.5), 20, *MEAN_STD, 1)
    square = hwc(photo(3, 20))
    known = [form.rot90(k, (1, 2)) for form in (square, square.flip(2)) for k in range(4)]
    seen = [[torch.equal(turned.pixels(square, seed), form) for form in known] for seed in range(200)]
    assert all(sum(which) == 1 for which in seen)
    assert min(sum(column) for column in zip(*seen, strict=True)) >= 10  # of 25 expected


def test_chances_that_were_never_settled_make_no_views() -> None:
    with pytest.raises(ValueError, match="vertical_flip of the views"):
        build_views(ViewsConfig(vertical_flip="auto"), 20, *MEAN_STD, 1)


def test_the_plain_view_is_the_resized_middle() -> None:
    image = hwc(photo(0, 90)[:, :70])
    expected = v2.Compose([v2.Resize(32, BICUBIC, antialias=True), v2.CenterCrop(32)])(image)
    view = plain_view(ViewsConfig(), 32, *MEAN_STD)
    assert torch.equal(view.pixels(image, 1), expected)
    assert torch.equal(view(image, 2), normalised(expected.float()))


def test_the_trivial_view_is_torchvisions() -> None:
    image = hwc(photo(1, 60))
    (view,) = build_views(ViewsConfig(style="trivial"), 32, *MEAN_STD, 1)
    for seed in range(10):
        plain = plain_view(ViewsConfig(), 32, *MEAN_STD).pixels(image, 0)
        torch.manual_seed(seed)
        assert torch.equal(view.pixels(image, seed), v2.TrivialAugmentWide()(plain))


def test_whole_views_are_torchvisions() -> None:
    """Of floating-point images: within 0.05 levels. Of uint8 images: torchvision rounds down up to six times on the
    way, half a level on average each, so that its views are darker by 1 to 2 levels, by more than 4 nearly never; with
    the same rounding after each step, ours are within 2 levels of them nearly everywhere.
    """
    unrounded, rounded = [], []
    for which, view in enumerate(build_views(ViewsConfig.model_validate(EVERYTHING), 48, *MEAN_STD, 2)):
        for seed in range(60):
            image = hwc(photo(seed, 100))
            drawn = view.draw(image, seed)
            steps = list(drawn.steps)
            (ours,) = (view(image, seed) * torch.tensor(MEAN_STD[1]).view(3, 1, 1)).unsqueeze(0)
            ours = (ours + torch.tensor(MEAN_STD[0]).view(3, 1, 1)) * 255
            exact = by_torchvision(drawn.crop, steps, floating=True)
            assert (ours - exact).abs().max() < 0.05, (which, seed, steps)
            assert (view.pixels(image, seed) - exact).abs().max() < 0.56
            theirs = by_torchvision(drawn.crop, steps, floating=False)
            unrounded.append((ours - theirs).flatten())
            rounded.append((rounded_down(drawn.crop, steps) - theirs).flatten())
    difference = torch.cat(unrounded)
    assert 0 < difference.mean() < 2
    assert (difference.abs() > 4).float().mean() < 0.001
    difference = torch.cat(rounded).abs()
    assert difference.mean() < 0.3
    assert (difference > 2).float().mean() < 0.001


def rounded_down(image: Tensor, steps: list[Step]) -> Tensor:
    """Our steps, with whole levels after each as torchvision has them: it rounds a blur, the others down."""
    for step in steps:
        (changed,) = coloured([image], [[step]])
        image = (changed.round() if step[0] == "blur" else changed).clamp(0, 255).byte()
    return image.float()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Nine images of nine shapes, labelled."""
    root = tmp_path_factory.mktemp("images")
    for i in range(9):
        pixels = photo(i, 64)[:, : 40 + 2 * i, : 64 - 3 * i]
        Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())).save(root / f"{i}.png")
    return ImageSet(root, tuple(f"{i}.png" for i in range(9)), tuple(i % 3 for i in range(9)))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_view_has_the_same_bits_in_any_batch_and_alone(images: ImageSet, style: str, workers: int) -> None:
    config = ViewsConfig.model_validate(EVERYTHING | {"style": style})
    views = build_views(config, 25, *MEAN_STD, 2)
    dataset = ViewsDataset(images, views, seed=3)
    order = [4, 0, 8, 7, 2, 1, 3, 6, 5]
    for length in (1, 2, 5, 9):
        batches = [[(1, i) for i in order[at : at + length]] for at in range(0, 9, length)]
        found = [torch.cat(column) for column in zip(*training_loader(dataset, batches, workers), strict=True)]  # type: ignore[arg-type]
        assert found[0].shape == (9, 2, 3, 25, 25)
        assert found[1].tolist() == [i % 3 for i in order]
        assert found[2].tolist() == order
        for shown, index in zip(found[0], order, strict=True):
            assert torch.equal(shown, dataset[1, index][0])


def test_an_image_without_a_label_has_minus_one(tmp_path: Path, images: ImageSet) -> None:
    unlabelled = ImageSet(images.root, images.names)
    dataset = ViewsDataset(unlabelled, build_views(ViewsConfig(), 24, *MEAN_STD, 2), seed=0)
    assert dataset[0, 3][1:] == (-1, 3)
    (batch,) = training_loader(dataset, [[(0, 2), (0, 1)]], 0)  # type: ignore[arg-type]
    assert batch[1].tolist() == [-1, -1]


def test_no_more_than_the_view_of_an_image_is_kept_until_its_batch(images: ImageSet) -> None:
    """A large image must be gone when the next one is read."""
    for style in STYLES:
        (view,) = build_views(ViewsConfig.model_validate({"style": style}), 16, *MEAN_STD, 1)
        drawn = view.draw(hwc(photo(0, 400)), 1)
        assert drawn.crop.untyped_storage().nbytes() <= 3 * 16 * 16, style
