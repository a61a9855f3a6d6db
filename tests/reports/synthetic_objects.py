"""The directory of a ``headstart masks`` on disk, with overlays made up by formula and names that mean harm."""

from pathlib import Path

import numpy as np
from PIL import Image
from tests.reports.synthetic import IMAGE, SCRIPT

from headstart.configs.masks import MaskConfig, MaskTilesConfig
from headstart.results import MaskedImage, MasksResult, WeightsReport

NAMES = ("0050_sat.jpg", f"north/0130{SCRIPT}.jpg", f"{IMAGE}.tif")


def masked(name: str, index: int, folder: Path, side: int = 300) -> MaskedImage:
    """An image with its overlay below ``folder``."""
    y, x = np.mgrid[:side, : side * 4 // 3]
    pixels = np.stack([x % 256, y % 256, (x * y // 60) % 256], axis=-1).astype(np.uint8)
    overlay = f"{index}_overlay.png"
    Image.fromarray(pixels).save(folder / overlay)
    return MaskedImage(
        source=f"/data/{name}",
        name=name,
        width=20_000 * index + 400,
        height=300,
        tiles=12 if index else 1,
        n_masks=57 * index,
        coverage=0.25 * index,
        areas=(12, 340, 120_000) if index else None,
        masks=f"{index}_masks.json",
        ids=f"{index}_ids.png",
        overlay=overlay,
        polygons=None,
    )


def write_objects(folder: Path, names: tuple[str, ...] = NAMES, **changed: object) -> Path:
    """A finished run; ``changed`` are settings of the generator."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [masked(name, index, folder) for index, name in enumerate(names)]
    result = MasksResult(
        out=str(folder),
        model="vit_b",
        checkpoint=None,
        precision="bf16",
        generator={**MaskConfig().model_dump(mode="json"), **changed},
        tiles=MaskTilesConfig().model_dump(mode="json"),
        weights=WeightsReport(source="vit_b", matched=314, missing=[], unexpected=[], reshaped=[], share=1.0),
        images=images,
        coco="coco.json",
        n_masks=sum(image.n_masks for image in images),
        coverage=0.4321,
        failed=["/data/broken.png"],
        pixels=1_000_000,
        seconds=75.2,
    )
    result.save(folder / "result.json")
    return folder
