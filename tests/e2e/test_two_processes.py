"""torchrun with two gloo processes, batch norm synchronised: the losses of one, at the same total batch and seed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.short_runs import CLASSIFY, PRETRAIN, SEGMENT

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
TRAININGS = {
    "pretrain": PRETRAIN.replace("epochs 3", "epochs 7").replace("test_resnet", "test_efficientnet"),
    "classify": CLASSIFY.replace("epochs 2", "epochs 3"),
    "segment": SEGMENT.replace("epochs 3", "epochs 20").replace("size 32", "size 64")
    + " --loss.terms cross-entropy --optim.name sgd --optim.lr 0.002",
}
"""Dice is no mean over images. A decoder with batch norm amplifies the last bit of a sum, AdamW far more than SGD."""


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["value"] for row in rows if row["name"] == "loss" and row["split"] == "train"]


@pytest.mark.parametrize("verb", TRAININGS)
def test_two_processes_give_the_losses_of_one(
    flat_images: Path, gratings: Path, pairs: Path, tmp_path: Path, verb: str
) -> None:
    data = {"pretrain": flat_images, "classify": gratings, "segment": pairs}[verb]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for launcher, out in ((["-m"], "one"), (TORCHRUN, "two")):
        words = [verb, "--data", str(data), *TRAININGS[verb].split(), "--out", str(tmp_path / out)]
        command = [sys.executable, *launcher, "headstart", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) >= 20
    assert two == pytest.approx(one, abs=1e-4)
