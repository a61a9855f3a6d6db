"""Settings of ``headstart tsne``."""

from pydantic import Field

from headstart.configs.base import Config, FilePath


class TsneConfig(Config):
    """t-SNE of the features that a classification run saved after its first and its last epoch."""

    run: FilePath
    """Directory of a classification run."""
    images: int = Field(default=2000, ge=10)
    """Training images to lay out, at most."""
    seed: int = Field(default=0, ge=0)
    """Seed of the choice of images and of the layout."""
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""
