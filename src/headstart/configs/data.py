"""Settings of ``headstart data check``."""

from typing import Literal

from pydantic import Field

from headstart.configs.base import Config, FilePath


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
