"""One command at work in one run directory on this machine."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from lightning_fabric import Fabric
from torch import nn

from headstart.configs.run import RunConfig
from headstart.training.rundir import RunDir, open_run
from headstart.training.runtime import choose_precision, make_fabric, seed_everything

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """Config, run directory and devices of one training."""

    config: RunConfig
    verb: str
    run: RunDir
    fabric: Fabric
    precision: str

    @property
    def finished(self) -> bool:
        """Whether the run was already brought to its result."""
        return self.run.resumed and self.run.result.is_file()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return bool(self.fabric.is_global_zero)


def begin(config: RunConfig, verb: str, network: Callable[[], nn.Module]) -> Session:
    """Start the devices, open the run directory (the first process does; the others follow) and seed.

    ``network`` builds the network that will compute; it is called where the precision depends on it.
    """
    precision = choose_precision(config.precision, network)
    fabric = make_fabric(config, precision)
    run = open_run(config, verb) if fabric.is_global_zero else None
    run = fabric.broadcast(run)
    assert run is not None
    logger.info("Computing in %s on %s x %d.", precision, fabric.device.type, fabric.world_size)
    seed_everything(config.seed)
    return Session(config, verb, run, fabric, precision)
