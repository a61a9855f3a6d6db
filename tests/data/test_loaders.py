"""Batches and views as functions of (seed, epoch, index, view)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headstart.configs.views import ViewsConfig
from headstart.data.loaders import Batching, MicroBatches, ViewsDataset
from headstart.data.seeds import derive
from headstart.data.sources import open_source
from headstart.data.views import STYLES, build_views

MEAN_STD = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@given(n=st.integers(2, 60), batch=st.integers(2, 20), seed=st.integers(0, 9))
def test_an_epoch_shows_every_image_at_most_once(n: int, batch: int, seed: int) -> None:
    batching = Batching(n, batch)
    seen = np.concatenate([batching.indices(seed, step) for step in range(batching.steps_per_epoch)])
    assert len(seen) == len(set(seen)) == batching.steps_per_epoch * batching.size
    assert n - len(seen) < batching.size


@given(accumulate=st.integers(1, 4), world=st.integers(1, 3), start=st.integers(0, 9))
def test_splitting_a_batch_changes_who_sees_an_image_but_not_which(accumulate: int, world: int, start: int) -> None:
    batching = Batching(50, 24, accumulate * world)
    steps = range(start, start + 4)
    ranks = [list(MicroBatches(batching, 0, steps, accumulate, rank, world)) for rank in range(world)]
    for i, step in enumerate(steps):
        parts = [ranks[rank][i * accumulate + a] for a in range(accumulate) for rank in range(world)]
        assert [index for part in parts for _, index in part] == batching.indices(0, step).tolist()
        assert {epoch for part in parts for epoch, _ in part} == {step // batching.steps_per_epoch}


def test_epochs_differ_in_order() -> None:
    batching = Batching(40, 40)
    assert batching.indices(0, 0).tolist() != batching.indices(0, 1).tolist()


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_view_is_a_function_of_its_seed(flat_images: Path, style: str) -> None:
    images = open_source(str(flat_images)).train
    config = ViewsConfig(style=style)  # type: ignore[arg-type]
    dataset = ViewsDataset(images, build_views(config, 24, *MEAN_STD, 2), seed=5)
    torch.manual_seed(1)
    first = dataset[3, 7][0]
    torch.manual_seed(2)
    again = dataset[3, 7][0]
    assert torch.equal(first, again)
    assert first.shape == (2, 3, 24, 24)
    assert first.dtype == torch.float32
    if style != "none":
        assert not torch.equal(first, dataset[4, 7][0])
        assert not torch.equal(first[0], first[1])


def test_drawing_a_view_leaves_the_global_generator_alone(flat_images: Path) -> None:
    dataset = ViewsDataset(open_source(str(flat_images)).train, build_views(ViewsConfig(), 24, *MEAN_STD, 1), seed=5)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _ = dataset[0, 0]
    assert torch.equal(torch.rand(3), expected)


def test_derived_seeds_do_not_change_between_versions() -> None:
    assert derive("view", 0, 1, 2) == derive("view", 0, 1, 2)
    assert derive(1, 23) != derive(12, 3)
    assert derive(0, "order", 0) == 1370560536841482319
