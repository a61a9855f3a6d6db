"""Ours against segment-anything 1.0 and against transformers, with the same seeded random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.utils.amg import (
    build_all_layer_point_grids,
    generate_crop_boxes,
    is_box_near_crop_edge,
)
from tests.sam.tiny_sam import SIDE, reference_sam, saved, scene, tiny_hq, tiny_sam2

from headstart.configs.masks import MaskConfig
from headstart.errors import ConfigError
from headstart.sam import generate
from headstart.sam.generate import MaskGenerator
from headstart.sam.load import load_sam
from headstart.sam.model import Sam
from headstart.sam.prompts import crop_boxes, cut_off, point_grid, points_per_side
from headstart.sam.record import Mask, coco_rle

GRID = 5


@pytest.fixture(scope="module")
def reference() -> Any:
    return reference_sam()


@pytest.fixture(scope="module")
def checkpoint(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(reference, tmp_path_factory.mktemp("sam") / "sam_vit_tiny.pth")


@pytest.fixture(scope="module")
def ours(checkpoint: Path) -> Sam:
    return load_sam(checkpoint, device="cpu", precision="fp32")[0]


def theirs(reference: Any, image: np.ndarray, **parameters: Any) -> list[dict[str, Any]]:
    settings = {"points_per_side": GRID, **parameters}
    generator = SamAutomaticMaskGenerator(reference, output_mode="coco_rle", **settings)
    return generator.generate(image)


def thresholds(candidates: list[dict[str, Any]], share: float) -> tuple[float, float]:
    """Predicted IoU and stability that about ``share`` of the candidates pass, each in the widest gap nearby."""
    ious = np.array([c["predicted_iou"] for c in candidates])
    iou = in_a_gap(ious, 1 - share**0.5)
    return iou, in_a_gap(np.array([c["stability_score"] for c in candidates])[ious > iou], 1 - share**0.5)


def in_a_gap(values: np.ndarray, quantile: float) -> float:
    ordered = np.sort(values)
    first, last = int((quantile - 0.08) * len(ordered)), int((quantile + 0.08) * len(ordered)) + 1
    widest = first + int(np.argmax(np.diff(ordered[first : last + 1])))
    return float(ordered[widest : widest + 2].mean())


def overlaps(masks: list[Mask], others: list[dict[str, Any]]) -> np.ndarray:
    return np.asarray(
        coco_mask.iou([coco_rle(m) for m in masks], [o["segmentation"] for o in others], [0] * len(others))
    )


@pytest.mark.parametrize("size", [(SIDE, SIDE), (150, 210), (500, 400)])
def test_embeddings_are_those_of_segment_anything(reference: Any, ours: Sam, size: tuple[int, int]) -> None:
    image = scene(*size)
    predictor = SamPredictor(reference)
    predictor.set_image(image)
    expected = predictor.get_image_embedding()
    with torch.inference_mode():
        found, _ = ours.family.features(ours.family.preprocess(image, ours.device))
    assert ((found - expected).norm() / expected.norm()).item() < 1e-5


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("size", "nms"), [((SIDE, SIDE), 1.0), ((150, 210), 1.0), ((300, 200), 0.7)])
def test_the_same_set_of_masks(reference: Any, ours: Sam, size: tuple[int, int], nms: float, exact: bool) -> None:
    image = scene(*size)
    every = theirs(reference, image, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0)
    iou, stability = thresholds(every, 0.1)
    shared = {"pred_iou_thresh": iou, "stability_score_thresh": stability, "box_nms_thresh": nms}
    expected = theirs(reference, image, **shared)
    found = MaskGenerator(ours, MaskConfig(points_per_side=GRID, exact=exact, **shared)).generate(image)
    assert len(found) == len(expected)
    assert len(expected) >= (5 if nms == 1.0 else 1)
    assert len(expected) < len(every) / 5
    matrix = overlaps(found, expected)
    assert matrix.max(axis=1).min() >= 0.999
    assert matrix.max(axis=0).min() >= 0.999
    for mask, other in zip(found, (expected[i] for i in matrix.argmax(axis=1)), strict=True):
        assert mask.predicted_iou == pytest.approx(other["predicted_iou"], abs=1e-5)
        assert mask.stability == pytest.approx(other["stability_score"], abs=2e-3)
        assert mask.area == pytest.approx(other["area"], rel=1e-3)
        assert list(mask.point) == pytest.approx(other["point_coords"][0])
        x, y, w, h = other["bbox"]  # whose width and height are one less than the pixels
        assert mask.bbox == pytest.approx((x, y, x + w + 1, y + h + 1), abs=1)


def test_crops_give_the_same_masks(reference: Any, ours: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random masks fill their crop, so those that a crop cuts off are kept here on both sides."""
    monkeypatch.setattr(generate, "cut_off", lambda *_: False)
    near = "segment_anything.automatic_mask_generator.is_box_near_crop_edge"
    monkeypatch.setattr(near, lambda boxes, *_: torch.zeros(len(boxes), dtype=torch.bool))
    image = scene(160, 120, seed=3)
    shared = {"points_per_side": 3, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    shared |= {"crop_nms_thresh": 1.0, "crop_n_layers": 1}
    every = theirs(reference, image, pred_iou_thresh=0.0, **shared)
    iou = in_a_gap(np.array([c["predicted_iou"] for c in every]), 0.7)
    expected = theirs(reference, image, pred_iou_thresh=iou, **shared)
    found = MaskGenerator(ours, MaskConfig(pred_iou_thresh=iou, **shared)).generate(image)
    assert len(found) == len(expected)
    assert overlaps(found, expected).max(axis=1).min() >= 0.999
    crops = {(x, y, x + w, y + h) for x, y, w, h in (mask["crop_box"] for mask in expected)}
    assert {mask.crop for mask in found} == crops
    assert len(crops) > 1


@pytest.mark.parametrize(("per_side", "layers", "scale"), [(32, 0, 1), (32, 2, 2), (7, 1, 3)])
def test_grids_of_points(per_side: int, layers: int, scale: int) -> None:
    for layer, expected in enumerate(build_all_layer_point_grids(per_side, layers, scale)):
        np.testing.assert_allclose(point_grid(points_per_side(per_side, layer, scale)), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [(512, 512), (300, 1000), (97, 64)])
def test_crops_lie_where_the_reference_puts_them(size: tuple[int, int]) -> None:
    boxes, layers = generate_crop_boxes(size, 2, 512 / 1500)
    assert crop_boxes(size, 2, 512 / 1500) == [(tuple(box), layer) for box, layer in zip(boxes, layers, strict=True)]


def test_boxes_that_a_crop_cuts_off() -> None:
    rng = np.random.default_rng(0)
    size, found = (400, 600), set()
    for crop in ((0, 0, 600, 400), (0, 0, 350, 240), (250, 160, 600, 400), (100, 100, 300, 300)):
        for _ in range(200):
            x0, y0 = rng.integers(0, crop[2] - crop[0] - 1), rng.integers(0, crop[3] - crop[1] - 1)
            x1, y1 = rng.integers(x0, crop[2] - crop[0]), rng.integers(y0, crop[3] - crop[1])
            expected = is_box_near_crop_edge(torch.tensor([[x0, y0, x1, y1]]), list(crop), [0, 0, 600, 400])
            whole = (int(x0 + crop[0]), int(y0 + crop[1]), int(x1 + crop[0]) + 1, int(y1 + crop[1]) + 1)
            assert cut_off(whole, crop, size) == expected.item()
            found.add(expected.item())
    assert found == {True, False}


def test_bf16_masks_are_those_of_fp32(checkpoint: Path, ours: Sam) -> None:
    """The bar below which bf16 would not be the default: mean IoU 0.97 of masks of the same prompt."""
    image = scene(200, 260)
    config = MaskConfig(points_per_side=4, pred_iou_thresh=0, stability_score_thresh=0, box_nms_thresh=1.0)
    expected = MaskGenerator(ours, config).generate(image)
    found = MaskGenerator(load_sam(checkpoint, "cpu", "bf16")[0], config).generate(image)
    assert len(found) == len(expected) == 3 * 16
    best = [
        max(coco_mask.iou([coco_rle(m)], [coco_rle(o)], [0]).item() for o in found if o.point == m.point)
        for m in expected
    ]
    assert np.mean(best) >= 0.97
    assert min(best) < 1  # it was bf16
    with pytest.raises(ConfigError, match="--precision fp32"):
        MaskGenerator(load_sam(checkpoint, "cpu", "bf16")[0], MaskConfig(exact=True))


def prompted(sam: Sam, image: np.ndarray, exact: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points in the network's frame, predicted IoUs and low-resolution logits (3, 3, h, w) of three points."""
    points = torch.tensor([[10.0, 20.0], [70.0, 30.0], [100.0, 90.0]])
    state = sam.encode(image)
    decoded = sam.decode(state, points, exact)
    low = sam.upscale(state, decoded, torch.arange(3).repeat_interleave(3), torch.arange(3).repeat(3))
    scale = torch.tensor([state.input_size[1] / image.shape[1], state.input_size[0] / image.shape[0]])
    return (points * scale)[None, :, None], decoded.predicted_iou, low.unflatten(0, (3, 3))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("family", ["sam", "sam2"])
def test_answers_are_those_of_transformers(ours: Sam, family: str, exact: bool) -> None:
    sam = ours if family == "sam" else Sam(tiny_sam2(), "tiny", torch.device("cpu"), "fp32")
    image = scene(100, 140)
    points, ious, low = prompted(sam, image, exact)
    with torch.inference_mode():
        pixels = sam.family.preprocess(image, sam.device)
        expected = sam.network(pixel_values=pixels, input_points=points, multimask_output=True)
    torch.testing.assert_close(ious, expected.iou_scores[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        low, expected.pred_masks[0], rtol=1e-3, atol=2e-3 * expected.pred_masks.abs().max().item()
    )


def test_hq_masks_are_the_sum_that_its_paper_describes() -> None:
    """Literally, with whole maps. (``transformers`` 5.23 upscales the image embedding, not the decoder's pixels.)"""
    network = tiny_hq()
    sam = Sam(network, "hq", torch.device("cpu"), "fp32")
    image = scene(100, 140)
    points, ious, low = prompted(sam, image, exact=False)
    decoder, act = network.mask_decoder, torch.nn.functional.gelu
    with torch.inference_mode():
        pixels = sam.family.preprocess(image, sam.device)
        answers = network(pixel_values=pixels, input_points=points, multimask_output=True)
        torch.testing.assert_close(ious.sort(descending=True)[0], answers.iou_scores[0], rtol=1e-3, atol=1e-4)
        embedding, early = network.get_image_embeddings(pixels)
        maps = decoder.encoder_conv2(act(decoder.encoder_norm(decoder.encoder_conv1(embedding))))
        early = act(decoder.compress_vit_norm(decoder.compress_vit_conv1(early[0].permute(0, 3, 1, 2))))
        maps = maps + decoder.compress_vit_conv2(early)
        sparse, dense = network.prompt_encoder(points, torch.ones(1, 3, 1, dtype=torch.int), None, None)
        tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hq_token.weight])
        position = network.get_image_wide_positional_embeddings()
        tokens, keys = decoder.transformer(
            torch.cat([tokens.expand(1, 3, -1, -1), sparse], dim=2),
            (embedding + dense).repeat_interleave(3, 0),
            position.repeat_interleave(3, 0),
            None,
        )
        up = decoder.upscale_conv1(keys[:, 0].transpose(1, 2).unflatten(2, embedding.shape[2:]))
        up = act(decoder.upscale_conv2(act(decoder.upscale_layer_norm(up))))
        fine = decoder.mask_conv2(act(decoder.mask_norm(decoder.mask_conv1(up)))) + maps
        further = torch.einsum("nc,nchw->nhw", decoder.hq_mask_mlp(tokens[0, :, 5]), fine)
        for channel in range(3):
            weights = decoder.output_hypernetworks_mlps[channel + 1](tokens[0, :, 2 + channel])
            expected = torch.einsum("nc,nchw->nhw", weights, up) + further
            torch.testing.assert_close(low[:, channel], expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
