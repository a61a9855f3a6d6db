"""The starts of a study: whether they fit, those that are pre-trained here first, and those that were handed to it."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.configs.pretrain import PretrainConfig
from headstart.configs.run import RunConfig
from headstart.configs.starts import parse_start
from headstart.configs.study import StudyConfig
from headstart.models.backbones import build_backbone
from headstart.models.weights import load_start
from headstart.results import PretrainedStart, PretrainResult
from headstart.studies.plan import PlannedRun, bare_starts, pretrain_folder, shared_settings
from headstart.studies.tasks import StudyTask
from headstart.tasks.pretrain import pretrain

logger = logging.getLogger(__name__)


def check_starts(config: StudyConfig, task: StudyTask[RunConfig, Any], configs: Mapping[PlannedRun, RunConfig]) -> None:
    """Load the weights of every start once, so that one that does not fit costs no training. WeightsError."""
    one_each = {run.start: run_config for run, run_config in configs.items()}
    bare = bare_starts(list(configs))
    for start in sorted(one_each.keys() - set(bare)):
        task.load(one_each[start])
    for start in bare:
        begin = pretrain_config(config, start)
        load_start(build_backbone(begin.backbone, begin.image_size), begin.start)


def pretrain_config(config: StudyConfig, start: str) -> PretrainConfig:
    """How a bare ``ssl`` or ``ssl+supervised`` is pre-trained on the study's images, under runs/pretrain."""
    supervised = next((text for text in config.starts if parse_start(text).kind == "supervised"), "supervised")
    changes = shared_settings(config) | {
        "backbone": config.backbone,
        "start": supervised if start == "ssl+supervised" else "scratch",
        "budget_minutes": config.pretrain_minutes,
        "pack_limit": config.pack_limit,
    }
    if config.pretrain_epochs is not None:
        changes["epochs"] = config.pretrain_epochs
    return PretrainConfig(
        data=config.unlabelled or config.data,
        out=pretrain_folder(config, start),
        recipe=config.pretrain_recipe,
        **changes,
    )


def pretrain_start(config: StudyConfig, start: str) -> PretrainedStart:
    """Pre-train a bare start, or take it up where that was interrupted."""
    logger.info("Pre-training the start %s.", start)
    begin = pretrain_config(config, start)
    result = pretrain(begin)
    return _record(start, begin.out.relative_to(config.out).as_posix(), result)


def given_runs(config: StudyConfig) -> list[PretrainedStart]:
    """The pre-training runs that starts named, as far as their result can be read."""
    found = []
    for text in config.starts:
        start = parse_start(text)
        if start.value is None or start.kind not in ("ssl", "ssl+supervised"):
            continue
        path = Path(start.value) / "result.json"
        if path.is_file():
            result = PretrainResult.model_validate(json.loads(path.read_text(encoding="utf-8")))
            run = Path(start.value).resolve()
            inside = run.is_relative_to(config.out.resolve())
            found.append(
                _record(text, run.relative_to(config.out.resolve()).as_posix() if inside else str(run), result)
            )
    return found


def _record(start: str, run: str, result: PretrainResult) -> PretrainedStart:
    return PretrainedStart(start=start, run=run, status=result.status, reason=result.reason, seconds=result.seconds)
