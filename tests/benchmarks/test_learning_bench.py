"""The bench from images to learning.json, with the smallest network and seconds of pre-training."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.learning import arms
from benchmarks.learning.arms import ARMS, obstacle
from benchmarks.learning.config import BenchConfig, Shape
from benchmarks.learning.datasets import Build
from benchmarks.learning.experiment import RESULTS, run_bench, save_entry
from benchmarks.learning.knn import KnnJudge
from benchmarks.learning.trials import Trial
from tests.benchmarks.tiny import BACKBONE, MINUTES, config_in

from headstart.analysis.probes import knn_accuracy
from headstart.data.sources import labelled_split, open_source
from headstart.models.backbones import build_backbone
from headstart.models.weights import load_start


@pytest.fixture(scope="module")
def done(build: Build, tmp_path_factory: pytest.TempPathFactory) -> tuple[BenchConfig, dict[str, Any]]:
    config = config_in(tmp_path_factory.mktemp("bench"))
    assert run_bench(config, {"gratings": build}) == []
    (entry,) = json.loads((config.out / RESULTS).read_text())["entries"]
    return config, entry


def test_every_arm_is_judged_under_its_own_name_or_left_out_with_a_reason(done: tuple) -> None:
    _, entry = done
    trials = {trial["arm"]: trial for trial in entry["trials"]}
    assert "no supervised weights of test_resnet" in trials["supervised"]["skipped"]
    there = {"scratch", "ssl-0.01min", "seed_byol-0.01min"}
    if find_spec("lightly"):
        there.add("lightly-0.01min")
    else:
        assert "lightly is not installed" in trials["lightly"]["skipped"]
    assert {row["trial"] for row in entry["rows"]} == there
    assert {(row["trial"], row["trained"]) for row in entry["rows"]} == {
        (t, w) for t in there for w in ("full", "frozen")
    }
    assert set(entry["knn"]["values"]) == there
    assert trials["seed_byol"]["facts"]["batch_size"] == 32
    assert (trials["ssl"]["facts"]["recipe"], trials["seed_byol"]["facts"]["recipe"]) == ("default", "seed_byol")


def test_differences_are_those_of_the_rows_paired_by_seed(done: tuple) -> None:
    _, entry = done
    values = {(row["trial"], row["trained"]): row["values"] for row in entry["rows"]}
    assert {pair["against"] for pair in entry["differences"]} == {"scratch"}
    for pair in entry["differences"]:
        ours, theirs = values[pair["trial"], pair["trained"]], values["scratch", pair["trained"]]
        assert pair["values"] == pytest.approx(np.subtract(ours, theirs))


def test_knn_is_the_products_probe_on_all_images(done: tuple, build: Build) -> None:
    config, entry = done
    judge = KnnJudge(build(config.cache).data, BACKBONE, 32)
    train, val, _ = labelled_split(open_source(build(config.cache).data))
    assert (entry["knn"]["n_train"], entry["knn"]["n_val"]) == (len(train), len(val)) == (60, 30)
    assert len(entry["knn"]["values"]["scratch"]) == config.seeds
    assert judge.of_start("scratch", 2) == entry["knn"]["values"]["scratch"]
    rows = [np.stack([np.asarray(image) for image in images]) for images in pixels_of(train, val)]
    expected = knn_accuracy(rows[0] - rows[0].mean(0), np.array(train.labels), rows[1] - rows[0].mean(0), val.labels)
    assert entry["knn"]["pixels"] == pytest.approx(expected, abs=1 / 30)


def pixels_of(*sets: Any) -> Any:
    from torchvision.transforms import InterpolationMode, v2

    from headstart.data.loaders import read_chw

    small = v2.Resize(32, InterpolationMode.BICUBIC, antialias=True)
    return [[small(read_chw(images, i)).flatten().float() for i in range(len(images))] for images in sets]


def test_a_result_says_under_which_conditions_it_was_made_and_names_no_folder_of_the_machine(done: tuple) -> None:
    config, entry = done
    assert {"date", "commit", "machine", "versions", "threads", "load_average"} <= entry["conditions"].keys()
    assert entry["study"]["wall_seconds"] > 0
    assert all(t["facts"]["wall_seconds"] > 0 for t in entry["trials"] if t["minutes"] and not t["skipped"])
    told = {key: value for key, value in entry.items() if key != "facts"}
    assert str(config.out.parent) not in json.dumps(told)


def test_a_second_call_repeats_no_training_and_a_longer_one_adds_to_it(done: tuple, build: Build) -> None:
    config, entry = done
    before = {path: path.stat().st_mtime_ns for path in config.out.glob("gratings/**/seed-*/result.json")}
    before |= {path: path.stat().st_mtime_ns for path in config.out.glob("gratings/pretrain/*/result.json")}
    assert len(before) > 10
    longer = replace(config, arms=("ssl",), trained=("frozen",), minutes=(MINUTES, 2 * MINUTES))
    assert run_bench(longer, {"gratings": build}) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (again,) = json.loads((config.out / RESULTS).read_text())["entries"]
    same = [row["values"] for row in again["rows"] if (row["trial"], row["trained"]) == ("ssl-0.01min", "frozen")]
    assert same == [
        row["values"] for row in entry["rows"] if (row["trial"], row["trained"]) == ("ssl-0.01min", "frozen")
    ]
    assert "ssl-0.02min" in {row["trial"] for row in again["rows"]}


def test_a_data_set_that_fails_is_named_and_costs_no_other(tmp_path: Path, build: Build) -> None:
    config = config_in(tmp_path, task="segment")
    (failed,) = run_bench(config, {"gratings": build})
    assert "has no masks" in failed
    assert not (config.out / RESULTS).exists()


def test_entries_are_kept_by_data_set_task_and_backbone(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    first = {"dataset": "a", "task": "classify", "config": {"backbone": "x"}, "n": 1}
    for entry in (first, first | {"dataset": "b"}, first | {"n": 2}):
        save_entry(path, entry)
    kept = json.loads(path.read_text())["entries"]
    assert [(entry["dataset"], entry["n"]) for entry in kept] == [("b", 1), ("a", 2)]


def test_arms_say_what_stands_in_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms.importlib.util, "find_spec", lambda name: None)
    assert "lightly" in obstacle(ARMS["lightly"], BACKBONE)
    assert obstacle(ARMS["ssl"], BACKBONE) is None
    assert "supervised weights" in obstacle(ARMS["ssl+supervised"], BACKBONE)
    assert obstacle(ARMS["ssl+supervised"], "tf_efficientnet_lite0") is None


@pytest.fixture
def lightly_byol() -> Any:
    pytest.importorskip("lightly")
    from benchmarks.learning import lightly_byol

    return lightly_byol


def test_lightlys_target_moves_before_the_loss_and_takes_no_gradient(lightly_byol: Any) -> None:
    torch.manual_seed(0)
    model = lightly_byol.LightlyByol(build_backbone(BACKBONE, 32))
    with torch.no_grad():
        for parameter in model.projection_head.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in model.projection_head_momentum.parameters()]
    model.loss(torch.randn(4, 3, 32, 32), torch.randn(4, 3, 32, 32)).backward()
    online, target = model.projection_head.parameters(), model.projection_head_momentum.parameters()
    for was, here, there in zip(before, online, target, strict=True):
        torch.testing.assert_close(there, 0.99 * was + 0.01 * here)
        assert there.grad is None
        assert here.grad is not None


def test_lightlys_weights_are_a_start_of_the_product(lightly_byol: Any, gratings: Path, tmp_path: Path) -> None:
    out = tmp_path / "lightly-test"
    shape = Shape(f"classes:{gratings}", BACKBONE, 32)
    facts = lightly_byol.pretrain_lightly(shape, MINUTES, out)
    assert facts["status"] == "finished"
    assert facts["seconds"] >= 60 * MINUTES
    assert facts["batch_size"] == 60, "as many images as there are, where these are fewer than 128"
    backbone = build_backbone(BACKBONE, 32)
    report = load_start(backbone, f"supervised={out / 'lightly-test.safetensors'}")
    assert report is not None
    assert report.share == 1.0
    assert lightly_byol.pretrain_lightly(shape, 60.0, out) == facts, "a finished one is repeated"


def test_names_of_trials() -> None:
    assert Trial("ssl", 20.0, "ssl=x").name == "ssl-20min"
    assert Trial("scratch", None, "scratch").name == "scratch"
