"""What the generator does whatever the weights: bounds of memory, batches, windows, small regions, bad input."""

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.sam.tiny_sam import reference_sam, saved, scene, tiny_hq, tiny_sam2

from headstart.configs.masks import MaskConfig
from headstart.errors import DataError
from headstart.sam import full_size, generate
from headstart.sam.full_size import axis_of, exact_masks, fast_mask
from headstart.sam.generate import MaskGenerator, without_duplicates
from headstart.sam.load import load_sam
from headstart.sam.model import Sam
from headstart.sam.record import Mask, coco_rle, dense, mask_of
from headstart.sam.regions import cleaned

EVERYTHING = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Sam:
    return load_sam(saved(reference_sam(), tmp_path_factory.mktemp("sam") / "sam.pth"), "cpu", "fp32")[0]


def test_batches_and_cores_change_nothing(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    image = scene(120, 90)
    config = MaskConfig(points_per_side=3, pred_iou_thresh=0.5, stability_score_thresh=0.7, box_nms_thresh=1.0)
    expected = MaskGenerator(sam, config.model_copy(update={"points_per_batch": 9})).generate(image)
    assert expected
    seen = set()
    before = torch.get_num_threads()
    for batch, workers in ((1, 1), (2, 3), (4, 2)):
        generator = MaskGenerator(sam, config.model_copy(update={"points_per_batch": batch}))
        generator.workers = workers
        decode = sam.decode
        monkeypatch.setattr(sam, "decode", lambda *a, d=decode: seen.add(threading.get_ident()) or d(*a))
        found = generator.generate(image)
        monkeypatch.undo()
        assert [mask.point for mask in found] == [mask.point for mask in expected]
        assert [mask.area for mask in found] == pytest.approx([mask.area for mask in expected], rel=1e-3)
    assert len(seen) > 2
    assert torch.get_num_threads() == before


def test_rejected_candidates_never_get_a_mask(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    image = scene(100, 100)
    every = MaskGenerator(sam, MaskConfig(points_per_side=3, **EVERYTHING)).generate(image)
    middle = float(np.median([mask.predicted_iou for mask in every]))
    upscaled, upscale = [], sam.upscale
    monkeypatch.setattr(sam, "upscale", lambda *a: upscaled.append(len(a[2])) or upscale(*a))
    found = MaskGenerator(sam, MaskConfig(points_per_side=3, **{**EVERYTHING, "pred_iou_thresh": middle})).generate(
        image
    )
    assert sum(upscaled) == len(found) < len(every)


@pytest.mark.parametrize("size", [(50, 70), (256, 256), (700, 450)])
def test_a_window_holds_all_of_a_mask(size: tuple[int, int]) -> None:
    """Blobs anywhere, the padding included: the same pixels and stability as with whole masks."""
    side, input_size = 256, tuple(round(256 * n / max(size)) for n in size)
    rng = np.random.default_rng(0)

    def along(length: int, seen: int, low: torch.Tensor) -> torch.Tensor:
        square = torch.nn.functional.interpolate(low, side, mode="linear")
        return torch.nn.functional.interpolate(square[..., :seen], length, mode="linear")

    def whole(low: torch.Tensor) -> torch.Tensor:
        square = torch.nn.functional.interpolate(low[:, None], (side, side), mode="bilinear")
        return torch.nn.functional.interpolate(square[..., : input_size[0], : input_size[1]], size, mode="bilinear")[
            :, 0
        ]

    rows, cols = (axis_of(lambda low, n=n: along(size[n], input_size[n], low), 64, torch.device("cpu")) for n in (0, 1))
    n_windows = 0
    for _ in range(40):
        noise = rng.normal(size=(64, 64))
        low = torch.from_numpy(ndimage.gaussian_filter(noise, rng.uniform(0.5, 6))).float()
        low = low / low.std() * 3 - rng.uniform(0, 9)
        expected = next(exact_masks(low[None], whole, size[0] * size[1], 0.0, 1.0))
        found = fast_mask(low, rows, cols, 0.0, 1.0)
        if expected is None or found is None:
            assert expected is found
            continue
        pixels = np.zeros(size, dtype=bool)
        x, y = found.offset
        pixels[y : y + found.pixels.shape[0], x : x + found.pixels.shape[1]] = found.pixels
        assert (pixels != expected.pixels).sum() <= 1e-3 * expected.pixels.sum() + 1
        assert found.stability == pytest.approx(expected.stability, abs=0.01)
        n_windows += found.pixels.size < pixels.size / 2
    assert n_windows > 3


def test_memory_is_that_of_a_few_masks(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2.2 million pixels and 27 candidates, never more than a few at full size (in bytes of NumPy's arrays)."""
    image = scene(1100, 2000)
    generator = MaskGenerator(sam, MaskConfig(points_per_side=3, **EVERYTHING))
    generator.workers = 1
    tracemalloc.start()
    masks = generator.generate(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(masks) == 27
    assert peak < 8 * 1100 * 2000
    largest, bmm = [], full_size.torch.count_nonzero
    monkeypatch.setattr(full_size.torch, "count_nonzero", lambda values: largest.append(values.numel()) or bmm(values))
    generator.generate(image)
    assert max(largest) <= full_size.STRIP_VALUES


def test_stability_at_low_resolution_decides_where_it_is_asked_for(sam: Sam) -> None:
    """The masks are the same, their stability is that of the logits of 64 x 64."""
    image = scene(200, 300)
    config = MaskConfig(points_per_side=3, **EVERYTHING)
    real = {(m.point, round(m.predicted_iou, 6)): m for m in MaskGenerator(sam, config).generate(image)}
    quick_config = config.model_copy(update={"low_resolution_stability": True})
    quick = MaskGenerator(sam, quick_config).generate(image)
    assert len(quick) == len(real)
    assert all(mask.area == real[mask.point, round(mask.predicted_iou, 6)].area for mask in quick)
    assert any(mask.stability != real[mask.point, round(mask.predicted_iou, 6)].stability for mask in quick)
    middle = float(np.median([mask.stability for mask in quick]))
    half = MaskGenerator(sam, quick_config.model_copy(update={"stability_score_thresh": middle})).generate(image)
    assert {mask.point for mask in half} == {mask.point for mask in quick if mask.stability >= middle}


def test_low_resolution_stability_is_near_that_of_smooth_masks() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    low = torch.stack([radius - torch.hypot(x - 30, y - 33) for radius in (4.0, 10.0, 20.0)])
    found = full_size.low_resolution_stability(low, 0.0, 1.0)
    expected = torch.tensor([((radius - 1) / (radius + 1)) ** 2 for radius in (4.0, 10.0, 20.0)])
    torch.testing.assert_close(found, expected, rtol=0, atol=0.06)


def made(pixels: np.ndarray, predicted_iou: float = 0.9) -> Mask:
    size = pixels.shape[0], pixels.shape[1]
    return mask_of(
        pixels, size, predicted_iou=predicted_iou, stability=0.9, point=(0, 0), crop=(0, 0, size[1], size[0])
    )


def test_small_regions_as_the_reference_cleans_them() -> None:
    """Holes first, then islands, in the whole image, with 8 neighbours (segment-anything's own needs OpenCV)."""
    rng = np.random.default_rng(0)
    n_changed = 0
    for seed in range(60):
        pixels = ndimage.gaussian_filter(rng.normal(size=(40, 50)), rng.uniform(0.6, 2.5)) > rng.uniform(-0.1, 0.2)
        if seed % 3 == 0:
            pixels[:, : seed // 2] = False
        if not pixels.any():
            continue
        expected, changed = pixels.copy(), False
        for mode in ("holes", "islands"):
            labels, n = ndimage.label(expected ^ (mode == "holes"), structure=np.ones((3, 3)))
            sizes = [int((labels == label).sum()) for label in range(1, n + 1)]
            small = [label for label in range(1, n + 1) if sizes[label - 1] < 15]
            if not small:
                continue
            changed = True
            kept = [0, *small] if mode == "holes" else [label for label in range(1, n + 1) if label not in small]
            expected = np.isin(labels, kept or [int(np.argmax(sizes)) + 1])
        found, found_changed = cleaned(made(pixels), 15)
        np.testing.assert_array_equal(dense(found), expected)
        assert found_changed == changed
        assert found.area == expected.sum()
        n_changed += changed
    assert n_changed > 20


def test_clean_up_prefers_masks_that_needed_none(sam: Sam) -> None:
    config = MaskConfig(points_per_side=3, min_mask_region_area=50, **{**EVERYTHING, "crop_nms_thresh": 1.0})
    masks = MaskGenerator(sam, config).generate(scene(150, 150))
    assert masks
    for mask in masks:
        labels, n = ndimage.label(dense(mask), structure=np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())[1:]
        assert n == 1 or sizes.min() >= 50


def test_the_best_of_duplicates_comes_first() -> None:
    square, shifted, other = (np.zeros((40, 40), dtype=bool) for _ in range(3))
    square[5:20, 5:20], shifted[6:20, 5:20], other[25:35, 25:35] = True, True, True
    masks = [made(square, 0.6), made(shifted, 0.9), made(other, 0.7)]
    kept = without_duplicates(masks, [0.6, 0.9, 0.7], 0.7)
    assert kept == [masks[1], masks[2]]
    assert without_duplicates(masks, [0.6, 0.9, 0.7], 1.0) == [masks[1], masks[2], masks[0]]
    assert without_duplicates([], [], 0.7) == []


def test_masks_of_crops_lie_in_the_image(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "cut_off", lambda *_: False)  # random masks fill their crop
    config = MaskConfig(points_per_side=4, crop_n_layers=1, crop_n_points_downscale_factor=2, **EVERYTHING)
    image = scene(160, 220)
    masks = MaskGenerator(sam, config).generate(image)
    assert len({mask.crop for mask in masks}) == 5
    for mask in masks:
        x0, y0, x1, y1 = mask.crop
        assert x0 <= mask.bbox[0] < mask.bbox[2] <= x1
        assert y0 <= mask.bbox[1] < mask.bbox[3] <= y1
        assert x0 < mask.point[0] < x1
        assert y0 < mask.point[1] < y1
        assert coco_rle(mask)["size"] == [160, 220]


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_what_is_no_image_is_refused(sam: Sam, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"uint8 images \(H, W, 3\)"):
        MaskGenerator(sam).generate(np.zeros(shape, dtype=np.uint8))
    with pytest.raises(DataError, match="float64"):
        MaskGenerator(sam).generate(np.zeros((10, 10, 3)))


@pytest.mark.parametrize("size", [(3, 2000), (2000, 1), (1, 1)])
def test_very_long_images_have_masks_too(sam: Sam, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    masks = MaskGenerator(sam, MaskConfig(points_per_side=2, **EVERYTHING)).generate(image)
    assert all(mask.image_size == size for mask in masks)


def test_prompts_by_device(sam: Sam, tmp_path: Path) -> None:
    assert MaskGenerator(sam).prompts == generate.CPU_PROMPTS
    assert MaskGenerator(sam, MaskConfig(points_per_batch=7)).prompts == 7


@pytest.mark.parametrize("family", ["sam2", "sam_hq"])
def test_other_families_make_masks_in_bf16_as_in_fp32(family: str) -> None:
    image = scene(120, 90)
    config = MaskConfig(points_per_side=2, **EVERYTHING)
    sizes = []
    for precision in ("fp32", "bf16"):
        network = tiny_sam2() if family == "sam2" else tiny_hq()
        masks = MaskGenerator(Sam(network, family, torch.device("cpu"), precision), config).generate(image)
        assert masks
        assert all(mask.image_size == (120, 90) for mask in masks)
        sizes.append(sum(mask.area for mask in masks) / (120 * 90))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)
