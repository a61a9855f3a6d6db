"""Settings of ``headstart compare``."""

from pydantic import Field

from headstart.configs.base import Config, FilePath


class CompareConfig(Config):
    """Where two runs, or two studies, first differ: in a setting, a version, the data, or a step."""

    run_a: FilePath
    """Directory of a study, or of a pre-training, classification or segmentation run."""
    run_b: FilePath
    """Directory of another one of the same kind."""
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""

    def conflicts(self) -> list[str]:
        problems = super().conflicts()
        if self.run_a.resolve() == self.run_b.resolve():
            problems.append(f"{self.run_a} and {self.run_b} are one directory; give two runs to compare")
        return problems
