"""What ``benchmarks/profiles.py`` profiles; each returns seconds by place, and in words what was done.

Only what older commits have as well is imported.
"""

from argparse import Namespace
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import torch
from benchmarks.child import Over
from benchmarks.epochs import ours as epochs_of
from benchmarks.photos import photo_folder
from benchmarks.sampling import ELSE, Sampler
from benchmarks.seeded_weights import write_starts
from benchmarks.steps import ours as steps_of
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

import headstart
from headstart.configs.study import DemoConfig, StudyConfig

Found = tuple[dict[str, float], str]

OPERATIONS = {
    "convolutions, on the way back": ("convolution_backward",),
    "convolutions": ("convolution", "conv2d"),
    "batch norm": ("batch_norm",),
    "linear layers": ("addmm", "aten::mm", "linear", "matmul"),
    "ReLU, pooling": ("relu", "threshold", "clamp_min", "pool"),
    "the optimiser": ("_fused_", "optimizer.step", "lars"),
    "the target's move": ("_foreach_lerp",),
    "moving and converting numbers": ("copy_", "clone", "contiguous", "_to_copy", "aten::to", "aten::cat", "empty"),
    "sums (of residuals and gradients), norms": ("aten::add", "aten::sum", "norm", "aten::mul", "aten::div"),
}
PLACES = {
    "decoding, packing": ("headstart/data/decode", "headstart/data/reduced", "data/pack/make", "data/pack/writer"),
    "reading packs": ("headstart/data/pack/",),
    "views": ("headstart/data/views", "headstart/data/colours", "headstart/data/draws"),
    "the rest of loading": ("headstart/data/loaders", "headstart/data/reading"),
    "the target's move": ("::Byol.update_target",),
    "forward pass": (".forward", "::Pretraining.loss"),
    "backward pass": ("lightning_fabric/fabric.py::Fabric.backward",),
    "the optimiser": ("torch/optim/", "timm/optim/", "lightning_fabric/wrappers.py::_FabricOptimizer"),
    "norms of gradients and weights": ("::clip_gradients", "::all_finite"),
    "checkpoints": ("training/checkpoint.py",),
    "looks at the model": ("tasks/pretrain/watch", "headstart/training/health"),
    "heads on cached features": ("tasks/classify/heads.py", "tasks/classify/together.py"),
    "features of frozen networks": ("analysis/features.py",),
    "probes, kNN, t-SNE": ("headstart/analysis/",),
    "making networks, reading weights": ("headstart/models/", "timm/models/"),
    "segmentation": ("tasks/segment/", "headstart/inference/"),
    "automatic masks": ("headstart/sam/",),
    "the page": ("headstart/reports/",),
    "the rest of a step": ("training/loop.py",),
    "the rest of a run": ("headstart/training/", "headstart/tasks/", "headstart/studies/"),
    "imports": ("<frozen importlib",),
}
BACKBONE, SIZE, BATCH, EPOCHS = "resnet18", 64, 64, 1


def step(asked: Namespace, place: Path) -> Found:
    """BYOL steps on random views, by operation; the seconds of an operation are its own, without those it calls."""
    torch.set_num_threads(asked.threads)
    backbone, size, batch, steps = ("resnet18", 32, 8, 2) if asked.quick else ("resnet50", 128, 32, 3)
    way = steps_of(backbone, size, batch, steps=steps)
    way()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        way()
    seconds: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        if event.device_type == DeviceType.CPU:
            seconds[kind_of(event.key.lower())] += event.self_cpu_time_total / 1e6
    return seconds, f"{steps} BYOL steps of {backbone} at {size} px, batch {batch}, random views"


def kind_of(operation: str) -> str:
    """The kind of an operation by its name."""
    return next((kind for kind, parts in OPERATIONS.items() if any(part in operation for part in parts)), ELSE)


class Counted:
    """The turns of ``benchmarks.epochs``: all but the first are sampled, and after ``epochs`` of those it is over."""

    def __init__(self, sampler: Sampler, epochs: int) -> None:
        self.sampler, self.left = sampler, epochs + 1
        self.first = True
        self.images = 0.0

    def begin(self) -> None:
        """A turn."""
        if not self.left:
            raise Over
        if not self.first:
            self.sampler.resume()

    def end(self, units: float) -> None:
        """Its end."""
        self.sampler.pause()
        self.images += 0 if self.first else units
        self.first, self.left = False, self.left - 1


def epoch(asked: Namespace, place: Path) -> Found:
    """Epochs of pre-training from a folder of JPEGs, from the second one on."""
    torch.set_num_threads(asked.threads)
    data = photo_folder(asked.out / "data", 128 if asked.quick else 2000)
    with Sampler(PLACES) as sampler:
        sampler.pause()
        turns = Counted(sampler, EPOCHS)
        optim = {"name": "sgd", "lr": 0.06, "momentum": 0.0}
        shape = {"backbone": BACKBONE, "size": SIZE, "batch": BATCH, "hidden": 1024, "optim": optim}
        with suppress(Over):
            epochs_of(turns, data=str(data), out=str(place / "run"), epochs=EPOCHS + 3, **shape)  # type: ignore[arg-type]
    what = (
        f"{EPOCHS} epochs from the second on, {turns.images:.0f} images in all, {BACKBONE} at {SIZE} px, batch {BATCH}"
    )
    return sampler.seconds, f"Pre-training from a folder of JPEGs: {what}"


def study(asked: Namespace, place: Path) -> Found:
    """A study of the embedded images: two starts and random weights, full and frozen, three seeds, two fractions."""
    torch.set_num_threads(asked.threads)
    backbone, epochs, seeds = ("test_resnet", 1, 1) if asked.quick else (BACKBONE, 4, 3)
    config = StudyConfig(
        data="demo:bluemarble:96",
        starts=write_starts(backbone, 48, place),
        seeds=seeds,
        lr_grid=(1.0,),
        backbone=backbone,
        image_size=48,
        epochs=epochs,
        min_steps=0,
        out=place / "study",
    )
    with Sampler(PLACES) as sampler:
        headstart.study(config)
    what = (
        f"demo:bluemarble:96, {backbone} at 48 px, 3 starts, full and frozen, {seeds} seeds, 2 fractions of the labels"
    )
    return sampler.seconds, f"A study: {what}, {epochs} epochs each, one learning rate"


def demo(asked: Namespace, place: Path) -> Found:
    """The demo."""
    torch.set_num_threads(asked.threads)
    minutes = 1.0 if asked.quick else asked.minutes
    with Sampler(PLACES) as sampler:
        headstart.demo(DemoConfig(out=place / "demo", minutes=minutes))
    return sampler.seconds, f"`headstart demo --minutes {minutes:g}`"
