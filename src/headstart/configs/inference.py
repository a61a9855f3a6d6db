"""Settings of ``headstart predict``, ``headstart evaluate`` and ``headstart miou``."""

from typing import Literal

from pydantic import Field

from headstart.configs.base import Config, FilePath, OutputConfig
from headstart.configs.masks import SamConfig
from headstart.results import Protocol


class TilingConfig(Config):
    """How an image larger than a tile is predicted: in overlapping tiles, blended by a smooth window."""

    size: int | None = Field(default=None, ge=32)
    """Side of a tile in pixels; none: the size the model was trained on."""
    overlap: float = Field(default=0.25, ge=0, le=0.75)
    """Share of a tile's side that it has in common with the next."""
    flips: bool = False
    """Average over the four flips of each tile (four times the work)."""
    batch: int = Field(default=4, ge=1)
    """Tiles that go through the network together."""


class RefineConfig(Config):
    """How the masks of Segment Anything sharpen those of a segmentation model."""

    refine: Literal["none", "sam"] = "none"
    """sam: give each region that Segment Anything finds the one class which the model favours in it, where the model is
    sure of it; elsewhere its own answer stays."""
    refine_margin: float = Field(default=0.2, ge=0, le=1)
    """A region is sure where the largest mean probability of a class is above the second largest by at least this."""
    sam: SamConfig = SamConfig()

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        fields = type(self).model_fields
        if self.refine == "none" and self.sam != fields["sam"].default:
            problems.append("--sam.* are settings of --refine sam: give that too, or leave them away")
        if self.refine == "none" and self.refine_margin != fields["refine_margin"].default:
            problems.append("--refine-margin is a setting of --refine sam: give that too, or leave it away")
        return problems


class PredictConfig(RefineConfig, OutputConfig):
    """Masks (or classes) that a trained run predicts for images, GeoTIFFs of any size included."""

    run: FilePath
    """Directory of a finished segmentation or classification run."""
    inputs: tuple[str, ...] = Field(default=(), strict=False)
    """Image files, folders of them, or quoted globs."""
    probabilities: bool = False
    """Write a second raster with the probability of each class, in percent (uint8)."""
    polygons: Literal["none", "gpkg", "geojson"] = "none"
    """Write the regions as polygons with class and area: a GeoPackage or a GeoJSON file for each input."""
    simplify: float = Field(default=1.0, ge=0)
    """Tolerance of the polygons' simplification, in pixels; 0 keeps every corner."""
    min_pixels: int = Field(default=0, ge=0)
    """Leave out polygons of fewer pixels."""
    overwrite: bool = False
    """Predict again what is already in --out; without it, finished files are kept and the rest is done."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; auto takes bf16 where the processor has it natively."""
    tiles: TilingConfig = TilingConfig()


class EvaluateConfig(RefineConfig):
    """A finished run's model on other images, with the metrics of its task."""

    run: FilePath
    """Directory of a finished segmentation or classification run."""
    data: str
    """Source with labels, as for the training; its validation images are used where it has any, else all."""
    out: FilePath | None = None
    """Directory for result.json and the predicted masks; none: only printed."""
    palette: str | None = None
    """Palette of the masks; none: the run's."""
    protocol: Protocol | None = None
    """What the mean IoU counts; none: the run's."""
    nearest_colour: bool = False
    """Read a mask colour outside the palette as the nearest one in it, instead of refusing it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; auto takes bf16 where the processor has it natively."""
    tiles: TilingConfig = TilingConfig()
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""


class MiouConfig(Config):
    """Mean IoU of a folder of predicted masks against a folder of true ones, wherever they come from."""

    predicted: FilePath
    """Folder of predicted masks."""
    truth: FilePath
    """Folder of true masks; files are matched by name, the ending and _mask aside."""
    palette: str = "deepglobe"
    """Name of a palette (deepglobe, bluemarble) or a YAML file of one."""
    protocol: Protocol = "deepglobe6"
    """ignore leaves unknown pixels out; deepglobe6 counts them against the prediction; per-image averages images."""
    nearest_colour: bool = False
    """Read a mask colour outside the palette as the nearest one in it, instead of refusing it."""
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""
