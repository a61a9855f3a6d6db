"""Files of random weights, for benches of what begins with some: what the weights are does not change the time."""

from pathlib import Path

import torch

from headstart.models.backbones import build_backbone


def write_starts(backbone: str, size: int, folder: Path) -> tuple[str, str]:
    """Two files of seeded random weights, as starts."""
    starts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        file = folder / f"start-{seed}.pth"
        torch.save(build_backbone(backbone, size).network.state_dict(), file)
        starts.append(f"supervised={file}")
    return starts[0], starts[1]
