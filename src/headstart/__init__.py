"""headstart tells you how much of a head start your unlabelled images give you, and hands you the model.

The verbs of the command line, with their configs and results; each is imported when it is first used.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "pretrain": "headstart.tasks.pretrain",
    "classify": "headstart.tasks.classify",
    "segment": "headstart.tasks.segment",
    "predict": "headstart.verbs",
    "masks": "headstart.sam.verb",
    "evaluate": "headstart.verbs",
    "data_check": "headstart.verbs",
    "data_pack": "headstart.verbs",
    "miou": "headstart.analysis.miou",
    "study": "headstart.verbs",
    "demo": "headstart.verbs",
    "tsne": "headstart.verbs",
    "report": "headstart.verbs",
    "compare": "headstart.verbs",
    "PretrainConfig": "headstart.configs.pretrain",
    "ClassifyConfig": "headstart.configs.classify",
    "SegmentConfig": "headstart.configs.segment",
    "PredictConfig": "headstart.configs.inference",
    "MasksConfig": "headstart.configs.masks",
    "EvaluateConfig": "headstart.configs.inference",
    "DataCheckConfig": "headstart.configs.data",
    "DataPackConfig": "headstart.configs.data",
    "MiouConfig": "headstart.configs.inference",
    "StudyConfig": "headstart.configs.study",
    "DemoConfig": "headstart.configs.study",
    "TsneConfig": "headstart.configs.tsne",
    "ReportConfig": "headstart.configs.report",
    "CompareConfig": "headstart.configs.compare",
    "PretrainResult": "headstart.results",
    "ClassifyResult": "headstart.results",
    "SegmentResult": "headstart.results",
    "PredictResult": "headstart.results",
    "MasksResult": "headstart.results",
    "EvaluateResult": "headstart.results",
    "DataCheckResult": "headstart.results",
    "MiouResult": "headstart.results",
    "StudyResult": "headstart.results",
    "TsneResult": "headstart.results",
    "DataPackResult": "headstart.results",
    "CompareResult": "headstart.results",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
