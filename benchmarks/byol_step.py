"""One BYOL training step, ours beside byol-pytorch's: images a second on random tensors, no decoding, no augmentation.

python benchmarks/byol_step.py --backbone resnet18 --image-size 64 --batch-size 64
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from byol_pytorch import BYOL
from torch import nn

from headstart.configs.optimisation import OptimConfig
from headstart.configs.pretrain import ByolConfig
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol
from headstart.training.optim import build_optimizer

TAU = 0.99
Step = Callable[[], None]


def our_step(backbone: str, size: int, batch: int, heads: ByolConfig, precision: torch.dtype) -> Step:
    """Both views in one batch, channels last, fused Adam, foreach EMA."""
    byol = Byol(build_backbone(backbone, size), heads).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(byol, OptimConfig(name="adam", lr=3e-4), batch)
    views = torch.randn(batch, 2, 3, size, size)

    def step() -> None:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            loss = byol(views)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        byol.update_target(TAU)

    return step


def their_step(backbone: str, size: int, batch: int, heads: ByolConfig) -> Step:
    """byol-pytorch as its README uses it, with the augmentation taken out."""
    learner = BYOL(
        nn.Sequential(build_backbone(backbone, size)),
        image_size=size,
        hidden_layer=-1,
        projection_size=heads.projection_size,
        projection_hidden_size=heads.hidden_size,
        augment_fn=nn.Identity(),
        moving_average_decay=TAU,
    )
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-4)
    images = torch.randn(batch, 3, size, size)

    def step() -> None:
        loss = learner(images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.update_moving_average()

    return step


def seconds_per_step(step: Step, repeats: int) -> float:
    """Median over ``repeats`` steps, after two that are not counted."""
    times = []
    for _ in range(2 + repeats):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return median(times[2:])


def main() -> None:
    """Measure and print one line for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=8)
    args = parser.parse_args()
    torch.manual_seed(0)
    heads = ByolConfig(projection_size=256, hidden_size=4096)
    shape = (args.backbone, args.image_size, args.batch_size, heads)
    variants: dict[str, Callable[[], Step]] = {
        "byol-pytorch, fp32": lambda: their_step(*shape),
        "headstart, fp32": lambda: our_step(*shape, torch.float32),
        "headstart, bf16": lambda: our_step(*shape, torch.bfloat16),
    }
    print(f"{args.backbone}, {args.image_size} px, batch {args.batch_size}, {torch.get_num_threads()} threads")
    for name, build in variants.items():
        seconds = seconds_per_step(build(), args.repeats)
        print(f"{name:20} {seconds:6.2f} s a step {args.batch_size / seconds:7.1f} images/s")


if __name__ == "__main__":
    main()
