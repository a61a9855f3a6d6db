"""A series: a recipe, then with one change at a time; pre-trained alike, judged alike.

Each variant gets the same minutes or the same steps, and starts from the same random weights or, where that is its
change, from supervised ones. It is judged by kNN before, during and after, by the spread and the effective rank of its
features, and by fine-tuning and a linear probe, in one study.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.learning.arms import baseline_of, missing_weights
from benchmarks.learning.conditions import clocked, conditions, read_json
from benchmarks.learning.config import BenchConfig, Shape
from benchmarks.learning.datasets import BenchData
from benchmarks.learning.experiment import save_entry
from benchmarks.learning.judging import differences, named_rows, row_facts, study_config
from benchmarks.learning.trials import Trial, facts_of, pretrain_config

from headstart import PretrainConfig, pretrain, study
from headstart.data.loaders import Batching
from headstart.data.sources import open_source
from headstart.errors import HeadstartError
from headstart.tasks.pretrain.verb import offered_images
from headstart.training.log import read_lines

logger = logging.getLogger(__name__)

WATCHED = ("knn", "feature_std", "effective_rank")
UNTOLD = ("recipe", "epochs", "out")
"""Settings that are no change: the recipe's name, the length, which is the bench's, and the folder."""
UNTOUCHED = {"scratch": "scratch", "supervised": "supervised weights"}
"""Start without pre-training -> its name here, where `supervised` may be the name of a change."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A change to a recipe: ``settings`` takes the resolved recipe ``default`` and gives what replaces the recipe's
    own. ``of`` names the variant that this is one change away from; None: the recipe itself.
    """

    words: str
    settings: Callable[[PretrainConfig], Settings]
    of: str | None = None


def group(name: str, *keys: str) -> Callable[[PretrainConfig], Settings]:
    """A group of settings of ``default``, or some ``keys`` of it."""

    def settings(default: PretrainConfig) -> Settings:
        whole = getattr(default, name).model_dump()
        return {name: {key: whole[key] for key in keys} if keys else whole}

    return settings


@dataclass(frozen=True)
class Series:
    """The recipe ``base`` and its ``changes`` by name. ``name`` is that of the command and of the results file."""

    name: str
    base: str
    changes: Mapping[str, Change]

    @property
    def results(self) -> str:
        """Name of the results file."""
        return f"{self.name}.json"

    def change(self, name: str) -> Change:
        """A change by the name of its variant; the recipe itself changes nothing."""
        if name == self.base:
            return Change(f"nothing: the recipe `{name}`", lambda default: {})
        return self.changes[name]

    def of(self, name: str) -> str | None:
        """The variant that ``name`` is one change away from; None for the recipe itself."""
        return None if name == self.base else self.changes[name].of or self.base

    def chosen(self, names: Sequence[str] | None) -> list[str]:
        """The variants to run, in the order of the series: those named (None: all), and what they are compared with."""
        wanted = {self.base}
        for name in self.changes if names is None else names:
            variant: str | None = name
            while variant is not None:
                wanted.add(variant)
                variant = self.of(variant)
        return [name for name in (self.base, *self.changes) if name in wanted]


def run_series(
    series: Series, config: BenchConfig, data: BenchData, changes: Sequence[str] | None = None
) -> dict[str, Any]:
    """Run what has no result yet, and put the entry of this data set into ``out``/NAME.json.

    ``config`` has ``steps``, or one value of ``minutes``.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    began = conditions()
    image_size = config.image_size or data.image_size
    shape = Shape(data.unlabelled, config.backbone, image_size)
    length = f"{config.minutes[0]:g}min" if config.steps is None else f"{config.steps}steps"
    folder = config.out / data.name / f"{series.name}-{length}"
    variants = [run_variant(series, name, shape, config, folder / "pretrain") for name in series.chosen(changes)]
    trials = [*untouched(variants), *(trial for trial, _ in variants)]
    note = folder / "study.seconds.json"
    result = clocked(note, lambda: study(study_config(config, data.data, image_size, trials, folder / "study")))
    rows = named_rows(result, trials)
    entry = {
        "dataset": data.name,
        "task": config.task,
        "base": series.base,
        "facts": data.facts,
        "config": config.facts() | {"image_size": image_size},
        "conditions": began,
        "variants": [told for _, told in variants],
        "rows": row_facts(rows),
        "differences": differences(rows, references_in([told for _, told in variants], series.base)),
        "n_val": result.n_val,
        "study": {"training_seconds": result.seconds} | read_json(note),
    }
    save_entry(config.out / series.results, entry)
    return entry


