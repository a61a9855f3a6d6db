"""Features of frozen images: what a backbone makes of them, computed once and kept."""

from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from headstart.data.imageset import ImageSet
from headstart.data.loaders import ViewsDataset, plain_batches
from headstart.data.reading import file_batches
from headstart.data.views import View
from headstart.files import written_beside

BATCH = 64


@torch.no_grad()
def features_of(network: nn.Module, images_bchw: Tensor, fabric: Fabric) -> np.ndarray:
    """Output of ``network`` for images already in memory: float32 (n, d). The network's mode is the caller's."""
    out = []
    for batch in images_bchw.split(BATCH):
        with fabric.autocast():
            out.append(network(_prepared(batch, fabric)).float().cpu())
    return torch.cat(out).numpy()


def plain_images(images: ImageSet, view: View) -> Tensor:
    """The images in the plain view: float32 (n, 3, S, S)."""
    return torch.cat([batch[0][:, 0] for batch in plain_batches(images, view, BATCH)])


@torch.no_grad()
def extract(network: nn.Module, images: ImageSet, view: View, workers: int, fabric: Fabric) -> np.ndarray:
    """Output of ``network`` in evaluation mode for every image in the plain view: float32 (n, d)."""
    was_training = network.training
    network.eval()
    out = []
    for views, _, _ in plain_batches(images, view, BATCH, workers):
        with fabric.autocast():
            out.append(network(_prepared(views[:, 0], fabric)).float().cpu())
    network.train(was_training)
    return torch.cat(out).numpy()


@torch.no_grad()
def features_of_views(network: nn.Module, dataset: ViewsDataset, workers: int, fabric: Fabric) -> np.ndarray:
    """Output of ``network`` for all V views of every image: float32 (V * n, d), all images of a view together."""
    items = [(0, i) for i in range(len(dataset))]
    batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
    by_view: list[list[Tensor]] = [[] for _ in dataset.views]
    for views, _, _ in file_batches(dataset, batches, workers):
        for v, images in enumerate(views.unbind(1)):
            with fabric.autocast():
                by_view[v].append(network(_prepared(images, fabric)).float().cpu())
    return torch.cat([torch.cat(batches) for batches in by_view]).numpy()


def _prepared(batch: Tensor, fabric: Fabric) -> Tensor:
    return batch.to(fabric.device).contiguous(memory_format=torch.channels_last)


def save_features(folder: Path, epoch: int, features: np.ndarray, labels: np.ndarray) -> None:
    """Write ``train_epoch_NNNN.npz``: features float16 (n, d), labels and index int64 (n,)."""
    folder.mkdir(exist_ok=True)
    path = folder / f"train_epoch_{epoch:04d}.npz"
    with written_beside(path) as beside, beside.open("wb") as file:
        np.savez(file, features=features.astype(np.float16), labels=labels, index=np.arange(len(labels)))
