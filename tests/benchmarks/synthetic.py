"""A hand-made learning.json: one data set, four trials, two shares of the labels."""

from typing import Any

CONDITIONS = {
    "date": "2026-11-23T12:00:00+00:00",
    "commit": "abc1234567",
    "machine": {"processor": "A Processor", "cores": 2},
    "versions": {"torch": "2.14.1"},
    "threads": 2,
    "load_average": [0.5, 0.5, 0.5],
}
FACTS = {
    "source": "drawings",
    "version": "1.0",
    "licence": "CC0",
    "split": "20 % held out",
    "train": {"a": 40, "b": 40},
    "val": {"a": 10, "b": 10},
    "unlabelled": 0,
    "left_out": {},
}


def trial(arm: str, minutes: float | None, skipped: str | None = None, **facts: Any) -> dict[str, Any]:
    measured = {
        "status": "finished",
        "steps": 100,
        "batch_size": 64,
        "wall_seconds": 300.0,
        "images_per_second": 25.0,
        "knn_before": 0.4,
        "knn": 0.5,
        "early_word": None,
    }
    return {
        "arm": arm,
        "minutes": minutes,
        "start": None,
        "skipped": skipped,
        "facts": {} if minutes is None or skipped else measured | facts,
    }


def row(trial: str, trained: str, fraction: float, mean: float) -> dict[str, Any]:
    labels = round(80 * fraction)
    return {"trial": trial, "trained": trained, "label_fraction": fraction, "n_labels": labels, "mean": mean}


def pair(trial: str, against: str, trained: str, fraction: float, mean: float, ci95: Any) -> dict[str, Any]:
    return {
        "trial": trial,
        "against": against,
        "trained": trained,
        "label_fraction": fraction,
        "values": [mean, mean],
        "mean": mean,
        "ci95": ci95,
    }


def entry() -> dict[str, Any]:
    return {
        "dataset": "drawings",
        "task": "classify",
        "facts": FACTS,
        "config": {"backbone": "resnet18", "image_size": 32, "seeds": 2, "minutes": [5.0]},
        "conditions": CONDITIONS,
        "trials": [
            trial("scratch", None),
            trial("supervised", None),
            trial("ssl", 5.0, early_word={"verdict": "go on"}),
            trial("seed_byol", 5.0, early_word={"verdict": "stop"}, status="collapsed"),
            trial("ssl+supervised", 5.0, early_word={"verdict": "go on"}),
            trial("lightly", 5.0, skipped="the package lightly is not installed"),
        ],
        "knn": {"values": {"scratch": [0.3, 0.4], "ssl-5min": [0.55]}, "pixels": 0.25, "n_train": 80, "n_val": 20},
        "metric": "accuracy",
        "n_val": 20,
        "rows": [
            row("scratch", "full", 0.1, 0.4),
            row("scratch", "full", 1.0, 0.6),
            row("ssl-5min", "full", 0.1, 0.5),
            row("ssl-5min", "full", 1.0, 0.61),
            row("ssl-5min", "frozen", 0.1, 0.45),
            row("seed_byol-5min", "full", 0.1, 0.35),
            row("supervised", "full", 0.1, 0.7),
            row("ssl+supervised-5min", "full", 0.1, 0.69),
        ],
        "differences": [
            pair("ssl-5min", "scratch", "full", 0.1, 0.1, [0.05, 0.15]),
            pair("ssl-5min", "scratch", "full", 1.0, 0.01, [-0.02, 0.04]),
            pair("seed_byol-5min", "scratch", "full", 0.1, -0.05, [-0.09, -0.01]),
            pair("supervised", "scratch", "full", 0.1, 0.3, None),
            pair("ssl+supervised-5min", "scratch", "full", 0.1, 0.29, [0.2, 0.38]),
            pair("ssl+supervised-5min", "supervised", "full", 0.1, -0.01, [-0.03, 0.01]),
        ],
        "left_out": [],
        "warnings": [],
        "study": {"training_seconds": 3000.0, "wall_seconds": 3600.0},
    }


def series(base: str, variants: list[dict[str, Any]], steps: int | None = None, **found: Any) -> dict[str, Any]:
    """An entry of why.json or levers.json; what a variant does not say of itself is that of a finished one."""
    facts = {
        "status": "finished",
        "steps": 100,
        "batch_size": 32,
        "loss_first": 4.07,
        "loss_last": 0.16,
        "knn_before": 0.6,
        "knn": 0.35,
        "feature_std": 0.1,
        "effective_rank": 12.3,
    }
    looks = [{"step": 50, "knn": 0.62}, {"step": 100, "knn": 0.35}]
    usual = {"facts": facts, "looks": looks, "skipped": None, "began_from": "scratch", "of": base, "changed": {}}
    shape = {"backbone": "resnet18", "image_size": 32, "seeds": 2}
    return {
        "dataset": "drawings",
        "task": "classify",
        "base": base,
        "facts": FACTS,
        "config": shape | {"minutes": [] if steps else [5.0], "steps": steps},
        "conditions": CONDITIONS,
        "variants": [usual | variant for variant in variants],
        "n_val": 20,
        "study": {"training_seconds": 3000.0, "wall_seconds": 3600.0},
        **found,
    }


def why() -> dict[str, Any]:
    return series(
        "seed_byol",
        [
            {"name": "seed_byol", "words": "nothing", "of": None},
            {"name": "lr", "words": "learning rate", "changed": {"optim.lr": [0.01, 0.0005]}},
            {"name": "tau", "words": "momentum", "skipped": "it was not to be"},
        ],
        rows=[row(name, "full", 0.1, mean) for name, mean in (("lr", 0.5), ("scratch", 0.4), ("seed_byol", 0.3))],
        differences=[
            pair("lr", "scratch", "full", 0.1, 0.1, [0.05, 0.15]),
            pair("lr", "seed_byol", "full", 0.1, 0.2, [0.15, 0.25]),
            pair("seed_byol", "scratch", "full", 0.1, -0.1, [-0.2, 0.0]),
            pair("scratch", "seed_byol", "full", 0.1, 0.1, [0.0, 0.2]),
        ],
    )


def levers() -> dict[str, Any]:
    names = {"scratch": 0.4, "supervised weights": 0.7, "default": 0.5, "supervised": 0.72, "supervised-no-keep": 0.66}
    own = {"began_from": "supervised weights"}
    no_keep = {"name": "supervised-no-keep", "words": "nothing keeps", "of": "supervised"}
    return series(
        "default",
        [
            {"name": "default", "words": "nothing", "of": None},
            own | {"name": "supervised", "words": "weights", "changed": {"start": ["scratch", "supervised"]}},
            own | no_keep | {"changed": {"byol.keep": [4.0, 0.0]}},
        ],
        steps=1000,
        rows=[row(name, "full", 0.1, mean) for name, mean in names.items()],
        differences=[
            pair("default", "scratch", "full", 0.1, 0.1, None),
            pair("supervised", "supervised weights", "full", 0.1, 0.02, None),
            pair("supervised", "default", "full", 0.1, 0.22, None),
            pair("supervised-no-keep", "supervised weights", "full", 0.1, -0.04, None),
            pair("supervised-no-keep", "supervised", "full", 0.1, -0.06, None),
            pair("supervised weights", "default", "full", 0.1, 0.2, None),
        ],
    )
