"""lightly's BYOL example on a folder, an epoch a turn; to be imported in the peers' environment."""

import torch
from benchmarks.harness import Way
from benchmarks.learning.lightly_byol import LightlyByol
from benchmarks.peer_steps import LIGHTLY_LR
from lightly.data import LightlyDataset  # type: ignore[import-untyped]
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from torch.utils.data import DataLoader

from headstart.models.backbones import build_backbone


def lightly(data: str, backbone: str, size: int, batch: int, workers: int) -> Way:
    """The loop of ``examples/pytorch/byol.py``: its transform with blur, as BYOLTransform has it for photographs."""
    model = LightlyByol(build_backbone(backbone, size))
    transform = BYOLTransform(BYOLView1Transform(input_size=size), BYOLView2Transform(input_size=size))
    loader: DataLoader[list[torch.Tensor]] = DataLoader(
        LightlyDataset(data, transform=transform), batch_size=batch, shuffle=True, drop_last=True, num_workers=workers
    )
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LIGHTLY_LR)
    model.train()

    def way() -> float:
        total = torch.zeros(())
        for views, _, _ in loader:
            loss = model.loss(*views)
            total += loss.detach()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return len(loader) * batch

    return way
