"""Heads trained together are those trained one by one: the same run directories, the same numbers but for rounding."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.data.loaders import Batching
from headstart.models.classifier import FeatureClassifier
from headstart.results import ClassifyResult
from headstart.tasks.classify import classify, classify_together, heads, together, ways
from headstart.tasks.classify.heads import Head, train_heads
from headstart.training.loop import Plan
from headstart.training.runtime import make_fabric

CLOSE = {"rtol": 2e-4, "atol": 2e-6}
"""AdamW divides by the root of a mean square, so that rounding of small gradients grows to this over some dozen steps
in float32; a head with another rate, order or share of the labels differs by more than 0.01."""


def config(data: Path, out: Path, **changes: Any) -> ClassifyConfig:
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "image_size": 32,
        "batch_size": 8,
        "frozen": True,
        "epochs": 4,
        "min_steps": 30,
        "evaluations": 1,
        "save_features": False,
        "resume": True,
        "precision": "fp32",
        "workers": 0,
    }
    return ClassifyConfig(data=str(data), out=out, **(settings | changes))


def several(data: Path, out: Path, **changes: Any) -> list[ClassifyConfig]:
    """Two seeds, two shares of the labels, two rates, and one that is judged on a held-out part."""
    runs = [
        config(data, out / f"{seed}-{share}-{lr}", seed=seed, label_fraction=share, optim={"lr": lr}, **changes)
        for seed in (0, 1)
        for share in (0.4, 1.0)
        for lr in (1e-3, 1e-2)
    ]
    return [*runs, config(data, out / "held-out", held_out=1, **changes)]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("precision", "optimiser"), [("fp32", "adamw"), ("bf16", "adamw"), ("fp32", "sgd"), ("fp32", "adam")]
)
def test_together_is_one_by_one(gratings, tmp_path, precision, optimiser):
    changes = {"precision": precision}
    runs = [
        each.model_copy(update={"optim": each.optim.model_copy(update={"name": optimiser})})
        for each in several(gratings, tmp_path / "together", **changes)
    ]
    results = classify_together(runs, Store(shared=True), keep={each.out for each in runs})
    assert set(results) == {each.out for each in runs}
    store = Store(shared=True)
    for run in runs:
        alone = classify(run.model_copy(update={"out": tmp_path / "alone" / run.out.name}), store)
        assert results[run.out].model_copy(update={"seconds": alone.seconds}) == alone
        assert ClassifyResult.model_validate_json((run.out / "result.json").read_text()) == results[run.out]
        compare_directories(run.out, tmp_path / "alone" / run.out.name)


def compare_directories(one: Path, other: Path) -> None:
    """The same measurements, weights and facts."""
    for ours, theirs in zip(rows(one), rows(other), strict=True):
        assert {**ours, "time": 0, "value": 0} == {**theirs, "time": 0, "value": 0}
        assert ours["value"] == pytest.approx(theirs["value"], rel=2e-4, abs=2e-6)
    ours, theirs = (load_file(folder / "export" / "head.safetensors") for folder in (one, other))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, **CLOSE)
    assert (one / "data.json").read_text() == (other / "data.json").read_text()
    assert (one / "export" / "backbone.safetensors").read_bytes() == (
        other / "export" / "backbone.safetensors"
    ).read_bytes()
    said = [json.loads((folder / "config.json").read_text()) for folder in (one, other)]
    for each in said:
        each["config"].pop("out")
    assert said[0] == said[1]


def test_the_backbone_runs_once_for_all(gratings, tmp_path, monkeypatch):
    seen = []
    extract = ways.extract

    def counted(network, images, *rest):
        seen.append(len(images))
        return extract(network, images, *rest)

    monkeypatch.setattr(ways, "extract", counted)
    one_seed = [each for each in several(gratings, tmp_path) if each.seed == 0]
    classify_together(one_seed, Store(shared=True))
    assert sorted(seen) == [30, 60]


def test_a_finished_run_is_read_back(gratings, tmp_path):
    runs = several(gratings, tmp_path)
    first = classify_together(runs[:3], Store(shared=True))
    assert not (runs[0].out / "export").exists()  # nobody asked to keep a model
    stamp = (runs[0].out / "result.json").stat().st_mtime_ns
    again = classify_together(runs, Store(shared=True))
    assert set(again) == {each.out for each in runs[3:]}
    assert classify(runs[0]) == first[runs[0].out]
    assert (runs[0].out / "result.json").stat().st_mtime_ns == stamp


def test_a_kill_before_the_result_leaves_a_run_to_go_on_with(gratings, tmp_path, monkeypatch):
    runs = several(gratings, tmp_path)[:2]

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(together, "summarise", killed)
        with pytest.raises(KeyboardInterrupt):
            classify_together(runs, Store(shared=True))
    assert (runs[0].out / "config.json").is_file()
    store = Store(shared=True)
    again = classify_together(runs, store)
    whole = classify_together(several(gratings, tmp_path / "whole")[:2], store)
    for run, result in zip(runs, whole.values(), strict=True):
        assert again[run.out].model_copy(update={"seconds": result.seconds}) == result


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_which_heads_are_beside_it_does_not_change_a_bit_of_a_head(precision):
    fabric = make_fabric(config(Path("x"), Path("y")), precision)
    many = [head(seed, lr) for seed in range(5) for lr in (1e-2, 3e-2)]
    train_heads(many, fabric)
    for i, each in enumerate(head(seed, lr) for seed in range(5) for lr in (1e-2, 3e-2)):
        train_heads([each], fabric)
        assert many[i].losses == each.losses
        assert torch.equal(many[i].module.head.weight, each.module.head.weight)
        assert torch.equal(many[i].module.head.bias, each.module.head.bias)


@pytest.mark.parametrize(
    "changes",
    [
        {"frozen": False},
        {"frozen_views": 2},
        {"evaluations": 2},
        {"save_features": True},
        {"optim": {"name": "lars"}},
        {"accumulate": 2},
        {"budget_minutes": 0.1},
    ],
)
def test_other_trainings_are_left_to_themselves(tmp_path, changes):
    assert together.can_join(config(tmp_path, tmp_path / "run"))
    assert not together.can_join(config(tmp_path, tmp_path / "run", **changes))


def head(seed: int, lr: float = 1e-2, n: int = 40, scale: float = 1.0) -> Head:
    generator = torch.Generator().manual_seed(seed)
    features = scale * torch.randn(n, 12, generator=generator)
    labels = torch.randint(3, (n,), generator=generator)
    base = config(Path("x"), Path("y"))
    optim = base.optim.model_copy(update={"lr": lr})
    batching = Batching(n, 8)
    plan = Plan(20, batching.steps_per_epoch, 8, 1, seed, optim, base.schedule)
    module = FeatureClassifier(torch.zeros(12), torch.ones(12), 3)
    return Head(module, features, labels, plan, batching)


@pytest.fixture(scope="module")
def fabric():
    return make_fabric(config(Path("x"), Path("y")), "fp32")


def test_a_head_that_diverges_spoils_no_other(fabric):
    sound, alone = head(0), head(0)
    broken = head(1)
    broken.features[3, 4] = float("nan")
    train_heads([sound, broken, head(2)], fabric)
    train_heads([alone], fabric)
    assert sound.sound
    assert not broken.sound
    torch.testing.assert_close(sound.module.head.weight, alone.module.head.weight, **CLOSE)
    np.testing.assert_allclose(sound.losses, alone.losses, rtol=1e-5)


def test_each_head_has_its_own_rate_order_and_clipping(fabric):
    trained = [head(0), head(0, lr=3e-2), head(1), head(0, scale=50.0)]
    assert len({each.alike for each in trained}) == 1
    train_heads(trained, fabric)
    for i, each in enumerate((head(0), head(0, lr=3e-2), head(1), head(0, scale=50.0))):
        train_heads([each], fabric)
        torch.testing.assert_close(trained[i].module.head.weight, each.module.head.weight, **CLOSE)
    weights = [each.module.head.weight for each in trained]
    assert min(float((a - b).abs().max().detach()) for a in weights for b in weights if a is not b) > 0.01


def test_heads_of_other_lengths_are_not_alike():
    assert head(0).alike == head(5, lr=1.0, n=44).alike
    assert head(0).alike != head(0, n=60).alike  # more steps an epoch, so another schedule


def test_a_diverging_run_is_told_of_by_the_ordinary_way(gratings, tmp_path, monkeypatch):
    runs = several(gratings, tmp_path)[:3]

    def spoiled(each: Any, fabric: Any) -> None:
        heads.train_heads(each, fabric)
        each[0].sound = False

    monkeypatch.setattr(together, "train_heads", spoiled)
    results = classify_together(runs, Store(shared=True))
    missing = [run for run in runs if run.out not in results]
    assert missing
    assert all(not (run.out / "config.json").exists() for run in missing)
    assert classify(missing[0]).steps > 0  # its directory is as good as new
