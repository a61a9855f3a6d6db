"""Crops of images with masks: both move together to the pixel, as a function of the seed, by the rule of the window."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from headstart.configs.segment import CropsConfig
from headstart.data.crops import CropView, PairsDataset, crop_sheet
from headstart.data.decode import decode
from headstart.data.imageset import ImageSet
from headstart.data.loaders import Batching, MicroBatches, training_loader
from headstart.data.pair_sheets import NO_CLASS, pair_sample_sheet
from headstart.data.pairs import PairSet
from headstart.data.palettes import BLUEMARBLE, Palette
from headstart.errors import DataError

MEAN_STD = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
STILL = {"flip": 0.0, "vertical_flip": 0.0, "rotate": 0.0, "colour": 0.0}
IGNORE = 6


def view(size: int, **settings: object) -> CropView:
    return CropView(CropsConfig.model_validate({"scale": (1.0, 1.0), "colour": 0.0} | settings), size, *MEAN_STD)


def coordinates(height: int, width: int) -> tuple[Tensor, Tensor]:
    """An image whose red is the row and green the column, and a mask that is neither: classes 0 to 5 by chance."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    mask = torch.randint(0, 6, (height, width), generator=torch.Generator().manual_seed(0))
    return torch.stack([rows, columns, 40 * mask]).to(torch.uint8), mask.to(torch.uint8)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 40), seed=st.integers(0, 999))
def test_each_pixel_keeps_its_label_through_crops_turns_and_flips(
    height: int, width: int, size: int, seed: int
) -> None:
    image, mask = coordinates(height, width)
    crop, labels = view(size).pixels(image, mask, seed, IGNORE)
    assert crop.shape == (3, size, size)
    assert labels.shape == (size, size)
    rows, columns = crop[0].long(), crop[1].long()
    beyond = labels == IGNORE
    assert torch.equal(labels[~beyond], mask[rows, columns][~beyond])
    places = torch.stack([rows[~beyond], columns[~beyond]])
    assert places.unique(dim=1).shape[1] == places.shape[1] == min(size, height) * min(size, width)


def test_all_eight_orientations_occur_and_settings_turn_them_off() -> None:
    image, mask = coordinates(16, 16)
    seen = {tuple(view(16).pixels(image, mask, seed, IGNORE)[0][:2, 0, :2].flatten().tolist()) for seed in range(200)}
    assert len(seen) == 8
    crop, labels = view(16, **STILL).pixels(image, mask, 3, IGNORE)
    assert torch.equal(crop, image)
    assert torch.equal(labels, mask)
    for name, flipped in (("flip", image.flip(2)), ("vertical_flip", image.flip(1))):
        assert torch.equal(view(16, **(STILL | {name: 1.0})).pixels(image, mask, 3, IGNORE)[0], flipped)


def test_shrunk_by_three_a_label_is_that_of_the_middle_pixel() -> None:
    """Bilinear resizing of a ramp gives the value at the middle of each cell; plain nearest would take its corner."""
    rows = torch.arange(96, dtype=torch.uint8)[:, None].expand(96, 96).contiguous()
    crop, labels = view(32, scale=(1 / 3, 1 / 3), **STILL).pixels(torch.stack([rows] * 3), rows, 0, 255)
    assert torch.equal(labels, rows[1::3, 1::3])
    assert torch.equal(crop[0, 2:-2], labels[2:-2])


@settings(max_examples=40, deadline=None)
@given(zoom=st.floats(0.3, 3.0), angle=st.floats(0, 2 * math.pi), seed=st.integers(0, 999))
def test_resized_labels_are_the_strongest_class_of_the_resized_image(zoom: float, angle: float, seed: int) -> None:
    """An image of one-hot classes (three sectors): where one class fills most of a pixel, the label is that class."""
    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(120.0), indexing="ij")
    direction = torch.atan2(y - 60, x - 60) - angle
    mask = (direction.remainder(2 * math.pi) * 3 / (2 * math.pi)).floor().clamp(max=2).to(torch.uint8)
    image = torch.stack([(mask == c) * 255 for c in range(3)]).to(torch.uint8)
    crop, labels = view(40, scale=(zoom, zoom)).pixels(image, mask, seed, IGNORE)
    share, strongest = crop.float().div(255).max(0)
    clear = (share > 0.85) & (labels != IGNORE)  # below 0.79 a pixel in a corner may differ; half a pixel off: 0.97
    assert clear.sum() > 0.7 * clear.numel()
    assert torch.equal(strongest[clear].to(torch.uint8), labels[clear])


