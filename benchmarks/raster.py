"""Tiled prediction of a large GeoTIFF beside the bare network on as many tiles that are ready as tensors.

    python -m benchmarks.raster
    python -m benchmarks.raster --side 1024 --quick

Whole: from file to file, with reading, overlapping tiles, blending, classes and writing. Both compute in the precision
that prediction chooses by itself for this network here. Memory is measured by benchmarks/raster_memory.py.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from benchmarks.apart import Contestant, measure_apart
from benchmarks.harness import Row, Way
from benchmarks.raster_memory import MEAN, N_CLASSES, STD, make_raster
from benchmarks.report import parsed, parser, publish

from headstart.configs.inference import TilingConfig
from headstart.data.palettes import DEEPGLOBE
from headstart.inference.geo import open_raster
from headstart.inference.raster import RasterJob, predict_raster
from headstart.inference.raster_output import Labels
from headstart.inference.tiles import Predictor
from headstart.models.segmenters import build_segmenter
from headstart.training.runtime import inference_context

GOAL = 0.85


def predictor_of(model: str, encoder: str, tile: int, batch: int) -> Predictor:
    """The network with random weights, ready to predict."""
    network = build_segmenter(model, encoder, N_CLASSES, tile).eval()
    return Predictor(network.to(memory_format=torch.channels_last), MEAN, STD, TilingConfig(batch=batch), tile)


def whole(source: str, **shape: Any) -> Way:
    """From the raster ``source`` to a raster of classes beside it; units are tiles."""
    predictor, path = predictor_of(**shape), Path(source)
    n_tiles = count_tiles(predictor, path)

    def way() -> float:
        with inference_context(predictor.network, "auto"):
            predict_raster(
                predictor, Labels(DEEPGLOBE, N_CLASSES), RasterJob(path, path.with_name("classes.tif"), None, "")
            )
        return n_tiles

    return way


def bare(source: str, **shape: Any) -> Way:
    """The network on as many normalised tiles as ``source`` has, always the same batch of them; no softmax."""
    predictor, batch = predictor_of(**shape), int(shape["batch"])
    images = torch.randn(batch, 3, shape["tile"], shape["tile"]).contiguous(memory_format=torch.channels_last)
    n_batches = -(-count_tiles(predictor, Path(source)) // batch)

    def way() -> float:
        with torch.inference_mode(), inference_context(predictor.network, "auto"):
            for _ in range(n_batches):
                predictor.network(images)
        return n_batches * batch

    return way


def count_tiles(predictor: Predictor, source: Path) -> int:
    """Tiles that a raster is predicted in."""
    with open_raster(source) as raster:
        return predictor.grid(raster.height, raster.width).n_tiles


def main() -> None:
    """Make the raster, measure, and write the table."""
    known = parser(__doc__)
    known.add_argument("--side", type=int, default=None, help="of the raster in pixels; 10000, quick 1024")
    known.add_argument("--tile", type=int, default=512)
    known.add_argument("--batch", type=int, default=4)
    known.add_argument("--model", default="unet")
    known.add_argument("--encoder", default="tu-mobilenetv3_large_100")
    asked = parsed(known)
    side = asked.side or (1024 if asked.quick else 10_000)
    shape = {"model": asked.model, "encoder": asked.encoder, "tile": asked.tile, "batch": asked.batch}
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "raster.tif"
        make_raster(source, side, side)
        entered = [
            Contestant(name, f"benchmarks.raster:{name}", {"source": str(source), **shape})
            for name in ("whole", "bare")
        ]
        found = measure_apart(entered, asked.rounds, asked.threads)
    work = f"tiled prediction of {side:,} x {side:,} pixels"
    rows = [Row(work, "the bare network on ready tiles", found["whole"], found["bare"], GOAL, "tiles/s")]
    notes = [f"Peak resident memory of the whole: {found['whole'].peak_mb:.0f} MB."]
    publish("raster", rows, asked, {"side": side, **shape}, notes)


if __name__ == "__main__":
    main()
