"""What the outputs of ``headstart masks`` are called, and what each depends on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headstart.configs.masks import MasksConfig
from headstart.data.rasters import open_geotiff
from headstart.errors import WeightsError
from headstart.inference.inputs import Input, named_apart
from headstart.inference.parts import key_of, short

COCO_FILE = "coco.json"


@dataclass(frozen=True)
class MaskItem:
    """An input with its outputs, relative to --out; ``polygons`` is None where none are wanted."""

    source: Input
    raster: bool
    masks: PurePosixPath
    ids: PurePosixPath
    overlay: PurePosixPath
    polygons: PurePosixPath | None

    @property
    def outputs(self) -> tuple[PurePosixPath, ...]:
        """All of them, that which the others are made from first."""
        return tuple(path for path in (self.masks, self.ids, self.overlay, self.polygons) if path is not None)


def plan_mask_outputs(inputs: Sequence[Input], config: MasksConfig) -> list[MaskItem]:
    """NAME_masks.json, NAME_ids.png or .tif, NAME_overlay.png and NAME_masks.gpkg or .geojson of each input.

    ConfigError where two inputs would have an output of one name.
    """

    def planned(source: Input, raster: bool, stem: str) -> MaskItem:
        def named(end: str) -> PurePosixPath:
            return source.name.with_name(stem + end)

        kind = config.polygons
        if kind == "auto":
            kind = "gpkg" if raster and lies_on_earth(source.path) else "none"
        return MaskItem(
            source,
            raster,
            named("_masks.json"),
            named("_ids.tif" if raster else f"_ids.{config.id_format}"),
            named("_overlay.png"),
            None if kind == "none" else named(f"_masks.{kind}"),
        )

    return named_apart(inputs, planned)


def lies_on_earth(path: Path) -> bool:
    """Whether a GeoTIFF that can be opened says where it lies."""
    with open_geotiff(path) as raster:
        return raster.crs is not None and not raster.transform.is_identity


@dataclass(frozen=True)
class OutputSettings:
    """Short names of everything that an output depends on beside the input: ``masks``, and with it each of the rest.

    ``file`` is that of the JSON file: ``masks``, and what classifies them where anything does.
    """

    masks: str
    file: str
    ids: str
    overlay: str
    polygons: str

    @classmethod
    def of(cls, config: MasksConfig, classified_by: str | None = None) -> "OutputSettings":
        """``classified_by`` is the sum of the model that gives the masks their classes.

        The number of prompts in a batch is not among it: it changes the rounding at most.
        """
        method = config.generator().model_dump(exclude={"points_per_batch"})
        masks = short(
            key_of(
                model=config.model if config.checkpoint is None else _content(config.checkpoint),
                precision="fp32" if config.exact else config.precision,
                tiles=config.tiles.model_dump(),
                **method,
            )
        )
        classified = short(key_of(masks=masks, classified_by=classified_by, precision=config.precision))
        return cls(
            masks,
            masks if classified_by is None else classified,
            short(key_of(ids=masks)),
            short(key_of(overlay=masks, side=config.overlay_px)),
            short(key_of(polygons=masks)),
        )


def _content(path: Path) -> list[list[str]]:
    """What tells weights on this disk from others. WeightsError where there are none."""
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise WeightsError(f"--checkpoint {path}: there is no such file. Give a file or a directory of weights.")
    found = []
    for file in files:
        with file.open("rb") as stream:
            found.append([file.name, hashlib.file_digest(stream, "sha256").hexdigest()])
    return found
