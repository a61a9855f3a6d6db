"""Settings of ``headstart data check`` and ``headstart data pack``."""

from typing import Literal

from pydantic import Field

from headstart.configs.base import Config, FilePath
from headstart.configs.views import ViewsConfig


class DataCheckConfig(Config):
    """What a source holds, and what is wrong with it, before anyone trains."""

    data: str
    """Source of images, labelled images, or pairs of images and masks."""
    task: Literal["auto", "images", "segment"] = "auto"
    """segment reads pairs of images and masks; auto does so where the source has masks."""
    palette: str | None = None
    """Name of a palette (deepglobe, bluemarble) or a YAML file of one; none: the one that the source implies."""
    nearest_colour: bool = False
    """Read a mask colour outside the palette as the nearest one in it, instead of refusing it."""
    strict: bool = False
    """End with exit code 2 where a file cannot be used or there is a warning."""
    workers: int | Literal["auto"] = "auto"
    """Threads that decode."""
    out: FilePath | None = None
    """Directory for result.json and quarantine.csv; none: only printed."""
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""


class DataPackConfig(Config):
    """Decode the images of a source once, and keep the pixels for trainings of this image size and these views."""

    data: str
    """Source of images, as pretrain and classify take it."""
    image_size: int = Field(default=64, ge=8)
    """Side in pixels of the square images the network will see."""
    views: ViewsConfig = ViewsConfig()
    """Of these, style and crop_scale decide how large the images are kept; style none or trivial: as small as the
    network sees them."""
    pack_limit: float = Field(default=20.0, gt=0)
    """GB that all packs in the folder may take; those not used for longest make room."""
    workers: int | Literal["auto"] = "auto"
    """Threads that decode."""
    file_seconds: float = Field(default=300.0, gt=0)
    """Seconds that reading one file may take; after that the command ends with an error that names it."""
    strict: bool = False
    """End with exit code 2 where a file cannot be decoded."""
    out: FilePath | None = None
    """Folder of packs; none: the one that trainings look into, $HEADSTART_PACKS or packs in the cache folder."""
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""
