"""A run goes on with the settings it was begun with, and only with those."""

from pathlib import Path

import pytest

from headstart.configs.pretrain import PretrainConfig
from headstart.configs.study import StudyConfig
from headstart.errors import RunError
from headstart.training.rundir import check_same


def record(config: StudyConfig, *unknown: str) -> dict:
    """config.json as a version without the settings ``unknown`` wrote it."""
    settings = {key: value for key, value in config.model_dump(mode="json").items() if key not in unknown}
    return {"schema_version": 1, "verb": "study", "config": settings}


def test_a_setting_that_came_later_had_its_default_then(tmp_path: Path) -> None:
    config = StudyConfig(data="d", out=tmp_path)
    check_same(record(config, "model", "palette", "protocol", "nearest_colour"), config, "study")
    segment = StudyConfig(data="d", out=tmp_path, task="segment", protocol="per-image")
    with pytest.raises(RunError, match="protocol: begun with 'ignore', now 'per-image'"):
        check_same(record(segment, "protocol"), segment, "study")
    with pytest.raises(RunError, match="is a study run, not a classify run"):
        check_same(record(config), config, "classify")


def test_so_had_one_within_a_group(tmp_path: Path) -> None:
    config = PretrainConfig(data="d", out=tmp_path, views={"flip": 0.5, "vertical_flip": 0.0, "turn": 0.0})
    known = config.model_dump(mode="json")
    known["views"] = {key: value for key, value in known["views"].items() if key != "turn"}
    check_same({"schema_version": 1, "verb": "pretrain", "config": known}, config, "pretrain")
    turned = PretrainConfig(data="d", out=tmp_path, views={"flip": 0.5, "vertical_flip": 0.0, "turn": 0.5})
    with pytest.raises(RunError, match="views: begun with"):
        check_same({"schema_version": 1, "verb": "pretrain", "config": known}, turned, "pretrain")
