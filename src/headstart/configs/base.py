"""What every verb's config has in common."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

FilePath = Annotated[Path, Field(strict=False)]


class Config(BaseModel):
    """A frozen, strict group of settings: an unknown key or a wrong type is an error, never ignored."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        populate_by_name=True,
        allow_inf_nan=False,
    )

    def conflicts(self) -> list[str]:
        """Combinations of settings that cannot work together, a line each, with the remedy."""
        return []

    @model_validator(mode="after")
    def _no_conflicts(self) -> "Config":
        problems = self.conflicts()
        if problems:
            raise ValueError("\n".join(problems))
        return self


class OutputConfig(Config):
    """Where results go and how they are told."""

    out: FilePath
    """Directory for everything this command writes."""
    json_output: bool = Field(default=False, alias="json")
    """Print the machine-readable result on standard output; the log goes to standard error."""
