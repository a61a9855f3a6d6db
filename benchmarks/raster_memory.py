"""Prediction of a large GeoTIFF: peak resident memory, time, and the share of it that the network took.

python benchmarks/raster_memory.py --side 20000                       a 1 x 1 convolution: the cost of everything else
python benchmarks/raster_memory.py --side 10000 --model unet --encoder tu-mobilenetv3_large_100
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import Affine
from rasterio.windows import Window
from torch import Tensor, nn

from headstart.allocator import keep_freed_memory
from headstart.configs.inference import TilingConfig
from headstart.data.palettes import DEEPGLOBE
from headstart.inference.raster import RasterJob, predict_raster
from headstart.inference.raster_output import Labels
from headstart.inference.tiles import Predictor
from headstart.models.segmenters import build_segmenter

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
N_CLASSES = 7


def make_raster(path: Path, height: int, width: int) -> None:
    """Waves of colour with noise, RGB uint8, tiled and packed as imagery is."""
    block = 512
    layout = {"tiled": True, "blockxsize": block, "blockysize": block, "compress": "jpeg", "photometric": "ycbcr"}
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 5e5, 0, -0.5, 5e6)}
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (3, block, block))
    with rasterio.open(path, "w", "GTiff", width, height, 3, dtype="uint8", **layout, **place) as raster:
        for top in range(0, height, block):
            for left in range(0, width, block):
                y, x = np.mgrid[top : top + block, left : left + block]
                waves = [np.sin(x / a) + np.cos(y / b) for a, b in ((211, 307), (173, 401), (389, 131))]
                pixels = (127 + 50 * np.stack(waves) + noise).clip(0, 255).astype(np.uint8)
                h, w = min(block, height - top), min(block, width - left)
                raster.write(pixels[:, :h, :w], window=Window(left, top, w, h))


class Timed(nn.Module):
    """A network that knows how long it worked, and on how many tiles."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seconds, self.tiles = 0.0, 0

    def forward(self, images: Tensor) -> Tensor:
        began = time.perf_counter()
        logits: Tensor = self.network(images)
        self.seconds += time.perf_counter() - began
        self.tiles += len(images)
        return logits


def build(args: argparse.Namespace) -> nn.Module:
    """The network asked for, with random weights."""
    if args.model == "pixel":
        return nn.Conv2d(3, N_CLASSES, 1)
    return build_segmenter(args.model, args.encoder, N_CLASSES, args.tile)


def predict(args: argparse.Namespace, source: Path) -> None:
    """Predict, and print time and memory."""
    keep_freed_memory()  # as prediction does
    torch.manual_seed(0)
    network = Timed(build(args).eval().to(memory_format=torch.channels_last))
    predictor = Predictor(network, MEAN, STD, TilingConfig(batch=args.batch), args.tile)
    second = source.with_name("probabilities.tif") if args.probabilities else None
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
        pixels = predict_raster(
            predictor, Labels(DEEPGLOBE, N_CLASSES), RasterJob(source, source.with_name("classes.tif"), second, "")
        )
    seconds = time.perf_counter() - began
    bare = bare_seconds(network.network, args) * network.tiles
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"{pixels / 1e6:.0f} Mpx in {network.tiles} tiles of {args.tile}: {seconds:.0f} s")
    print(f"the network within it: {network.seconds:.0f} s; the bare network on as many ready tiles: {bare:.0f} s")
    print(f"share of the time in the network: {network.seconds / seconds:.2f}; bare / whole: {bare / seconds:.2f}")
    print(f"peak resident memory: {int(peak.split()[1]) / 1024:.0f} MiB")


def bare_seconds(network: nn.Module, args: argparse.Namespace) -> float:
    """Seconds a tile that the network takes on ready, normalised tensors; the median of several batches."""
    images = torch.randn(args.batch, 3, args.tile, args.tile).contiguous(memory_format=torch.channels_last)
    times = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
        for _ in range(12):
            began = time.perf_counter()
            network(images)
            times.append(time.perf_counter() - began)
    return float(np.median(times[2:])) / args.batch


def main() -> None:
    """Make the raster in one process and predict it in another, whose memory is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000, help="height, and width unless given, in pixels")
    parser.add_argument("--width", type=int)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--model", default="pixel", help="pixel, or a model of headstart segment")
    parser.add_argument("--encoder", default="tu-mobilenetv3_large_100")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--probabilities", action="store_true")
    parser.add_argument("--raster", type=Path, help="an existing GeoTIFF instead of a made one; outputs go beside it")
    args = parser.parse_args()
    if args.raster:
        predict(args, args.raster)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "raster.tif"
        make_raster(source, args.side, args.width or args.side)
        print(f"made {source.stat().st_size / 1e6:.0f} MB", flush=True)
        subprocess.run([sys.executable, *sys.argv, "--raster", str(source)], check=True)


if __name__ == "__main__":
    main()
