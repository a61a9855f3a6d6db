"""Learning rates are chosen alike for all starts, on labelled training images alone, and nothing is trained twice."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import write_classes

from headstart.analysis.store import Store
from headstart.configs.study import StudyConfig
from headstart.errors import DataError, RunError, TrainingStopped
from headstart.models.backbones import Backbone
from headstart.results import StudyResult
from headstart.studies import execute, tuning
from headstart.studies.execute import run_config, run_study, take_in_data
from headstart.studies.plan import plan
from headstart.studies.tasks import TASKS
from headstart.studies.tuning import Rates, choose_rates
from headstart.tasks.classify import classify, classify_together, ways

N_TRAIN, GRID, PARTS = 24, (0.3, 1.0, 3.0), 2


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """train/ with 24 and val/ with 8 images of two classes."""
    write_classes(tmp_path / "images" / "train", N_TRAIN // 2, 2, seed=0)
    write_classes(tmp_path / "images" / "val", 4, 2, seed=1)
    return tmp_path / "images"


def study(data: Path, out: Path, **changes: Any) -> StudyConfig:
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "image_size": 32,
        "starts": (),
        "trained": ("full",),
        "seeds": 1,
        "label_fractions": (1.0,),
        "epochs": 1,
        "min_steps": 6,
        "lr_grid": GRID,
        "tune_folds": PARTS,
        "precision": "fp32",
        "workers": 0,
    }
    return StudyConfig(data=str(data), out=out, **(settings | changes))


def choose(config: StudyConfig, before: Callable[[], None] = lambda: None) -> Rates:
    """The rates of a study whose data were taken in; ``before`` happens in between."""
    task = TASKS[config.task]
    config.out.mkdir(parents=True)
    store = Store(shared=True)
    data = take_in_data(config, task, task.open(config.data), store)
    before()
    return choose_rates(
        config, task, {run: run_config(config, task, run) for run in plan(config)}, data.part_sizes, store
    )


def watch_trainings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configs of the classifiers that are trained from now on, one by one or together."""
    seen: list[Any] = []

    def run(config: Any, store: Store) -> Any:
        if not (config.out / "result.json").is_file():
            seen.append(config)
        return classify(config, store)

    def run_together(configs: Any, store: Store, keep: Any) -> Any:
        done = classify_together(configs, store, keep)
        seen.extend(config for config in configs if config.out in done)
        return done

    watched = dataclasses.replace(TASKS["classify"], run=run, run_together=run_together)
    monkeypatch.setitem(TASKS, "classify", watched)
    return seen


