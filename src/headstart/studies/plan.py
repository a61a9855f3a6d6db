"""What a study will run, in which order, where and with which settings: a pure function of its config."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from headstart.configs.starts import Start, parse_start
from headstart.configs.study import StudyConfig
from headstart.data.seeds import derive
from headstart.errors import ConfigError
from headstart.results import Trained

SCRATCH = Start("scratch")
BASELINE = "scratch/full"


@dataclass(frozen=True)
class PlannedRun:
    """One training of a study.

    ``start`` is the start as a user would write it (a bare ``ssl`` is still to be pre-trained); ``start_label`` its
    name in tables, unique within the study; ``folder`` is relative to the study's directory.
    """

    start: str
    start_label: str
    trained: Trained
    label_fraction: float
    seed: int
    folder: PurePosixPath

    @property
    def setting(self) -> str:
        """Name of the setting, unique within the study, such as ``ssl/full``."""
        return f"{self.start_label}/{self.trained}"


def plan(config: StudyConfig) -> tuple[PlannedRun, ...]:
    """All runs of a study: every setting at every label fraction for seed 0, then for seed 1, and so on.

    In that order an interrupted study has compared all settings already. Within a seed the smaller fractions come
    first, where starts matter most. Scratch is always among the starts, and scratch/full, which everything is compared
    with, always among the settings, even where only frozen ones were asked for. Starts, fractions and settings named
    twice are run once. Raises one ConfigError with all mistakes.
    """
    starts, problems = _starts(config.starts)
    problems += _fraction_problems(config.label_fractions)
    if not config.trained:
        problems.append("--trained is empty; give full, frozen or both")
    if problems:
        raise ConfigError(*problems)
    settings = _settings(starts, config.trained)
    labels = dict(zip(starts, start_labels(starts), strict=True))
    return tuple(
        PlannedRun(
            start=str(start),
            start_label=labels[start],
            trained=trained,
            label_fraction=fraction,
            seed=seed,
            folder=run_folder(start, trained, fraction, seed),
        )
        for seed in range(config.seeds)
        for fraction in sorted(set(config.label_fractions))
        for start, trained in settings
    )


def start_labels(starts: Sequence[Start]) -> list[str]:
    """A name for each of the different ``starts``: the kind, and "kind (last part of the path)" where a kind occurs
    twice; the whole path where the last parts are equal too. A start without a value is always its kind.
    """
    kinds = Counter(start.kind for start in starts)
    names = Counter((start.kind, _last_part(start.value)) for start in starts if start.value is not None)
    labels: list[str] = []
    for start in starts:
        if start.value is None or kinds[start.kind] == 1:
            labels.append(start.kind)
        else:
            name = _last_part(start.value)
            labels.append(f"{start.kind} ({name if names[start.kind, name] == 1 else start.value})")
    return labels


def start_folder(start: Start) -> str:
    """A file name for a start: its kind, and for a value its last part and eight digits of a hash of the whole.

    It depends on this start alone, so that adding another start to a study never moves a run that is finished.
    """
    if start.value is None:
        return start.kind
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", _last_part(start.value)).strip("-.")[:40]
    return "-".join(part for part in (start.kind, readable, f"{derive(str(start)):016x}"[:8]) if part)


def run_folder(start: Start, trained: Trained, label_fraction: float, seed: int) -> PurePosixPath:
    """Where a run goes, relative to the study: runs/ssl/full/labels-0.1/seed-0."""
    return PurePosixPath("runs", start_folder(start), trained, f"labels-{label_fraction!r}", f"seed-{seed}")


def tuning_folder(run: PlannedRun, multiple: float, part: int) -> PurePosixPath:
    """Where the training goes that tries a multiple of the learning rate on a held-out part (from 0) of the labelled
    images of ``run``, for all seeds: runs/ssl/full/labels-0.1/tuning/lr-0.3/held-out-0.
    """
    return run.folder.parent / "tuning" / f"lr-{multiple!r}" / f"held-out-{part}"


def bare_starts(planned: Sequence[PlannedRun]) -> list[str]:
    """Starts that name no run and so have to be pre-trained first."""
    starts = dict.fromkeys(run.start for run in planned)
    return [text for text in starts if parse_start(text).kind.startswith("ssl") and parse_start(text).value is None]


def pretrain_folder(config: StudyConfig, start: str) -> Path:
    """Where a bare start is pre-trained."""
    return config.out / "runs" / "pretrain" / start


def shared_settings(config: StudyConfig) -> dict[str, Any]:
    """What every training of the study has in common, so that only the start differs."""
    settings = {name: getattr(config, name) for name in ("precision", "workers", "file_seconds", "strict")}
    settings["resume"] = True
    return settings | ({} if config.image_size is None else {"image_size": config.image_size})


def run_settings(config: StudyConfig, run: PlannedRun) -> dict[str, Any]:
    """What one run is told beside its recipe and its network: what the study shares, and what makes it different."""
    bare = run.start in bare_starts([run])
    settings = shared_settings(config) | {
        "out": config.out / run.folder,
        "start": f"{run.start}={pretrain_folder(config, run.start).resolve()}" if bare else run.start,
        "frozen": run.trained == "frozen",
        "label_fraction": run.label_fraction,
        "seed": run.seed,
        "evaluations": 1,
    }
    return settings | {key: value for key in ("epochs", "min_steps") if (value := getattr(config, key)) is not None}


def keeps_model(config: StudyConfig, run: PlannedRun) -> bool:
    """Of each setting the model of seed 0 with the most labels is kept; the others would only fill the disk."""
    return run.seed == 0 and run.label_fraction == max(config.label_fractions)


def _last_part(value: str) -> str:
    """The last part of a path that has one, else the value itself."""
    return PurePosixPath(value).name or value


def _starts(texts: Sequence[str]) -> tuple[list[Start], list[str]]:
    """The different starts, scratch first, and what is wrong with the others."""
    starts = [SCRATCH]
    problems: list[str] = []
    for text in texts:
        try:
            starts.append(parse_start(text))
        except ConfigError as error:
            problems += error.problems
    return list(dict.fromkeys(starts)), problems


def _fraction_problems(fractions: Sequence[float]) -> list[str]:
    """One line for each label fraction that is not in (0, 1]."""
    if not fractions:
        return ["--label-fractions is empty; give shares of the labels such as 0.1 1.0"]
    problems = []
    for fraction in fractions:
        if not (math.isfinite(fraction) and 0 < fraction <= 1):
            meant = f"; for {fraction:g} % write {fraction / 100:g}" if 1 < fraction <= 100 else ""
            problems.append(f"label fraction {fraction:g} is not above 0 and at most 1{meant}")
    return problems


def _settings(starts: Sequence[Start], trained: Sequence[Trained]) -> list[tuple[Start, Trained]]:
    """Each start with each way of training, scratch/full first and full before frozen."""
    wanted: list[tuple[Start, Trained]] = [(SCRATCH, "full")]
    for start in starts:
        wanted += [(start, way) for way in ("full", "frozen") if way in trained]
    return list(dict.fromkeys(wanted))
