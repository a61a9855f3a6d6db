"""What docs/reference/reproducibility.md promises: which changes leave every bit, and which the losses to 1e-4."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.e2e.test_segment import scene
from tests.invariants.short_trainings import CLASSIFY, SEGMENT, STEPS, train

from headstart.comparison.compare import compare_runs
from headstart.comparison.run_record import read_record
from headstart.configs.segment import CropsConfig
from headstart.configs.views import ViewsConfig
from headstart.data.crops import CropView, PairsDataset
from headstart.data.loaders import Batching, MicroBatches, ViewsDataset, training_loader
from headstart.data.pairs import open_pairs
from headstart.data.palettes import DEEPGLOBE
from headstart.data.sources import open_source
from headstart.data.views import build_views

TOLERANCE = 1e-4
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ with 24 and validation/ with 2 pairs of 64 pixels, each pixel of a known class."""
    root, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for part, n in (("train", 24), ("validation", 2)):
        (root / part).mkdir()
        for i in range(n):
            scene(rng, root / part, i, unknown=False)
    return root


@pytest.fixture(scope="module")
def trained(gratings: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """A function: the directory of a training, done once for each name and change."""
    root, done = tmp_path_factory.mktemp("trained"), dict[str, Path]()

    def run(name: str, **changes: Any) -> Path:
        key = f"{name}{sorted(changes.items())}"
        if key not in done:
            done[key] = root / str(len(done))
            train(name, gratings, pairs, done[key], **changes)
        return done[key]

    return run


def losses(run: Path) -> list[float | None]:
    """Of the first 20 steps."""
    found = list(read_record(run).curves["train", "loss"].values())[:STEPS]
    assert len(found) == STEPS
    return found


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", [*CLASSIFY, *SEGMENT])
def test_the_number_of_workers_changes_no_bit(trained: Train, name: str, workers: int) -> None:
    """Every loss and score, the result and the exported weights. (Pre-training: tests/e2e and tests/comparison.)"""
    result = compare_runs(trained(name), trained(name, workers=workers))
    assert result.differences == []
    assert result.without_effect == ["out", "workers"]
    assert result.n_weights > 0


@pytest.mark.parametrize("parts", [(2, 1), (4, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("task", ["views", "crops"])
def test_splits_of_a_batch_are_the_same_samples_bit_for_bit(
    gratings: Path, pairs: Path, task: str, parts: tuple[int, int]
) -> None:
    """(micro-batches, processes): each step has the images that one batch has, in that order, with the same views."""
    dataset: Any = (
        ViewsDataset(open_source(str(gratings)).train, build_views(ViewsConfig(), 32, *HALF, 2), seed=0)
        if task == "views"
        else PairsDataset(open_pairs(str(pairs)).train, DEEPGLOBE, CropView(CropsConfig(), 32, *HALF), 0, 6, 1, False)
    )
    accumulate, world = parts
    steps = range(5)

    def shown(accumulate: int, world: int) -> list[list[torch.Tensor]]:
        batching = Batching(len(dataset), 8, accumulate * world)
        ranks = [
            list(training_loader(dataset, MicroBatches(batching, 0, steps, accumulate, rank, world), 0))
            for rank in range(world)
        ]
        in_order = [[ranks[r][s * accumulate + a] for a in range(accumulate) for r in range(world)] for s in steps]
        return [[torch.cat(column) for column in zip(*micro_batches, strict=True)] for micro_batches in in_order]

    for whole, split in zip(shown(1, 1), shown(accumulate, world), strict=True):
        assert len(whole[0]) == 8
        assert all(torch.equal(a, b) for a, b in zip(whole, split, strict=True))


@pytest.mark.parametrize("accumulate", [2, 4])
@pytest.mark.parametrize("name", ["layer norm", "frozen", "frozen, augmented"])
def test_without_batch_norm_accumulation_gives_the_losses_of_one_batch(
    trained: Train, name: str, accumulate: int
) -> None:
    split = losses(trained(name, accumulate=accumulate))
    assert split == pytest.approx(losses(trained(name)), abs=TOLERANCE)


def test_with_batch_norm_it_does_not_and_the_comparison_says_by_what(trained: Train) -> None:
    result = compare_runs(trained("batch norm"), trained("batch norm", accumulate=2))
    assert result.first is not None
    assert (result.first.kind, result.first.name) == ("setting", "accumulate")
    assert result.first_step is not None
    assert (result.first_step.name, result.first_step.step) == ("train loss", 2)  # at 1 the head is zero: ln 3 each
    assert result.first_step.largest is not None
    assert result.first_step.largest > TOLERANCE