def spoil(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        file.write_bytes(b"not an image")


def test_validation_images_that_cannot_be_read_change_nothing(images: Path, tmp_path: Path) -> None:
    whole = choose(study(images, tmp_path / "whole"))
    blind = choose(study(images, tmp_path / "blind"), before=lambda: spoil(images / "val"))
    with pytest.raises(DataError):
        choose(study(images, tmp_path / "neither"))  # the files are unreadable indeed
    assert scores_of(blind) == scores_of(whole)
    assert any(score is not None for score in scores_of(whole)["scratch/full", 1.0])


def test_a_validation_side_that_says_the_opposite_changes_nothing(images: Path, tmp_path: Path) -> None:
    straight = choose(study(images, tmp_path / "straight"))
    first, second = (images / "val" / f"class-{label}" for label in (0, 1))
    first.rename(images / "val" / "other")
    second.rename(first)
    (images / "val" / "other").rename(second)
    crossed = choose(study(images, tmp_path / "crossed"))
    assert scores_of(crossed) == scores_of(straight)


def scores_of(rates: Rates) -> dict[tuple[str, float], list[float | None]]:
    return {key: rate.scores for key, rate in rates.items()}


def test_all_starts_meet_the_same_grid_parts_images_and_steps(images: Path, tmp_path: Path, monkeypatch) -> None:
    seen = watch_trainings(monkeypatch)
    held: dict[Path, tuple[Any, Any]] = {}
    full = ways.Full

    def noted(session: Any, config: Any, backbone: Any, data: Any, store: Store) -> ways.Full:
        held[config.out] = (data.train.names, data.val.names)
        return full(session, config, backbone, data, store)

    monkeypatch.setattr("headstart.tasks.classify.verb.Full", noted)
    result = run_study(study(images, tmp_path / "study", starts=("ssl",), seeds=2, pretrain_epochs=1))
    tried = [config for config in seen if config.held_out is not None]
    by_start = {
        start: [
            (config.held_out, config.optim.lr, *held[config.out]) for config in tried if config.start.startswith(start)
        ]
        for start in ("scratch", "ssl")
    }
    assert by_start["scratch"] == by_start["ssl"]
    assert len(tried) == 2 * len(GRID) * PARTS
    assert {config.seed for config in tried} == {0}
    assert {round(config.optim.lr / 1e-3, 9) for config in tried} == set(GRID)
    names = {f"class-{label}/{i:03}.png" for label in (0, 1) for i in range(N_TRAIN // 2)}
    for config in tried:
        train, val = held[config.out]
        assert set(train) | set(val) == names
        assert not set(train) & set(val)
    parts = {config.held_out: set(held[config.out][1]) for config in tried}
    assert not parts[0] & parts[1]
    assert {row.lr.n_held_out for row in result.rows} == {len(parts[0] | parts[1])}
    assert {read_result(config.out)["steps"] for config in tried} == {6}


def read_result(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())


def test_the_facts_in_the_result_are_those_of_the_trainings(images: Path, tmp_path: Path) -> None:
    out, grid = tmp_path / "study", (2.0, 3.0)  # without 1, so that the runs compared must have another rate
    result = run_study(study(images, out, seeds=2, lr_grid=grid))
    (row,) = result.rows
    rate = row.lr
    runs = {
        (float(path.parent.parent.name.removeprefix("lr-")), path.parent.name): json.loads(path.read_text())
        for path in out.glob("runs/scratch/full/labels-1.0/tuning/*/*/result.json")
    }
    assert len(runs) == rate.trainings == len(grid) * PARTS
    assert {run["split"] for run in runs.values()} == {
        f"held out of the labelled training images (part {part + 1} of 5)" for part in range(PARTS)
    }
    right = {m: sum(np.trace(run["confusion"]) for (at, _), run in runs.items() if at == m) for m in grid}
    assert rate.scores == pytest.approx([right[multiple] / rate.n_held_out for multiple in grid])
    assert rate.seconds == pytest.approx(sum(run["seconds"] for run in runs.values()))
    assert result.seconds == pytest.approx(row.seconds + rate.seconds)
    for seed in (0, 1):
        settings = json.loads((out / f"runs/scratch/full/labels-1.0/seed-{seed}/config.json").read_text())["config"]
        assert settings["optim"]["lr"] == rate.lr == pytest.approx(1e-3 * rate.chosen)
        assert settings["held_out"] is None
    kept = sorted(path.name for path in next(out.glob("runs/scratch/full/labels-1.0/tuning/*/*")).iterdir())
    assert kept == ["config.json", "data.json", "metrics.jsonl", "result.json"]


def test_a_study_killed_between_choice_and_comparison_repeats_nothing(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = (1.0, 3.0)
    config = study(images, tmp_path / "study", trained=("full", "frozen"), lr_grid=grid, min_steps=3)
    whole = run_study(config.model_copy(update={"out": tmp_path / "whole"}))
    with monkeypatch.context() as killed:
        killed.setattr(execute, "run_all", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_study(config)
    tried = {path: path.stat().st_mtime_ns for path in config.out.glob("runs/**/tuning/**/*") if path.is_file()}
    assert len([path for path in tried if path.name == "result.json"]) == 2 * len(grid) * PARTS
    seen = watch_trainings(monkeypatch)
    resumed = run_study(config)
    assert {path: path.stat().st_mtime_ns for path in tried} == tried
    assert [each.held_out for each in seen] == [None, None]
    told = [(row.values, row.lr.scores, row.lr.chosen) for row in resumed.rows]
    assert told == [(row.values, row.lr.scores, row.lr.chosen) for row in whole.rows]


def test_one_value_trains_nothing_more_and_changes_nothing(images: Path, tmp_path: Path) -> None:
    config = study(images, tmp_path / "study", lr_grid=(1.0,))
    result = run_study(config)
    (run,) = plan(config)
    alone = classify(run_config(config, TASKS["classify"], run).model_copy(update={"out": tmp_path / "alone"}))
    assert result.rows[0].values == [alone.accuracy]
    trained = json.loads((config.out / run.folder / "config.json").read_text())["config"]
    plain = json.loads((tmp_path / "alone" / "config.json").read_text())["config"]
    assert {key for key in plain if plain[key] != trained[key]} == {"out"}
    assert not list(config.out.glob("runs/**/tuning"))
    rate = result.rows[0].lr
    assert (rate.grid, rate.scores, rate.chosen, rate.trainings, rate.seconds) == ([1.0], [None], 1.0, 0, 0.0)


def test_frozen_features_are_computed_once_for_all_rates_and_parts(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    extract = ways.extract

    def counted(network: Any, images: Any, *rest: Any) -> np.ndarray:
        if isinstance(network, Backbone):  # else a fully trained classifier predicts
            looked_at.append(len(images))
        return extract(network, images, *rest)

    monkeypatch.setattr(ways, "extract", counted)
    choose(study(images, tmp_path / "study", trained=("frozen",), label_fractions=(0.5, 1.0), min_steps=2))
    assert looked_at == [N_TRAIN]


def test_what_diverges_is_not_chosen(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(config: Any, store: Store) -> Any:
        if config.optim.lr < 2e-3:
            raise TrainingStopped("diverged", "The loss is no longer a finite number.")
        return classify(config, store)

    monkeypatch.setitem(TASKS, "classify", dataclasses.replace(TASKS["classify"], run=run))
    rate = choose(study(images, tmp_path / "study"))["scratch/full", 1.0]
    assert rate.scores[:2] == [None, None]
    assert rate.chosen == 3.0
    assert rate.at_edge


def test_too_few_labels_to_hold_out_any_are_told_and_take_the_rate_nearest_to_the_recipes(
    images: Path, tmp_path: Path
) -> None:
    result = run_study(study(images, tmp_path / "study", label_fractions=(0.05, 1.0), lr_grid=(0.5, 3.0)))
    few, many = (row.lr for row in result.rows)
    assert (few.chosen, few.trainings, few.note) == (0.5, 0, tuning.NOTHING_TO_HOLD_OUT)
    assert many.trainings == 2 * PARTS
    told = "For scratch/full with 5 % of the labels no learning rate could be chosen, and x 0.5 was taken: no image"
    assert any(detail.startswith(told) for detail in result.verdict.details)


def test_the_choice_of_a_study_cannot_change_and_one_from_before_goes_on_as_it_began(
    images: Path, tmp_path: Path
) -> None:
    config = study(images, tmp_path / "study", lr_grid=(1.0,), tune_folds=3)
    run_study(config)
    with pytest.raises(RunError, match="lr_grid: begun with"):
        run_study(config.model_copy(update={"lr_grid": GRID}))
    record = json.loads((config.out / "config.json").read_text())
    del record["config"]["lr_grid"], record["config"]["tune_folds"]
    (config.out / "config.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"lr_grid: begun with \[1.0\], now \[0.3, 1.0, 3.0\]"):
        run_study(config.model_copy(update={"lr_grid": GRID}))
    assert run_study(config.model_copy(update={"seeds": 2})).rows[0].seeds == [0, 1]


def test_a_result_from_before_rates_were_chosen_is_read(images: Path, tmp_path: Path) -> None:
    result = run_study(study(images, tmp_path / "study", lr_grid=(1.0,)))
    old = json.loads(result.model_dump_json())
    for row in old["rows"]:
        del row["lr"]
    assert StudyResult.model_validate(old).rates == []


def test_pairs_are_held_out_as_their_fractions_are_drawn(tmp_path: Path) -> None:
    """Segmentation: whole pairs of the drawn share, blind to the validation side; the best mean IoU is taken."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("validation", 3)):
        folder = tmp_path / "pairs" / part
        folder.mkdir(parents=True)
        for i in range(n):
            land = np.arange(64) < rng.integers(16, 48)
            mask = np.where(land[None, :, None], (0, 255, 0), (0, 0, 255)) * np.ones((64, 1, 1))
            Image.fromarray((mask * 0.6 + rng.normal(60, 9, mask.shape)).clip(0, 255).astype(np.uint8)).save(
                folder / f"{i:04}_sat.jpg"
            )
            Image.fromarray(mask.astype(np.uint8)).save(folder / f"{i:04}_mask.png")
    config = study(
        tmp_path / "pairs", tmp_path / "study", task="segment", image_size=64, min_steps=2, label_fractions=(0.5,)
    )
    rate = choose(config, before=lambda: spoil_pairs(tmp_path / "pairs" / "validation"))["scratch/full", 0.5]
    assert (rate.folds, rate.trainings, rate.n_held_out) == (PARTS, len(GRID) * PARTS, 3)
    assert rate.chosen == GRID[int(np.argmax(rate.scores))] or len(set(rate.scores)) < len(GRID)
    runs = [read_result(path.parent) for path in config.out.glob("runs/**/tuning/lr-1.0/*/result.json")]
    assert sorted((run["n_train"], run["n_val"]) for run in runs) == [(4, 2), (5, 1)]
    assert {run["split"] for run in runs} == {
        f"held out of the labelled training images (part {part} of 5)" for part in (1, 2)
    }


def spoil_pairs(folder: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes(b"not an image")
