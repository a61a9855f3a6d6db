"""The demo's second half: land-cover segmentation with the seed report's two models, and a study of its starts."""

import json
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headstart.configs.segment import SegmentConfig
from headstart.configs.study import DemoConfig, StudyConfig
from headstart.data.pairs import open_pairs
from headstart.embedded import classification
from headstart.models.segmenters import build_segmenter
from headstart.results import SegmentResult
from headstart.studies.execute import run_study
from headstart.tasks.segment import segment
from headstart.training.rundir import read_config
from headstart.training.runtime import inference_context

logger = logging.getLogger(__name__)

FOLDER = "segmentation"
LANDCOVER = "demo:landcover"
MODEL_SHARE = 0.06
"""Share of the demo's time for the training of each model; scoring comes on top."""
STUDY_SHARE = 0.05
"""Share of the demo's time for the trainings of the segmentation study."""
STUDY_SEEDS, STUDY_FRACTION = 3, 0.1
MOST_STEPS, FEWEST_STEPS = 60, 10
FEWEST_PAIRS = 4
SAME: dict[str, Any] = {
    "data": LANDCOVER,
    "palette": "deepglobe",
    "protocol": "deepglobe6",
    "min_steps": 0,
    "evaluations": 1,
}
MODELS: dict[str, dict[str, Any]] = {
    "model-a": {"model": "fcn32s-seed", "recipe": "seed_model_a", "start": "scratch", "batch_size": 4},
    "model-b": {
        "model": "unet",
        "encoder": f"tu-{classification.BACKBONE}",
        "recipe": "default",
        "start": "supervised",
    },
}
"""Model B learns from the recipe's smaller crops, so that it sees more of them in its time."""


def run_landcover(config: DemoConfig) -> None:
    """Train what is left to train of the models and the study below ``config.out``/segmentation, and explain them."""
    folder = config.out / FOLDER
    results = {name: segment(model_config(config, folder / name, settings)) for name, settings in MODELS.items()}
    run_study(study_config(config, folder / "study"))
    (folder / "notes.json").write_text(json.dumps(notes(results), indent=2) + "\n", encoding="utf-8")


def model_config(config: DemoConfig, out: Path, settings: dict[str, Any]) -> SegmentConfig:
    """The training of one model: as many images as fit into its time, one pass or more; a begun one as it began."""
    whole = SegmentConfig(**SAME, **settings, out=out, resume=True)
    if (out / "config.json").is_file() and not config.overwrite:
        begun = read_config(out)["config"]
        return whole.model_copy(update={name: begun[name] for name in ("epochs", "label_fraction")})
    n_pairs = len(open_pairs(LANDCOVER).train)
    fit = int(60 * config.minutes * MODEL_SHARE / seconds_per_image(whole.model, whole.encoder, whole.image_size))
    fraction = min(1.0, max(FEWEST_PAIRS, fit) / n_pairs)
    return whole.model_copy(update={"epochs": max(1, fit // n_pairs), "label_fraction": round(fraction, 4)})


def study_config(config: DemoConfig, out: Path) -> StudyConfig:
    """Random, supervised and own weights in the encoder, on the tiles that the own weights were pre-trained on."""
    steps = FEWEST_STEPS
    if (out / "config.json").is_file() and not config.overwrite:
        steps = int(read_config(out)["config"]["min_steps"])
    else:
        step_seconds = 8 * seconds_per_image("unet", f"tu-{classification.BACKBONE}", classification.IMAGE_SIZE)
        fit = int(60 * config.minutes * STUDY_SHARE / (3 * STUDY_SEEDS * step_seconds))
        steps = max(FEWEST_STEPS, min(MOST_STEPS, fit))
    return StudyConfig(
        data=f"demo:bluemarble:{classification.TILE_SIZE}",
        out=out,
        overwrite=config.overwrite,
        task="segment",
        model="unet",
        backbone=classification.BACKBONE,
        image_size=classification.IMAGE_SIZE,
        starts=("scratch", "supervised", f"ssl={config.out / 'runs' / 'pretrain' / 'ssl'}"),
        trained=("full",),
        seeds=min(classification.SEEDS, STUDY_SEEDS),
        label_fractions=(STUDY_FRACTION,),
        epochs=1,
        min_steps=steps,
        lr_grid=(1.0,),
    )


def seconds_per_image(model: str, encoder: str, side: int) -> float:
    """Median seconds of training on one image on this machine, on random images in the precision a run would take."""
    network: nn.Module = build_segmenter(model, encoder, 6, side).train()
    images = torch.randn(2, 3, side, side).contiguous(memory_format=torch.channels_last)
    took = []
    with inference_context(network, "auto"):
        for _ in range(3):
            began = time.monotonic()
            network(images).float().square().mean().backward()
            took.append((time.monotonic() - began) / len(images))
    return statistics.median(took)


def notes(results: dict[str, SegmentResult]) -> list[str]:
    """What one must know to compare the two models: plain sentences for the page."""
    a, b = results["model-a"], results["model-b"]
    return [
        f"Model A is the course report's VGG16-FCN32s, faults included; model B is of the kind that won there: a "
        f"Unet, here with {b.encoder.removeprefix('tu-')}.",
        f"Both were given the same time to train, and took {a.seconds:.0f} s and {b.seconds:.0f} s with their scoring. "
        f"In it, A saw {seen(a)} images of 512 pixels and B {seen(b)} crops of 256.",
        "B's encoder began from ImageNet weights; A began from nothing, because no package of the demo carries "
        "ImageNet weights of VGG16. In the report both began from ImageNet weights and trained to the end: 39.5 % for "
        "A and 72.6 % for B, a margin of 33 points. The margin here is not a measure of the architectures alone.",
        "A's last layer leaves stripes that no weight reaches, and cuts negative scores, as in the report; the model "
        "fcn32s has neither fault.",
    ]


def seen(result: SegmentResult) -> int:
    """Crops that a training went through, repeats counted."""
    return result.epochs * result.n_train
