"""Settings of ``headstart report``."""

from pydantic import Field

from headstart.configs.base import Config, FilePath


class ReportConfig(Config):
    """One HTML page made from what a study or a run has written."""

    run: FilePath
    """Directory of a study, of a pre-training, classification or segmentation run, or of masks."""
    out: FilePath | None = None
    """File to write; None: report.html in that directory."""
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""
