"""Small rasters, and a network whose answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import Affine
from torch import Tensor, nn

from headstart.configs.inference import TilingConfig
from headstart.data.palettes import Palette
from headstart.inference.raster_output import Labels
from headstart.inference.tiles import Predictor

PALETTE = Palette(
    name="channels",
    classes=("red", "green", "blue", "unknown"),
    colours=((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)),
    ignore_index=3,
    values=(1, 2, 5, 9),
)
LABELS = Labels(PALETTE, 3)
UTM = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}


class Brightest(nn.Module):
    """The class is the brightest channel; its probability grows with the distance from the others."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles = 0

    def forward(self, images: Tensor) -> Tensor:
        self.tiles += len(images)
        return images * 8


def brightest(**tiling: Any) -> Predictor:
    """A predictor with tiles of 64 pixels."""
    return Predictor(Brightest(), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), TilingConfig(**tiling), 64)


def patches(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth patches of colour: uint8 (3, H, W), nowhere 0."""
    coarse = torch.rand(1, 3, max(2, height // 16), max(2, width // 16), generator=torch.Generator().manual_seed(seed))
    fine = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (fine[0] * 254 + 1).to(torch.uint8).numpy()


def write_raster(path: Path, pixels: np.ndarray, **profile: Any) -> Path:
    """A GeoTIFF of ``pixels`` (bands, H, W); in UTM with pixels of 10 m unless ``profile`` says otherwise."""
    settings = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
        **UTM,
        **profile,
    }
    with rasterio.open(path, "w", **settings) as raster:
        raster.write(pixels)
    return path


def values_of(pixels: np.ndarray) -> np.ndarray:
    """The class raster that ``brightest`` must come to, uint8 (H, W)."""
    return PALETTE.to_values(pixels.argmax(0)).astype(np.uint8)
