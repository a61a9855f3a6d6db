"""What a run hands back: the schema of result.json and of the small files beside it.

Every record is plain data (pydantic, no torch). ``schema_version`` rises when a field changes its meaning.
"""

from headstart.results.base import (
    SCHEMA_VERSION,
    Interval,
    Record,
    Trained,
    held_out_words,
    printable,
    refuse_other_results,
)
from headstart.results.comparison import NUMBERS, CompareResult, Difference, DifferenceKind
from headstart.results.masks import MaskedImage, MasksResult
from headstart.results.packs import DataPackResult, PackedSide
from headstart.results.runs import (
    CHANGES_IN_WORDS,
    ClassifyResult,
    DataFacts,
    EvaluateResult,
    PretrainResult,
    Symmetry,
    ViewsAudit,
    WeightsReport,
)
from headstart.results.segmentation import (
    Chosen,
    ClassScore,
    DataCheckResult,
    MaskPicture,
    MaskSample,
    MiouResult,
    PredictResult,
    Protocol,
    SegmentResult,
    SegmentScores,
)
from headstart.results.studies import (
    LabelSaving,
    Layout,
    LearningRate,
    PairedDifference,
    PretrainedStart,
    StudyResult,
    StudyRow,
    TsneResult,
    Verdict,
    metric_words,
)
from headstart.results.watch import EarlyVerdict, EarlyWord, LookFigures

__all__ = [
    "CHANGES_IN_WORDS",
    "NUMBERS",
    "SCHEMA_VERSION",
    "Chosen",
    "ClassScore",
    "ClassifyResult",
    "CompareResult",
    "DataCheckResult",
    "DataFacts",
    "DataPackResult",
    "Difference",
    "DifferenceKind",
    "EarlyVerdict",
    "EarlyWord",
    "EvaluateResult",
    "Interval",
    "LabelSaving",
    "Layout",
    "LearningRate",
    "LookFigures",
    "MaskPicture",
    "MaskSample",
    "MaskedImage",
    "MasksResult",
    "MiouResult",
    "PackedSide",
    "PairedDifference",
    "PredictResult",
    "PretrainResult",
    "PretrainedStart",
    "Protocol",
    "Record",
    "SegmentResult",
    "SegmentScores",
    "StudyResult",
    "StudyRow",
    "Symmetry",
    "Trained",
    "TsneResult",
    "Verdict",
    "ViewsAudit",
    "WeightsReport",
    "held_out_words",
    "metric_words",
    "printable",
    "refuse_other_results",
]
