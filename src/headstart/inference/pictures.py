"""Prediction of images that fit in memory: PNG, JPEG and the like."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from headstart.files import written_beside
from headstart.inference.geo import open_raster
from headstart.inference.raster_output import Labels, packed
from headstart.inference.tiles import Pixels, Predictor, Strip, batches_of_equal, predict_strips, predict_whole


def predict_pictures(
    predictor: Predictor,
    labels: Labels,
    images: Iterable[Tensor],
    both: bool,
    seen: Callable[[int, Strip], None] = lambda i, strip: None,
) -> Iterator[np.ndarray]:
    """Layers uint8 (1 or 1 + C, H, W) of each image uint8 (3, H, W), in order (see ``raster_output.packed``).

    Neighbours of one size that fit in a tile share a batch; of larger images only strips of probabilities are in
    memory. ``seen`` is called with the index of an image and each strip of it.
    """
    i = 0

    def layers(strip: Strip) -> np.ndarray:
        seen(i, strip)
        return packed(strip, width, labels, both)

    for batch in batches_of_equal(predictor, images):
        height, width = batch[0].shape[1:]
        if predictor.fits(batch[0]):
            for probabilities in predict_whole(predictor, batch):
                yield layers(Strip(0, 0, height, probabilities, None))
                i += 1
        else:
            strips = predict_strips(predictor, _reader(batch[0]), predictor.grid(height, width))
            yield np.concatenate([layers(strip) for strip in strips], axis=1)
            i += 1


def _reader(image: Tensor) -> Callable[[int, int, int, int], Pixels]:
    return lambda top, bottom, left, right: (image[:, top:bottom, left:right], None)


def save_picture(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) uint8 as an RGB PNG, whole or not at all; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as beside:
        Image.fromarray(pixels).save(beside, format="PNG")


def save_percentages(labels: Labels, layers: np.ndarray, path: Path) -> None:
    """Write percentages (C, H, W) as a TIFF with a band for each class, whole or not at all."""
    beside = path.with_name(f"{path.stem}.part{path.suffix}")
    count, height, width = layers.shape
    shape = {"count": count, "height": height, "width": width, "dtype": "uint8"}
    with open_raster(beside, "w", driver="GTiff", compress="deflate", interleave="band", **shape) as raster:
        raster.descriptions = labels.names
        raster.write(layers)
    beside.replace(path)
