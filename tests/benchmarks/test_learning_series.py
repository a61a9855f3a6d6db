"""Series: one change at a time, from what is set to why.json, levers.json and their tables."""

import json
from pathlib import Path

import pytest
import timm
import torch
from benchmarks.learning import arms
from benchmarks.learning.__main__ import config_of, parser
from benchmarks.learning.config import BenchConfig, Shape
from benchmarks.learning.datasets import Build
from benchmarks.learning.levers import LEVERS
from benchmarks.learning.series import Series, differing, epochs_of, run_series, run_variant, untouched, variant_config
from benchmarks.learning.series_tables import series_lines
from benchmarks.learning.trials import Trial
from benchmarks.learning.why import WHY
from tests.benchmarks.tiny import BACKBONE, config_in

from headstart.models import weights
from headstart.models.packaged import PACKAGED


def changed_by(series: Series, config: BenchConfig) -> dict[str, set[str]]:
    """Name of a variant -> the settings in which it differs from the variant it changes."""
    shape = Shape("images", BACKBONE, 32)
    found = {}
    for name in series.chosen(None):
        own, reference = (
            variant_config(series, each, shape, config, config.out) for each in (name, series.of(name) or name)
        )
        found[name] = set(differing(own, reference))
    return found


def test_why_changes_one_thing_at_a_time(tmp_path: Path) -> None:
    changed = changed_by(WHY, config_in(tmp_path))
    assert changed["seed_byol"] == set()
    assert changed["lr"] == {"optim.lr"}
    assert changed["batch"] <= {"batch_size"}
    assert changed["heads"] <= {"byol.hidden_size", "byol.projection_size"}
    assert changed["tau"] <= {"byol.tau_base", "byol.tau_end"}
    for name, prefix in (("optimiser", "optim."), ("schedule", "schedule."), ("crops", "views."), ("views", "views.")):
        assert changed[name]
        assert all(key.startswith(prefix) for key in changed[name])
    assert "views.mean_std" not in changed["views"] | changed["colour"]
    single = ("optimiser", "schedule", "views", "batch", "tau", "heads")
    assert set.union(*(changed[name] for name in single)) <= changed["default"]


def test_levers_change_one_thing_at_a_time(tmp_path: Path) -> None:
    changed = changed_by(LEVERS, config_in(tmp_path))
    assert changed.pop("default") == set()
    assert changed.pop("adamw") == {"optim.name", "optim.lr", "optim.weight_decay"}
    assert changed.pop("lars") == {"optim.name", "optim.lr", "optim.weight_decay", "optim.grad_clip"}
    strong = {f"views.{key}" for key in ("crop_scale", "colour", "grey", "blur", "solarise")}
    assert changed.pop("strong-views") == strong
    assert changed == {
        "no-colour": {"views.colour"},
        "no-flips": {"views.flip", "views.vertical_flip", "views.turn"},
        "wide-crops": {"views.crop_scale"},
        "tight-crops": {"views.crop_scale"},
        "mirrored": {"views.flip", "views.vertical_flip", "views.turn"},
        "tau-0.97": {"byol.tau_base"},
        "tau-0.996": {"byol.tau_base"},
        "batch-32": {"batch_size"},
        "batch-128": {"batch_size"},
        "heads-4096": {"byol.hidden_size"},
        "small-images": {"image_size"},
        "lr-half": {"optim.lr"},
        "lr-double": {"optim.lr"},
        "supervised": {"start"},
        "supervised-no-keep": {"byol.keep"},
        "supervised-full-rate": {"byol.started_lr"},
    }
    shape, config = Shape("images", BACKBONE, 32), config_in(tmp_path)
    default, small, half, double = (
        variant_config(LEVERS, name, shape, config, tmp_path)
        for name in ("default", "small-images", "lr-half", "lr-double")
    )
    assert small.image_size == 16
    assert (half.optim.lr, double.optim.lr) == (default.optim.lr / 2, default.optim.lr * 2)


def test_chosen_changes_bring_what_they_are_compared_with() -> None:
    assert LEVERS.chosen(["lr-half", "adamw"]) == ["default", "adamw", "lr-half"]
    assert LEVERS.chosen(["supervised-no-keep"]) == ["default", "supervised", "supervised-no-keep"]
    assert WHY.chosen(None) == ["seed_byol", *WHY.changes]


