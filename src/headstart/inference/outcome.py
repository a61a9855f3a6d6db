"""What became of the inputs of a prediction."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from headstart.inference.inputs import Input

QUARANTINE = "quarantine.csv"


@dataclass
class Outcome:
    """``files`` are main outputs relative to --out, in the order of their inputs; ``reasons`` why an input has none;
    ``pixels`` how many were predicted now.
    """

    files: list[PurePosixPath] = field(default_factory=list)
    reasons: dict[Input, str] = field(default_factory=dict)
    pixels: int = 0
