"""The machine: devices, processes, precision, and what a run says about them."""

import logging
import os
import platform
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from headstart.allocator import keep_freed_memory
from headstart.configs.run import RunConfig

PACKAGES = ("headstart", "torch", "torchvision", "timm", "lightning-fabric", "numpy", "pillow")
FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}


def choose_precision(asked: str, network: Callable[[], nn.Module]) -> str:
    """``fp32`` or ``bf16``: as asked, or bf16 where it is native (AVX512-BF16, AMX, Ampere and later) and pays.

    On processors it does not pay for grouped convolutions (docs/decisions/0005-precision.md); ``network`` builds what
    will compute, where that has to be looked at.
    """
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _cpu_has("avx512_bf16", "amx_bf16")
    return "bf16" if native and not has_grouped_convolutions(network()) else "fp32"


def has_grouped_convolutions(network: nn.Module) -> bool:
    """Whether a network has depthwise or other grouped convolutions."""
    return any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules())


@contextmanager
def inference_context(network: nn.Module, asked: str) -> Iterator[None]:
    """Put ``network`` on the best device here, and compute within the context in the precision ``asked`` for."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if device.type == "cpu":
        keep_freed_memory()
    precision = choose_precision(asked, lambda: network)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        yield


def _cpu_has(*flags: str) -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(flag, False) for flag in flags)


def make_fabric(config: RunConfig, precision: str) -> Fabric:
    """Fabric on the best device here; under torchrun one process of many, as its environment says."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it says what this package says itself
    local = int(os.environ.get("LOCAL_WORLD_SIZE", config.devices))
    nodes = int(os.environ.get("WORLD_SIZE", local)) // local
    fabric = Fabric(
        accelerator="auto",
        devices=local,
        num_nodes=nodes,
        strategy="ddp" if local * nodes > 1 else "auto",
        precision=FABRIC_PRECISION[precision],  # type: ignore[arg-type]
    )
    if fabric.device.type == "cpu":
        keep_freed_memory()
    torch.backends.cudnn.deterministic = True
    fabric.launch()
    return fabric


def seed_everything(seed: int) -> None:
    """Seed the three global generators; drawn anew before each step, so that none has a history to save."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def versions() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def machine() -> dict[str, str | int]:
    """What the numbers were made on."""
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "accelerator": accelerator,
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
