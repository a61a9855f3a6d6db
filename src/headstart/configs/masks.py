"""Settings of ``headstart masks``, and of the generator of automatic masks wherever else it is used."""

from typing import Literal

from pydantic import Field

from headstart.configs.base import Config, FilePath, OutputConfig

TILE_PX = 1024
"""Side of a raster's tiles where none is asked for: what Segment Anything's encoders look at."""


class MaskConfig(Config):
    """The automatic mask generator: names and defaults of ``SamAutomaticMaskGenerator`` (segment-anything 1.0)."""

    points_per_side: int = Field(default=32, ge=1)
    """Points along one side of the grid of prompts; the number of prompts is its square."""
    points_per_batch: int | None = Field(default=None, ge=1)
    """Prompts that go through the decoder together; none: chosen for the device. It changes speed and memory only."""
    pred_iou_thresh: float = Field(default=0.88, ge=0, le=1)
    """Leave out masks whose own estimate of their IoU is not above this."""
    stability_score_thresh: float = Field(default=0.95, ge=0, le=1)
    """Leave out masks whose stability score is below this."""
    stability_score_offset: float = Field(default=1.0, ge=0)
    """How far the threshold of the logits is moved up and down for the stability score."""
    box_nms_thresh: float = Field(default=0.7, ge=0, le=1)
    """IoU of boxes above which the worse of two masks of one crop goes."""
    crop_n_layers: int = Field(default=0, ge=0)
    """Layers of crops in which the image is looked at again: layer i has 4**i crops."""
    crop_nms_thresh: float = Field(default=0.7, ge=0, le=1)
    """IoU of boxes above which the worse of two masks of different crops goes."""
    crop_overlap_ratio: float = Field(default=512 / 1500, ge=0, lt=1)
    """How far crops of the first layer reach into one another, as a share of the image's shorter side."""
    crop_n_points_downscale_factor: int = Field(default=1, ge=1)
    """Points along a side are divided by this, to the power of the layer, in crops."""
    min_mask_region_area: int = Field(default=0, ge=0)
    """Fill holes, and remove islands, of fewer pixels."""
    low_resolution_stability: bool = False
    """Judge stability on the decoder's own small masks: faster, and not quite the reference's choice of masks."""
    exact: bool = False
    """Reproduce the reference: fp32, and none of the shortcuts that change a mask."""

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        if self.exact and self.low_resolution_stability:
            problems.append("--exact reproduces the reference and --low-resolution-stability departs from it: give one")
        return problems


class MaskTilesConfig(Config):
    """How a large image is cut into tiles, and when masks of two tiles are taken for one."""

    size: int | None = Field(default=None, ge=64)
    """Side in pixels of the tiles of anything larger; none: 1024 for GeoTIFFs, while other images are looked at whole,
    as the reference does."""
    overlap: float = Field(default=0.25, gt=0, le=0.75)
    """Share of a tile's side that it has in common with the next."""
    merge_iou: float = Field(default=0.5, gt=0, le=1)
    """Masks of two tiles become one where their IoU within the tiles' overlap reaches this."""


class SamConfig(MaskConfig):
    """Segment Anything wherever it is used: which model, and how it looks at an image."""

    model: str = "vit_h"
    """Short name of a model (docs/reference/masks.md lists them); its weights are downloaded at the first use."""
    checkpoint: FilePath | None = None
    """Weights on this disk instead: a file as published (sam_vit_*.pth), or a directory as transformers saves it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of encoder and decoder; auto takes bf16 where the processor has it natively."""
    tiles: MaskTilesConfig = MaskTilesConfig()

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        if self.exact and self.precision == "bf16":
            problems.append("--exact computes in fp32: leave --precision bf16 away, or --exact")
        return problems

    def generator(self) -> MaskConfig:
        """The generator's settings alone."""
        return MaskConfig(**{name: getattr(self, name) for name in MaskConfig.model_fields})


class MasksConfig(SamConfig, OutputConfig):
    """Everything in images, as masks: Segment Anything's automatic masks, in files for people and for other tools."""

    inputs: tuple[str, ...] = Field(default=(), strict=False)
    """Image files, folders of them, or quoted globs; GeoTIFFs of any size."""
    classify: FilePath | None = None
    """Directory of a finished segmentation run: each mask gets the class that its model favours there."""
    id_format: Literal["png", "tif"] = "png"
    """Form of an image's id raster: an RGB PNG with id = R + 256 G + 65536 B, or a uint32 TIFF. A GeoTIFF's is always a
    uint32 GeoTIFF."""
    polygons: Literal["auto", "none", "gpkg", "geojson"] = "auto"
    """Write the masks as polygons along the pixels' edges; auto: a GeoPackage for each input that lies on Earth."""
    overlay_px: int = Field(default=2048, ge=64)
    """Longest side in pixels of the overlay picture of a larger image."""
    overwrite: bool = False
    """Make again what is already in --out; without it, finished files are kept and the rest is done."""
