"""Measure automatic masks: ours beside segment-anything's and transformers', interleaved, each in its own process.

    python -m benchmarks.sam --out runs/sam                         the whole comparison
    python -m benchmarks.sam --out runs/sam --points 8 --sides 512  a quick look

vit_b with seeded random weights; thresholds from the candidates' quantiles so that about a tenth survives, NMS at 1.0
since the boxes of random masks coincide. Writes result.json and table.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch
from benchmarks.sam.engines import picture
from benchmarks.sam.profile import batches, profile
from benchmarks.sam.weights import EVERYTHING, random_vit_b, thresholds

from headstart.training.runtime import machine, versions

PEERS = ("ours", "segment-anything", "transformers")


def main() -> None:
    """Measure, and write after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--points", type=int, default=32, help="points along the side of the grid")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 2048], help="sides of the images in pixels")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engines", nargs="+", default=list(PEERS))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    checkpoint = asked.out / "vit_b.pth"
    if not checkpoint.is_file():
        random_vit_b(checkpoint)
    settings = {"points_per_side": asked.points, **thresholds(checkpoint, picture(512))}
    result: dict[str, Any] = {
        "settings": settings,
        "threads": asked.threads,
        "machine": machine() | versions(),
        "runs": [],
    }
    for number in range(asked.rounds):
        for side in asked.sides:
            for engine in asked.engines:
                result["runs"].append(one(engine, checkpoint, side, settings, asked.threads) | {"round": number})
                write(asked.out, result)
    result["bf16"] = bf16_against_fp32(checkpoint)
    result["prompt_milliseconds"] = batches(checkpoint, picture(512))
    result["profile"] = {str(side): profile(checkpoint, picture(side), settings) for side in asked.sides}
    write(asked.out, result)
    print((asked.out / "table.md").read_text(encoding="utf-8"))


def one(engine: str, checkpoint: Path, side: int, settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """One engine on one image in a new process."""
    command = [sys.executable, "-m", "benchmarks.sam.engines", engine, str(checkpoint), str(side)]
    done = subprocess.run(
        [*command, json.dumps(settings), "--threads", str(threads)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {
            "engine": engine,
            "side": side,
            "error": (done.stderr.strip().splitlines() or [str(done.returncode)])[-1],
        }
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{engine} {side}: {found['seconds']:.1f} s, {found['peak_mb']:.0f} MB, {found['masks']} masks", flush=True)
    return found


def bf16_against_fp32(checkpoint: Path, per_side: int = 4) -> dict[str, float]:
    """IoU of the masks of the same prompts in bf16 and in fp32: for each of fp32's, the best of bf16's."""
    from headstart.configs.masks import MaskConfig
    from headstart.sam.generate import MaskGenerator
    from headstart.sam.load import load_sam
    from headstart.sam.record import dense

    config, image = MaskConfig(points_per_side=per_side, **EVERYTHING), picture(512)
    expected, found = (
        MaskGenerator(load_sam(checkpoint, precision=p)[0], config).generate(image) for p in ("fp32", "bf16")
    )
    best = []
    for mask in expected:
        pixels = dense(mask)
        others = [dense(other) for other in found if other.point == mask.point]
        best.append(max((float((pixels & o).sum() / (pixels | o).sum()) for o in others), default=0.0))
    return {"masks": len(best), "mean_iou": sum(best) / len(best), "least_iou": min(best)}


def write(out: Path, result: dict[str, Any]) -> None:
    """The numbers and the table of them, as far as they are there."""
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(table(result), encoding="utf-8")


def table(result: dict[str, Any]) -> str:
    """Medians over the rounds, and how many times as long and as large the others are."""
    points = result["settings"]["points_per_side"]
    lines = [
        f"vit_b with random weights, {points}x{points} points, {result['threads']} threads; ratios to ours",
        "",
        "| image | engine | seconds | times | CPU seconds | times | peak MB | times | masks |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for side in sorted({run["side"] for run in result["runs"]}):
        of_side = [run for run in result["runs"] if run["side"] == side]
        first = [run for run in of_side if run["engine"] == "ours" and "error" not in run]
        for engine in dict.fromkeys(run["engine"] for run in of_side):
            runs = [run for run in of_side if run["engine"] == engine and "error" not in run]
            if not runs:
                lines.append(f"| {side}x{side} | {engine} | failed | | | | | | |")
                continue
            cells = [f"{side}x{side}", engine]
            for name, digits in (("seconds", 1), ("cpu_seconds", 1), ("peak_mb", 0)):
                value = median(run[name] for run in runs)
                cells += [f"{value:.{digits}f}", f"{value / median(run[name] for run in first):.2f}" if first else ""]
            lines.append(f"| {' | '.join([*cells, str(runs[0]['masks'])])} |")
    if "bf16" in result:
        found = result["bf16"]
        lines += ["", f"bf16 against fp32: mean IoU {found['mean_iou']:.4f}, least {found['least_iou']:.4f} "]
        lines[-1] += f"({found['masks']} masks)"
    if "prompt_milliseconds" in result:
        each = ", ".join(f"{size}: {ms:.1f}" for size, ms in result["prompt_milliseconds"].items())
        lines += ["", f"Milliseconds of our decoder for a prompt on one core, by prompts decoded together: {each}"]
    for side, profiled in result.get("profile", {}).items():
        lines += ["", f"One core, {side}x{side}, {profiled['precision']}, {profiled['total_seconds']:.1f} s:", ""]
        lines += ["| stage | seconds | share | times | floor (matrix products alone) |", "|---|---|---|---|---|"]
        for stage, seconds in profiled["seconds"].items():
            floor = profiled["floor_seconds"].get(stage)
            share, n = seconds / profiled["total_seconds"], profiled["calls"].get(stage, "")
            lines.append(f"| {stage} | {seconds:.2f} | {share:.0%} | {n} | {f'{floor:.2f}' if floor else ''} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