def untouched(variants: Sequence[tuple[Trial, dict[str, Any]]]) -> list[Trial]:
    """The weights that variants began from, as they are: judged beside them."""
    begun = {told["began_from"] for trial, told in variants if trial.start is not None}
    return [Trial(name, None, start) for start, name in UNTOUCHED.items() if start == "scratch" or name in begun]


def references_in(variants: Sequence[dict[str, Any]], base: str) -> Callable[[str], list[str]]:
    """What a trial is compared with: the weights it began from and the variant it changes; the recipe ``base`` for
    weights as they are.
    """
    named = {told["name"]: [told["began_from"], *([told["of"]] if told["of"] else [])] for told in variants}
    return lambda name: named.get(name, [base])


def run_variant(
    series: Series, name: str, shape: Shape, config: BenchConfig, folder: Path
) -> tuple[Trial, dict[str, Any]]:
    """Pre-train a variant, and tell what was changed and how its features fared."""
    out = folder / name
    told: dict[str, Any] = {"name": name, "words": series.change(name).words, "of": series.of(name)}
    try:
        own = variant_config(series, name, shape, config, out)
        kind = "ssl" if own.start == "scratch" else "ssl+supervised"
        told |= {"began_from": UNTOUCHED[baseline_of(kind)]}
        reason = missing_weights(kind, shape.backbone)
        facts = {} if reason else facts_of(pretrain(own))
    except HeadstartError as error:
        reason = str(error)
    if reason:
        logger.warning("%s is left out: %s", name, reason)
        return Trial(name, None, None, reason), {"began_from": UNTOUCHED["scratch"]} | told | {"skipped": reason}
    reference = own if told["of"] is None else variant_config(series, told["of"], shape, config, out)
    told |= {"skipped": None, "changed": differing(own, reference), "facts": facts, "looks": looks(out)}
    return Trial(name, None, f"{kind}={out.resolve()}", None, facts), told


def variant_config(series: Series, name: str, shape: Shape, config: BenchConfig, out: Path) -> PretrainConfig:
    """What the pre-training of a variant is told."""
    minutes = config.minutes[0] if config.steps is None else None
    default = pretrain_config(shape, minutes, out, recipe="default")
    settings = {"recipe": series.base} | series.change(name).settings(default)
    own = pretrain_config(shape, minutes, out, **settings)
    if config.steps is None:
        return own
    return pretrain_config(shape, None, out, **settings, epochs=epochs_of(config.steps, shape.data, own.batch_size))


def epochs_of(steps: int, data: str, batch_size: int) -> int:
    """The whole epochs that ``steps`` of ``batch_size`` images take, rounded up."""
    images, _, _ = offered_images(open_source(data))
    return -(-steps // Batching(len(images), batch_size).steps_per_epoch)


def differing(config: PretrainConfig, reference: PretrainConfig) -> dict[str, list[Any]]:
    """Setting -> [its value in the reference, its value here], for all that differ."""
    before, here = (flat(each.model_dump(mode="json")) for each in (reference, config))
    return {key: [before[key], here[key]] for key in here if key not in UNTOLD and here[key] != before[key]}


def flat(settings: Settings, prefix: str = "") -> Settings:
    """Nested settings by their dotted names."""
    plain: Settings = {}
    for key, value in settings.items():
        plain |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return plain


def looks(run: Path) -> list[dict[str, float]]:
    """What was measured while it ran, one object a look: step, knn, feature_std, effective_rank."""
    by_step: dict[int, dict[str, float]] = {}
    for line in read_lines(run / "metrics.jsonl"):
        row = json.loads(line)
        if row["split"] == "watch" and row["name"] in WATCHED:
            by_step.setdefault(row["step"], {"step": row["step"]})[row["name"]] = row["value"]
    return [by_step[step] for step in sorted(by_step)]
