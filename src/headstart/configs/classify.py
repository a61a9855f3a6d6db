"""Settings of ``headstart classify``."""

from pydantic import Field

from headstart.configs.base import RunConfig
from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.configs.views import ViewsConfig


class ClassifyConfig(RunConfig):
    """Training of a classifier from one start: the whole network, or a linear layer on a frozen backbone."""

    start: str = "scratch"
    """scratch, supervised, supervised=FILE-or-timm-name, ssl=RUN, ssl+supervised=RUN."""
    frozen: bool = False
    """Train the classifier only; the backbone stays bit-identical, batch-norm statistics included."""
    frozen_views: int = Field(default=0, ge=0)
    """Augmented copies of each training image whose features are cached for a frozen setting; 0: the plain image."""
    label_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the training labels to use, the same share of each class."""
    allow_partial_weights: bool = False
    """Accept starting weights that fill less than 90 % of the backbone's parameters."""
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    views: ViewsConfig = ViewsConfig(style="light")
