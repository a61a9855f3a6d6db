"""Facts as rows of text for the page's tables and lists."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from headstart.configs.base import OutputConfig
from headstart.configs.classify import ClassifyConfig
from headstart.configs.masks import MasksConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.configs.segment import SegmentConfig
from headstart.configs.study import DemoConfig, StudyConfig
from headstart.reports.facts import PretrainFacts
from headstart.reports.figures import BASELINE, start_of
from headstart.reports.files import Setup
from headstart.reports.words import (
    count,
    duration,
    ends,
    half_width,
    number,
    percent,
    plural,
    share_of_labels,
    short_count,
    signed,
    what_is_trained,
)
from headstart.results import DataFacts, Interval, LabelSaving, StudyResult

CONFIGS: dict[str, type[OutputConfig]] = {
    "pretrain": PretrainConfig,
    "classify": ClassifyConfig,
    "segment": SegmentConfig,
    "masks": MasksConfig,
    "study": StudyConfig,
    "demo": DemoConfig,
}


@dataclass(frozen=True)
class SettingRow:
    """A line of the study's table. ``sign`` is "above" or "below" where the difference's interval excludes zero."""

    letter: str
    start: str
    trained: str
    mean: str
    interval: str
    sd: str
    n_seeds: int
    difference: str
    difference_interval: str
    sign: str
    baseline: bool


@dataclass(frozen=True)
class SettingGroup:
    """The settings at one share of the labels."""

    title: str
    rows: list[SettingRow]


@dataclass(frozen=True)
class ClassRow:
    """A class with its counts, of pixels also as a share of all; ``bar`` is the count as a share of that of the largest
    training class, in per cent. ``colour`` is that of the class in masks.
    """

    name: str
    train: str
    val: str
    bar: float
    train_share: str = ""
    val_share: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Pair:
    """A name with its value."""

    name: str
    value: str


def sign_of(interval: Interval | None) -> str:
    """Where an interval lies: above or below zero, or neither."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return ""
    return "above" if interval[0] > 0 else "below"


def setting_groups(study: StudyResult) -> list[SettingGroup]:
    """The study's table, one group for each share of the labels, the order of the rows kept."""
    differences = {(d.setting, d.label_fraction): d for d in study.differences if d.setting != d.baseline}
    groups = []
    for fraction in sorted({row.label_fraction for row in study.rows}):
        rows = []
        for row in (row for row in study.rows if row.label_fraction == fraction):
            found = differences.get((row.setting, fraction))
            rows.append(
                SettingRow(
                    letter=row.letter or "",
                    start=start_of(row),
                    trained=what_is_trained(row.trained, study.task),
                    mean=percent(row.mean),
                    interval=half_width(row.ci95),
                    sd=f"{row.sd * 100:.1f}" if row.sd is not None else "",
                    n_seeds=len(row.seeds),
                    difference=signed(found.mean) if found else "",
                    difference_interval=ends(found.ci95) if found else "",
                    sign=sign_of(found.ci95) if found else "",
                    baseline=row.setting == BASELINE,
                )
            )
        n_labels = next(row.n_labels for row in study.rows if row.label_fraction == fraction)
        groups.append(SettingGroup(f"{share_of_labels(fraction)} of the labels: {plural(n_labels, 'image')}", rows))
    return groups


def saving_sentences(savings: Sequence[LabelSaving]) -> list[str]:
    """The label savings in words: those read off a curve one by one, the others together."""
    said = [
        f"{saving.setting} reaches it with about {share_of_labels(saving.label_fraction)} of the labels "
        "(interpolated between the shares tried)."
        for saving in savings
        if saving.status == "reached" and saving.label_fraction is not None
    ]
    at_once = [saving for saving in savings if saving.status == "at_most"]
    for fraction in sorted({saving.label_fraction for saving in at_once if saving.label_fraction is not None}):
        names = ", ".join(saving.setting for saving in at_once if saving.label_fraction == fraction)
        said.append(
            f"Reached with {share_of_labels(fraction)} of the labels, the smallest share tried, or fewer: {names}."
        )
    never = ", ".join(saving.setting for saving in savings if saving.status == "not_reached")
    return [*said, f"Not reached with any share tried: {never}."] if never else said