def sides(size: int, scale: tuple[float, float], image_side: int, n: int = 200) -> np.ndarray:
    """Sides of the windows that were drawn, measured by the slope of a ramp."""
    ramp = torch.arange(image_side, dtype=torch.uint8).expand(3, image_side, image_side)
    mask = torch.zeros(image_side, image_side, dtype=torch.uint8)
    drawn = []
    for seed in range(n):
        row = view(size, scale=scale, **STILL).pixels(ramp, mask, seed, IGNORE)[0][0, size // 2].float()
        drawn.append(((row[-3] - row[2]) * size / (size - 5)).item())
    return np.array(drawn)


def test_the_zoom_is_drawn_log_uniformly() -> None:
    logs = np.log(32 / sides(32, (0.5, 2.0), 250))
    assert logs.min() == pytest.approx(math.log(0.5), abs=0.05)
    assert logs.max() == pytest.approx(math.log(2.0), abs=0.1)
    assert np.quantile(logs, [0.25, 0.5, 0.75]) == pytest.approx(np.log([2**-0.5, 1, 2**0.5]), abs=0.12)


def test_a_window_is_no_larger_than_an_image_that_is_large_enough() -> None:
    assert sides(32, (0.25, 0.25), 40, 20) == pytest.approx(40, abs=2.5)
    image, mask = coordinates(40, 200)
    for seed in range(20):
        _, labels = view(32, scale=(0.25, 0.5)).pixels(image, mask, seed, IGNORE)
        assert (labels != IGNORE).all()


def test_beyond_a_small_image_it_is_mirrored_and_the_mask_ignored() -> None:
    image, mask = coordinates(6, 50)
    crop, labels = view(20, **STILL).pixels(image, mask, 1, IGNORE)
    rows, columns = crop[0, :, 0].tolist(), crop[1]
    inside = (labels != IGNORE).any(1)
    assert inside.sum() == 6
    assert (labels[inside] != IGNORE).all()
    mirrored = [0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0] * 5
    start = mirrored.index(0, 24) - int(inside.nonzero()[0])
    assert rows == mirrored[start : start + 20]
    assert torch.equal(columns, columns[:1].expand(20, 20))
    _, zoomed_out = view(20, scale=(0.5, 0.5), **STILL).pixels(image, mask, 1, IGNORE)
    assert (zoomed_out != IGNORE).sum() == 3 * 20


def test_crops_reach_every_place_of_an_image() -> None:
    image, mask = coordinates(30, 24)
    corners = [view(20, **STILL).pixels(image, mask, seed, IGNORE)[0][:2, 0, 0].tolist() for seed in range(600)]
    assert {row for row, _ in corners} == set(range(11))
    assert {column for _, column in corners} == set(range(5))


def test_colours_touch_the_image_only() -> None:
    image, mask = coordinates(32, 32)
    plain = view(32, **STILL)
    bright = view(32, **(STILL | {"colour": 1.0, "colour_probability": 1.0}))
    (crop, labels), (coloured, same) = (v.pixels(image, mask, 5, IGNORE) for v in (plain, bright))
    assert torch.equal(labels, same)
    assert not torch.equal(crop, coloured)


def test_a_crop_is_a_function_of_its_seed_and_leaves_the_generator_alone() -> None:
    image, mask = coordinates(50, 60)
    crops = view(24, scale=(0.5, 2.0), colour=1.0)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, labels = crops(image, mask, 7, IGNORE)
    assert torch.equal(torch.rand(3), expected)
    again, same = crops(image, mask, 7, IGNORE)
    assert torch.equal(first, again)
    assert torch.equal(labels, same)
    assert first.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert first.is_contiguous()
    assert labels.is_contiguous()
    assert not torch.equal(first, crops(image, mask, 8, IGNORE)[0])
    pixels = crops.pixels(image, mask, 7, IGNORE)[0].float() / 255  # rounded to whole levels
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in MEAN_STD)
    assert ((first - (pixels - mean) / std) * std * 255).abs().max() < 0.51


def test_crops_without_a_label_are_drawn_again_and_at_last_accepted() -> None:
    image, mask = coordinates(64, 64)
    mask[:, :40] = IGNORE
    crops = [view(20).pixels(image, mask, seed, IGNORE)[1] for seed in range(200)]
    empty = sum(bool((labels == IGNORE).all()) for labels in crops)
    assert empty / 200 < 0.1, "of single draws 47 % are empty, of five 2 %"
    _, labels = view(20)(image, torch.full_like(mask, IGNORE), 0, IGNORE)
    assert (labels == IGNORE).all()