def test_equal_steps_are_whole_epochs_of_each_batch_size(build: Build, tmp_path: Path) -> None:
    data = build(tmp_path).unlabelled
    shape, config = Shape(data, BACKBONE, 32), config_in(tmp_path, minutes=(), steps=7)
    epochs = {
        name: variant_config(LEVERS, name, shape, config, tmp_path) for name in ("default", "batch-32", "batch-128")
    }
    assert {name: (own.epochs, own.budget_minutes) for name, own in epochs.items()} == dict.fromkeys(epochs, (7, None))
    assert epochs_of(7, data, 16) == 3, "60 images make 3 steps of 16, and 7 steps are begun in the third epoch"
    assert epochs_of(6, data, 16) == 2


def test_why_from_images_to_its_table(build: Build, tmp_path: Path) -> None:
    names = ["seed_byol", "default"]
    told = run_series(WHY, config_in(tmp_path, trained=("frozen",)), build(tmp_path), ["default"])
    assert json.loads((tmp_path / "out" / "why.json").read_text())["entries"] == [json.loads(json.dumps(told))]
    assert [variant["name"] for variant in told["variants"]] == names
    assert all(variant["looks"][-1]["knn"] is not None for variant in told["variants"])
    assert {row["trial"] for row in told["rows"]} == {"scratch", *names}
    assert {(pair["trial"], pair["against"]) for pair in told["differences"]} == {
        *((name, "scratch") for name in names),
        ("default", "seed_byol"),
        ("scratch", "seed_byol"),
    }
    assert any(line.startswith("| `default`") for line in series_lines([told]))


def test_levers_from_supervised_weights_at_equal_steps(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.pth"
    torch.manual_seed(1)
    torch.save(timm.create_model(BACKBONE).state_dict(), file)
    for module in (arms, weights):
        monkeypatch.setattr(module, "packaged_file", lambda architecture: file)
    monkeypatch.setitem(PACKAGED, BACKBONE, PACKAGED["tf_efficientnet_lite0"])
    config = config_in(tmp_path, trained=("frozen",), minutes=(), steps=3, image_size=64)
    told = run_series(LEVERS, config, build(tmp_path), ["small-images", "supervised-no-keep"])
    named = {variant["name"]: variant for variant in told["variants"]}
    assert list(named) == ["default", "small-images", "supervised", "supervised-no-keep"]
    assert {variant["facts"]["steps"] for variant in named.values()} == {3}
    assert named["small-images"]["facts"]["image_size"] == 32
    assert {pair["against"] for pair in told["differences"] if pair["trial"] == "supervised-no-keep"} == {
        "supervised weights",
        "supervised",
    }
    assert {row["trial"] for row in told["rows"]} == {"scratch", "supervised weights", *named}


def test_levers_from_supervised_weights_are_left_out_with_a_reason_where_there_are_none(
    build: Build, tmp_path: Path
) -> None:
    shape, config = Shape(build(tmp_path).unlabelled, BACKBONE, 32), config_in(tmp_path)
    trial, told = run_variant(LEVERS, "supervised-no-keep", shape, config, tmp_path)
    assert trial.start is None
    assert "no supervised weights of test_resnet" in told["skipped"]
    assert untouched([(trial, told)]) == [Trial("scratch", None, "scratch")]


def test_a_series_is_told_minutes_or_steps_and_some_changes() -> None:
    for command, change in (("why", "lr"), ("levers", "adamw")):
        told = parser().parse_args([command, "--out", "x", "--steps", "500", "--changes", change])
        config = config_of(told)
        assert (config.steps, config.minutes, told.changes) == (500, (), [change])
        config = config_of(parser().parse_args([command, "--out", "x", "--minutes", "5"]))
        assert (config.steps, config.minutes) == (None, (5.0,))
        for wrong in (["--steps", "5", "--minutes", "5"], ["--steps", "0"], ["--changes", "nothing-of-it"]):
            with pytest.raises(SystemExit):
                parser().parse_args([command, "--out", "x", *wrong])