def class_rows(data: DataFacts, colours: Mapping[str, str] | None = None) -> list[ClassRow]:
    """The classes with their counts in both splits."""
    counts = list(zip(data.classes, data.train_counts, data.val_counts, strict=False))
    largest = max(data.train_counts, default=0) or 1
    if data.counted == "images":
        return [ClassRow(name, count(train), count(val), 100 * train / largest) for name, train, val in counts]
    all_train, all_val = sum(data.train_counts) or 1, sum(data.val_counts) or 1
    return [
        ClassRow(
            name=name,
            train=short_count(train),
            val=short_count(val),
            bar=100 * train / largest,
            train_share=percent(train / all_train),
            val_share=percent(val / all_val),
            colour=(colours or {}).get(name, ""),
        )
        for name, train, val in counts
    ]


def pretrain_pairs(facts: PretrainFacts) -> list[Pair]:
    """The figures of one pre-training run."""
    result = facts.result
    if result is None:
        return []
    pairs = [
        Pair("Images, without labels", count(result.n_images)),
        Pair(
            "Length", f"{plural(result.epochs, 'epoch')}, {plural(result.steps, 'step')} of {result.batch_size} images"
        ),
        Pair("Time", f"{duration(result.seconds)} ({number(result.images_per_second)} images/s)"),
        Pair("BYOL loss, first and last", f"{number(result.loss_first)} \u2192 {number(result.loss_last)}"),
    ]
    looks = [curve.steps[-1] for (split, _), curve in facts.curves.items() if split == "watch" and curve.steps]
    last = max(looks, default=result.steps)
    when = "at the end" if last >= result.steps else f"at the last look (step {last})"
    if result.knn is not None:
        pairs.append(
            Pair(f"kNN accuracy, before and {when}", f"{percent(result.knn_before)} \u2192 {percent(result.knn)}")
        )
    pairs += [
        Pair(f"Spread of the features {when}", number(result.feature_std)),
        Pair(f"Effective rank {when}", f"{number(result.effective_rank)} of {result.feature_size} dimensions"),
        Pair("Network and recipe", f"{result.backbone} at {result.image_size} px, recipe {result.recipe}"),
    ]
    if result.weights is not None:
        pairs.append(Pair("Weights it began from", str(result.weights)))
    if facts.init_from:
        pairs.append(Pair("Continued from", f"{facts.init_from} (its weights, under a fresh optimiser)"))
    return pairs


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[Pair]:
    """Nested settings as dotted names with their values as text."""
    pairs: list[Pair] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += flat(value, f"{prefix}{name}.")
        else:
            shown = " ".join(str(part) for part in value) if isinstance(value, list) else str(value)
            pairs.append(Pair(f"{prefix}{name}", shown if value is not None else "not set"))
    return pairs


def command(setup: Setup) -> list[str]:
    """The command line that gives this config, every flag that differs from its default a part. Empty: unknown verb."""
    config = CONFIGS.get(setup.verb)
    if config is None or not setup.config:
        return []
    defaults = {pair.name: pair.value for pair in flat(_defaults(config, setup.config.get("recipe", "default")))}
    parts = [["headstart", setup.verb]]
    values = dict(_leaves(setup.config))
    for pair in flat(setup.config):
        if pair.name in {"json_output", "resume", "overwrite"} or defaults.get(pair.name) == pair.value:
            continue
        flag = pair.name.replace("_", "-")
        value = values[pair.name]
        if isinstance(value, bool):
            head, dot, last = flag.rpartition(".")
            parts.append([f"--{flag}" if value else f"--{head}{dot}no-{last}"])
        elif isinstance(value, list):
            parts.append([f"--{flag}", *(str(part) for part in value)])
        elif value is not None:
            parts.append([f"--{flag}", str(value)])
    return [shlex.join(part) for part in parts]


def _defaults(config: type[OutputConfig], recipe: str) -> dict[str, Any]:
    """All settings that need no flag: those of the recipe, which itself is one flag, and the defaults of the rest."""
    given = {name: "?" for name, field in config.model_fields.items() if field.is_required()}
    if "recipe" in config.model_fields:
        given["recipe"] = recipe
    try:
        settings = config.model_validate(given, strict=False).model_dump(mode="json", exclude={"data", "out"})
    except ValidationError:
        return {}
    return settings | ({} if recipe == "default" else {"recipe": "default"})


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, value in settings.items():
        leaves += _leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return leaves
