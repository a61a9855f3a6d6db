"""Settings of ``headstart pretrain``."""

from typing import Any

from pydantic import model_validator

from headstart.configs.base import FilePath
from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.recipes import PRETRAIN, with_recipe
from headstart.configs.run import BackboneRunConfig
from headstart.configs.starts import start_problems


class PretrainConfig(BackboneRunConfig):
    """BYOL pre-training of a backbone on unlabelled images."""

    start: str = "scratch"
    """scratch, supervised, supervised=FILE-or-timm-name: the weights to begin with."""
    init_from: FilePath | None = None
    """A run whose final weights (backbone, heads, target) to begin with, under a fresh optimiser; not a --resume."""
    byol: ByolConfig = ByolConfig()
    watch: WatchConfig = WatchConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        return with_recipe(given, PRETRAIN)

    def conflicts(self) -> list[str]:
        problems = super().conflicts() + start_problems(self.start, "--start")
        if self.init_from is not None and self.start != "scratch":
            problems.append("--init-from and --start both name the weights to begin with: give one of them")
        return problems