def write_pairs(root: Path, n: int = 4, height: int = 30, width: int = 36) -> PairSet:
    """Pairs whose image and mask both tell the place: the image is the mask's class in grey."""
    rng = np.random.default_rng(0)
    names = tuple(f"{i:02}.png" for i in range(n))
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for name in names:
        mask = np.kron(rng.integers(0, 6, (height // 6, width // 6)), np.ones((6, 6))).astype(np.uint8)
        Image.fromarray(np.repeat(40 * mask[..., None], 3, axis=2)).save(root / "images" / name)
        Image.fromarray(BLUEMARBLE.to_colours(mask)).save(root / "masks" / name)
    return PairSet(images=ImageSet(root / "images", names), masks=ImageSet(root / "masks", names))


def dataset_of(pairs: PairSet, crops: CropView, per_image: int = 1, seed: int = 0) -> PairsDataset:
    return PairsDataset(pairs, BLUEMARBLE, crops, seed, IGNORE, per_image)


def test_an_item_is_a_function_of_seed_epoch_and_index(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path)
    dataset = dataset_of(pairs, view(20), per_image=3)
    assert len(dataset) == 12
    crop, labels, index = dataset[2, 7]
    assert index == 7
    assert torch.equal(crop, dataset_of(pairs, view(20), 3)[2, 7][0])
    assert torch.equal(labels, dataset[2, 7][1])
    others = [dataset[3, 7][0], dataset[2, 6][0], dataset_of(pairs, view(20), 3, seed=1)[2, 7][0]]
    assert not any(torch.equal(crop, other) for other in others)
    whole = dataset_of(pairs, view(30, **STILL), 3)
    for at in range(12):
        pixels, _ = whole.pixels((0, at))
        expected = decode(pairs.images.path(at // 3))
        assert pixels.float().mean() != 0
        assert set(pixels.unique().tolist()) <= set(np.unique(expected).tolist())


def test_image_and_mask_of_a_pair_stay_together(tmp_path: Path) -> None:
    dataset = dataset_of(write_pairs(tmp_path), view(24), per_image=4)
    for index in range(len(dataset)):
        crop, labels = dataset.pixels((0, index))
        assert torch.equal(crop[0], 40 * labels)


def test_the_loader_gives_the_same_batches_with_any_number_of_workers(tmp_path: Path) -> None:
    dataset = dataset_of(write_pairs(tmp_path), view(20, colour=1.0), per_image=3)
    batching = Batching(len(dataset), 6, parts=2)
    sampler = MicroBatches(batching, 0, range(3), accumulate=2)
    alone, helped = (list(training_loader(dataset, sampler, workers)) for workers in (0, 2))
    assert len(alone) == 6
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    crops, masks, indices = alone[0]
    assert crops.shape == (3, 3, 20, 20)
    assert masks.shape == (3, 20, 20)
    assert masks.dtype == torch.int64
    seen = [batch[2].tolist() for batch in alone[:4]]
    assert sorted(itertools.chain.from_iterable(seen)) == list(range(12)), "an epoch shows each crop once"
    assert indices.tolist() == batching.indices(0, 0)[:3].tolist()


def test_a_batch_is_no_larger_than_the_crops_of_an_epoch(tmp_path: Path) -> None:
    dataset = dataset_of(write_pairs(tmp_path), view(20), per_image=2)
    batching = Batching(len(dataset), 100, parts=1)
    (batch,) = training_loader(dataset, MicroBatches(batching, 0, range(1)), 0)
    assert sorted(batch[2].tolist()) == list(range(8))


def test_a_mask_of_another_size_is_an_error_that_names_both(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path)
    Image.new("RGB", (36, 29), BLUEMARBLE.colours[0]).save(pairs.masks.path(0))
    with pytest.raises(DataError, match=r"36 x 30 pixels, its mask 36 x 29"):
        dataset_of(pairs, view(20))[0, 0]


def test_a_sheet_of_crops_shows_image_mask_and_both(tmp_path: Path) -> None:
    palette = Palette("two", ("a", "b"), ((200, 0, 0), (0, 0, 200)))
    for folder, colour in (("images", (0, 100, 0)), ("masks", palette.colours[1])):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (96, 48), colour).save(tmp_path / folder / "0.png")
    pairs = PairSet(*(ImageSet(tmp_path / folder, ("0.png",)) for folder in ("images", "masks")))
    dataset = PairsDataset(pairs, palette, view(96, **STILL), 0, ignore=2)
    crop_sheet(dataset, palette, tmp_path / "run" / "crops.png")
    sheet = decode(tmp_path / "run" / "crops.png")
    half = 96 * 48
    for colour, pixels in (
        ((0, 100, 0), 2 * half),
        ((0, 0, 200), half),
        ((0, 50, 100), half),
        (NO_CLASS, half),
        ((64, 114, 64), half),
    ):
        assert (sheet == colour).all(axis=2).sum() == pixels, colour


def test_a_sheet_of_pairs_passes_over_what_cannot_be_read(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, n=5)
    pairs.images.path(1).write_bytes(b"broken")
    pairs.masks.path(3).unlink()
    shown = pair_sample_sheet(pairs, BLUEMARBLE, tmp_path / "samples.png")
    assert sorted(shown) == ["00.png", "02.png", "04.png"]
    sheet = decode(tmp_path / "samples.png")
    mask = BLUEMARBLE.to_indices(decode(pairs.masks.path(0)))
    for index in np.unique(mask):
        assert (sheet == BLUEMARBLE.colours[index]).all(axis=2).any()
    assert pair_sample_sheet(pairs, BLUEMARBLE, tmp_path / "again.png") == shown
    assert len(pair_sample_sheet(pairs, BLUEMARBLE, tmp_path / "two.png", count=2)) == 2
    for i in range(5):
        pairs.images.path(i).write_bytes(b"broken")
    assert pair_sample_sheet(pairs, BLUEMARBLE, tmp_path / "none.png") == ()
    assert not (tmp_path / "none.png").exists()
