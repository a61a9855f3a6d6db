"""Automatic masks: the algorithm of segment-anything's ``SamAutomaticMaskGenerator``, arranged to be fast and small.

Kirillov et al. 2023, section 5 and appendix B. What differs from the reference, and changes no mask but by rounding:

- few prompts at a time on a processor (their activations fit its cache), several batches side by side on its cores;
- the predicted IoU needs only the decoder's tokens, so candidates it rejects never get a mask;
- a mask is brought to full size alone, only where it is, and kept as runs: never all candidates at full size.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from headstart.configs.masks import MaskConfig
from headstart.errors import ConfigError, DataError
from headstart.sam.full_size import Axis, FullSize, axis_of, exact_masks, fast_mask, low_resolution_stability
from headstart.sam.model import Embeddings, Sam
from headstart.sam.prompts import crop_boxes, cut_off, point_grid, points_per_side
from headstart.sam.record import XYXY, Mask, mask_of
from headstart.sam.regions import cleaned

CPU_PROMPTS, GPU_PROMPTS = 2, 128
"""Prompts that are decoded together, by device; benchmarks/sam measures what a prompt takes on a processor."""


@dataclass(frozen=True)
class _Crop:
    """A crop of an image, encoded, with how its masks are brought to its size."""

    box: XYXY
    image_size: tuple[int, int]
    embeddings: Embeddings
    rows: Axis
    cols: Axis


class MaskGenerator:
    """Masks of everything in an image.

    Args:
        sam: from ``load_sam``.
        config: thresholds, grid and crops.

    Raises:
        ConfigError: ``exact`` asked of a network in bf16.
    """

    def __init__(self, sam: Sam, config: MaskConfig | None = None) -> None:
        self.sam, self.config = sam, config or MaskConfig()
        if self.config.exact and sam.precision != "fp32":
            raise ConfigError("--exact computes in fp32: load the model with --precision fp32")
        on_cpu = sam.device.type == "cpu"
        self.prompts = self.config.points_per_batch or (CPU_PROMPTS if on_cpu else GPU_PROMPTS)
        self.workers = torch.get_num_threads() if on_cpu else 1

    def generate(self, image: np.ndarray) -> list[Mask]:
        """The masks of an image (H, W, 3), uint8 RGB, as ``SamAutomaticMaskGenerator.generate`` orders them.

        Memory beyond the network's: what one crop's encoding takes, the activations of a few prompts, one mask at full
        size for each core, and the runs of the masks found. Masks without a pixel are left out.

        Raises:
            DataError: another shape or type.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise DataError(f"masks are made of uint8 images (H, W, 3); this is {image.dtype} {image.shape}")
        config, size = self.config, (image.shape[0], image.shape[1])
        crops = crop_boxes(size, config.crop_n_layers, config.crop_overlap_ratio)
        masks = [mask for box, layer in crops for mask in self._of_crop(image, box, layer)]
        if len(crops) > 1:
            smaller_first = [1 / ((m.crop[2] - m.crop[0]) * (m.crop[3] - m.crop[1])) for m in masks]
            masks = without_duplicates(masks, smaller_first, config.crop_nms_thresh)
        if config.min_mask_region_area:
            tidy = [cleaned(mask, config.min_mask_region_area) for mask in masks]
            scores = [float(not changed) for _, changed in tidy]  # of duplicates, one that was tidy is kept
            nms_thresh = max(config.box_nms_thresh, config.crop_nms_thresh)
            masks = without_duplicates([mask for mask, _ in tidy], scores, nms_thresh)
        return masks

    def _of_crop(self, image: np.ndarray, box: XYXY, layer: int) -> list[Mask]:
        """The masks of one crop, duplicates removed, in pixels of the image."""
        config = self.config
        x0, y0, x1, y1 = box
        crop = self._encode(image, box)
        per_side = points_per_side(config.points_per_side, layer, config.crop_n_points_downscale_factor)
        points = torch.from_numpy(point_grid(per_side) * [x1 - x0, y1 - y0])
        masks = list(self._answers(crop, list(points.split(self.prompts))))
        return without_duplicates(masks, [mask.predicted_iou for mask in masks], config.box_nms_thresh)

    def _encode(self, image: np.ndarray, box: XYXY) -> _Crop:
        x0, y0, x1, y1 = box
        embeddings = self.sam.encode(image[y0:y1, x0:x1])
        family, (rows, cols) = self.sam.family, embeddings.grid
        (height, width), (in_height, in_width) = embeddings.size, embeddings.input_size
        return _Crop(
            box,
            (image.shape[0], image.shape[1]),
            embeddings,
            axis_of(lambda low: family.resize_axis(low, height, in_height), 4 * rows, self.sam.device),
            axis_of(lambda low: family.resize_axis(low, width, in_width), 4 * cols, self.sam.device),
        )

    def _answers(self, crop: _Crop, batches: list[Tensor]) -> Iterator[Mask]:
        """The masks of all prompts in order; on a processor, as many batches at a time as PyTorch has threads."""
        threads = torch.get_num_threads()
        if self.workers == 1 or len(batches) == 1:
            for batch in batches:
                yield from self._of_batch(crop, batch)
            return
        try:
            with ThreadPoolExecutor(self.workers, "sam", initializer=torch.set_num_threads, initargs=(1,)) as pool:
                for masks in pool.map(lambda batch: self._of_batch(crop, batch), batches):
                    yield from masks
        finally:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def _of_batch(self, crop: _Crop, points: Tensor) -> list[Mask]:
        """The masks of a few prompts (x, y) in pixels of the crop that pass the thresholds."""
        config, (x0, y0, _, _) = self.config, crop.box
        decoded = self.sam.decode(crop.embeddings, points, config.exact)
        scores = decoded.predicted_iou
        passing = scores > config.pred_iou_thresh if config.pred_iou_thresh > 0 else torch.ones_like(scores).bool()
        prompts, channels = passing.nonzero(as_tuple=True)
        if not len(prompts):
            return []
        low = self.sam.upscale(crop.embeddings, decoded, prompts, channels)
        masks = []
        for found, prompt, iou in zip(
            self._full_size(crop, low), prompts.tolist(), scores[prompts, channels].tolist(), strict=True
        ):
            if found is None or found.stability < config.stability_score_thresh:
                continue
            point = (points[prompt, 0].item() + x0, points[prompt, 1].item() + y0)
            mask = mask_of(
                found.pixels,
                crop.image_size,
                (found.offset[0] + x0, found.offset[1] + y0),
                predicted_iou=iou,
                stability=found.stability,
                point=point,
                crop=crop.box,
            )
            if not cut_off(mask.bbox, crop.box, crop.image_size):
                masks.append(mask)
        return masks

    def _full_size(self, crop: _Crop, low: Tensor) -> Iterator[FullSize | None]:
        """Each of the masks (m, h, w) at the crop's size; None where it is empty or unstable at low resolution."""
        config, threshold = self.config, self.sam.mask_threshold
        size, offset = crop.embeddings.size, config.stability_score_offset
        if config.exact:
            resize = self.sam.family.resize
            yield from exact_masks(low, lambda part: resize(part, size), size[0] * size[1], threshold, offset)
            return
        seen = _seen(crop, low)
        stability = low_resolution_stability(seen, threshold, offset) if config.low_resolution_stability else None
        for number, logits in enumerate(low):
            if stability is None:
                yield fast_mask(logits, crop.rows, crop.cols, threshold, offset)
            elif stability[number] < config.stability_score_thresh:
                yield None
            else:
                found = fast_mask(logits, crop.rows, crop.cols, threshold, 0.0)
                yield FullSize(found.pixels, found.offset, stability[number].item()) if found else None


def _seen(crop: _Crop, low: Tensor) -> Tensor:
    """Low-resolution logits without those that lie in the padding."""
    height, width = (int((axis.reach[:, 1] > 0).sum()) for axis in (crop.rows, crop.cols))
    return low[:, :height, :width]


def without_duplicates(masks: list[Mask], scores: list[float], iou_threshold: float) -> list[Mask]:
    """Greedy non-maximum suppression by the IoU of boxes: the best masks, best first.

    Boxes are counted as the reference counts them, from the first pixel's index to the last's.
    """
    if not masks:
        return []
    boxes = torch.tensor([(x0, y0, x1 - 1, y1 - 1) for x0, y0, x1, y1 in (mask.bbox for mask in masks)])
    kept: Tensor = nms(boxes.float(), torch.tensor(scores), iou_threshold)
    return [masks[i] for i in kept.tolist()]
