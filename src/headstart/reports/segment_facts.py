"""What a report says of segmentations, read from their run directories: scores, and masks over the epochs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headstart.reports.files import Curves, optional, read_curves, read_notes
from headstart.reports.pictures import Picture, read_picture, read_tile
from headstart.reports.study_runs import Confusion, pixels_confused
from headstart.results import DataFacts, MaskSample, SegmentResult, StudyResult

TILE_SIDES = (512, 384, 256, 192, 128, 96)
"""Longest side in pixels of a mask on the page: the first with which all of them fit."""
MASK_BYTES = 4_000_000
"""Most bytes of all masks on a page."""
BYTES_A_PIXEL = 0.3
"""What a pixel of a mask or a photograph takes in the page, about: where the search for a side begins."""
STUDY_FOLDER = "study"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskFacts:
    """The mask predicted after an epoch; ``iou`` is that of this image."""

    epoch: int
    iou: float | None
    picture: Picture | None


@dataclass(frozen=True)
class SampleFacts:
    """A validation image with its masks over the epochs; a picture is None where its file cannot be read."""

    name: str
    chosen: str
    image: Picture | None
    truth: Picture | None
    error: Picture | None
    masks: tuple[MaskFacts, ...]

    @property
    def pictures(self) -> list[Picture]:
        """Those that could be read."""
        every = [self.image, self.truth, self.error, *(mask.picture for mask in self.masks)]
        return [picture for picture in every if picture is not None]


@dataclass(frozen=True)
class SegmentFacts:
    """A segmentation run; ``name`` is that of its directory. ``unseen`` samples are left out of ``samples``."""

    name: str
    result: SegmentResult
    curves: Curves = field(default_factory=dict)
    samples: tuple[SampleFacts, ...] = ()
    unseen: int = 0
    crops: Picture | None = None
    confusion: Confusion | None = None
    data: DataFacts | None = None


@dataclass(frozen=True)
class Shelf:
    """The segmentations beside a study: single runs, a study of their own, and notes on what tells them apart.

    ``unfinished`` are names of runs that were begun and have no result.
    """

    models: tuple[SegmentFacts, ...]
    notes: tuple[str, ...]
    unfinished: tuple[str, ...]
    study: StudyResult | None
    study_data: DataFacts | None


def read_segment(folder: Path, result: SegmentResult, mask_bytes: int = MASK_BYTES) -> SegmentFacts:
    """All that is told of a run beside its ``result``; its masks take ``mask_bytes`` of the page at most."""
    samples = read_samples(folder, result.samples, mask_bytes)
    return SegmentFacts(
        name=folder.resolve().name,
        result=result,
        curves=read_curves(folder / "metrics.jsonl"),
        samples=samples,
        unseen=len(result.samples) - len(samples),
        crops=read_picture(folder / "crops.png"),
        confusion=pixels_confused([result], result.setting),
        data=optional(DataFacts, folder / "data.json"),
    )


def read_shelf(folder: Path) -> Shelf | None:
    """What lies in ``folder`` (the segmentation/ of a study); None where that is nothing."""
    if not folder.is_dir():
        return None
    runs = [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name != STUDY_FOLDER]
    results = {run: result for run in runs if (result := optional(SegmentResult, run / "result.json")) is not None}
    study = optional(StudyResult, folder / STUDY_FOLDER / "result.json")
    if study is not None and study.task != "segment":
        LOG.warning("%s is left out of the report: its task is not segment", folder / STUDY_FOLDER)
        study = None
    unfinished = tuple(run.name for run in runs if run not in results and (run / "config.json").is_file())
    if not results and study is None:
        return None
    share = MASK_BYTES // max(len(results), 1)
    return Shelf(
        models=tuple(read_segment(run, result, share) for run, result in results.items()),
        notes=read_notes(folder / "notes.json"),
        unfinished=unfinished,
        study=study,
        study_data=optional(DataFacts, folder / STUDY_FOLDER / "data.json") if study else None,
    )


def read_samples(folder: Path, samples: Sequence[MaskSample], most_bytes: int) -> tuple[SampleFacts, ...]:
    """The samples with their pictures, all as large as ``most_bytes`` allow; what does not fit even when small, and
    what no picture can be read of, is left out.
    """
    n_pictures = sum(3 + len(sample.epochs) for sample in samples)
    likely = [side for side in TILE_SIDES if n_pictures * side * side * BYTES_A_PIXEL <= most_bytes]
    read: list[SampleFacts] = []
    for side in likely or TILE_SIDES[-1:]:
        read = [_read_sample(folder, sample, side) for sample in samples]
        if sum(map(_size, read)) <= most_bytes:
            break
    shown, taken = [], 0
    for sample in read:
        taken += _size(sample)
        if sample.pictures and taken <= most_bytes:
            shown.append(sample)
    return tuple(shown)


def _size(sample: SampleFacts) -> int:
    return sum(len(picture.uri) for picture in sample.pictures)


def _read_sample(folder: Path, sample: MaskSample, side: int) -> SampleFacts:
    def tile(file: str, is_mask: bool = True) -> Picture | None:
        path = folder / file
        if not path.resolve().is_relative_to(folder.resolve()):
            LOG.warning("%s is left out of the report: it does not lie within the run", file)
            return None
        return read_tile(path, side, is_mask)

    return SampleFacts(
        name=sample.name,
        chosen=sample.chosen,
        image=tile(sample.image, is_mask=False),
        truth=tile(sample.truth),
        error=tile(sample.error),
        masks=tuple(MaskFacts(mask.epoch, mask.iou, tile(mask.file)) for mask in sample.epochs),
    )
