"""Results of ``headstart masks``: what was cut out of each image, and by which method."""

from typing import Any, Literal

from pydantic import Field

from headstart.results.base import SCHEMA_VERSION, Record
from headstart.results.runs import WeightsReport


class MaskedImage(Record):
    """The masks of one image; its files are relative to the run.

    ``coverage`` is the share, in [0, 1], of all pixels of the image that lie in some mask. ``areas`` are the smallest,
    the median and the largest mask in pixels, None where there is no mask. ``tiles`` is 1 where the image was looked at
    whole. ``classes`` are the masks of each class, None where they were not classified.
    """

    source: str
    name: str
    width: int
    height: int
    tiles: int
    n_masks: int
    coverage: float
    areas: tuple[int, int, int] | None
    masks: str
    ids: str
    overlay: str
    polygons: str | None
    classes: dict[str, int] | None = None


class MasksResult(Record):
    """Result of ``headstart masks``: the images in the order of the inputs.

    ``model`` is a short name, or the name of the ``checkpoint``. ``generator`` and ``tiles`` are the settings of the
    method. ``weights`` says how they were loaded when a model was last needed. ``coverage`` is the share of all pixels
    of all images that lie in some mask. ``pixels`` and ``seconds`` are of this call. ``classified_by`` is the
    segmentation run that gave the masks their classes.
    """

    schema_version: int = SCHEMA_VERSION
    task: Literal["masks"] = "masks"
    out: str
    model: str
    checkpoint: str | None
    precision: str
    generator: dict[str, Any]
    tiles: dict[str, Any]
    classified_by: str | None = None
    weights: WeightsReport | None
    images: list[MaskedImage]
    coco: str
    n_masks: int
    coverage: float
    failed: list[str]
    pixels: int
    seconds: float
    warnings: list[str] = Field(default_factory=list)
