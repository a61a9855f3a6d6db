"""Masks over the epochs: what the model makes of a few validation images while it learns, as pictures on disk.

``masks/epoch_NNNN/NAME.png`` in the palette's colours. Which images are the best, the median and the worst is known
at the end only, so until then up to 200 validation images (a seeded draw) are kept at each chosen epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from headstart.analysis.segmentation import image_iou
from headstart.configs.segment import SegmentConfig
from headstart.data.masks import read_mask
from headstart.data.pairs import PairSet
from headstart.data.palettes import Palette
from headstart.data.rasters import read_image
from headstart.data.splits import shuffled
from headstart.errors import ConfigError
from headstart.inference.pictures import save_picture
from headstart.results import Chosen, MaskPicture, MaskSample

MOST_CANDIDATES = 200
RIGHT, WRONG, UNKNOWN = (235, 235, 235), (200, 30, 30), (140, 140, 160)
"""Colours of the error map."""


@dataclass(frozen=True)
class MaskKeeper:
    """Keeps the masks of some validation images (``candidates``: index -> asked for by name) at some epochs."""

    folder: Path
    val: PairSet
    palette: Palette
    epochs: tuple[int, ...]
    candidates: tuple[int, ...]
    asked: bool
    warnings: tuple[str, ...] = ()

    def visitor(self, epoch: int) -> "MaskVisitor":
        """Writes the masks of the candidates as they are predicted."""
        return MaskVisitor(self, epoch)

    def file(self, kind: str, index: int) -> Path:
        """Where the picture of a validation image lies below the run's masks/."""
        return self.folder / kind / f"{PurePosixPath(self.val.images.names[index]).with_suffix('')}.png"

    def samples(self, ious: Sequence[float | None]) -> list[MaskSample]:
        """Choose by the ``ious`` of all validation images at the end, complete the pictures, and drop the others."""
        asked: dict[int, Chosen] = dict.fromkeys(self.candidates, "asked")
        chosen = asked if self.asked else by_rank(self.candidates, ious)
        samples = [self._complete(i, how) for i, how in chosen.items()]
        keep = {self.file(kind, i) for i in chosen for kind in self._kinds()}
        for path in sorted(self.folder.rglob("*.png")):
            if path not in keep:
                path.unlink()
        for path in sorted((p for p in self.folder.rglob("*") if p.is_dir()), reverse=True):
            if not any(path.iterdir()):
                path.rmdir()
        return samples

    def _kinds(self) -> list[str]:
        return ["images", "truth", "error", *map(epoch_folder, self.epochs)]

    def _complete(self, index: int, how: Chosen) -> MaskSample:
        truth = read_mask(self.val.masks.path(index), self.palette, nearest=True)
        predictions = {
            epoch: read_mask(self.file(epoch_folder(epoch), index), self.palette)
            for epoch in self.epochs
            if self.file(epoch_folder(epoch), index).is_file()
        }
        last = predictions[max(predictions)]
        save_picture(read_image(self.val.images.path(index)), self.file("images", index))
        save_picture(self.palette.to_colours(truth), self.file("truth", index))
        save_picture(error_map(truth, last, self.palette.n_scored), self.file("error", index))

        def relative(kind: str) -> str:
            return self.file(kind, index).relative_to(self.folder.parent).as_posix()

        return MaskSample(
            name=self.val.images.names[index],
            chosen=how,
            image=relative("images"),
            truth=relative("truth"),
            error=relative("error"),
            epochs=[
                MaskPicture(
                    epoch=epoch,
                    file=relative(epoch_folder(epoch)),
                    iou=image_iou(truth, predicted, self.palette.n_scored),
                )
                for epoch, predicted in predictions.items()
            ],
        )


@dataclass(frozen=True)
class MaskVisitor:
    """Saves the predictions of one epoch."""

    keeper: MaskKeeper
    epoch: int

    def __call__(self, index: int, truth: np.ndarray, predicted: np.ndarray) -> None:
        if index in self.keeper.candidates:
            colours = self.keeper.palette.to_colours(predicted)
            save_picture(colours, self.keeper.file(epoch_folder(self.epoch), index))


def make_keeper(folder: Path, config: SegmentConfig, val: PairSet, palette: Palette, epochs: int) -> MaskKeeper:
    """The keeper of a run of ``epochs``. ConfigError for an image that is not among the validation images."""
    asked = named_images(config.mask_images, val)
    drawn = np.sort(shuffled(len(val), config.seed, "masks")[:MOST_CANDIDATES]).tolist()
    beyond = sorted(epoch for epoch in config.mask_epochs if epoch > epochs)
    missed = f"No masks of epoch {', '.join(map(str, beyond))}: the training had {epochs} epochs."
    return MaskKeeper(
        folder=folder,
        val=val,
        palette=palette,
        epochs=mask_epochs(config.mask_epochs, epochs),
        candidates=tuple(asked or drawn),
        asked=bool(asked),
        warnings=(missed,) if beyond else (),
    )


def mask_epochs(asked: Sequence[int], epochs: int) -> tuple[int, ...]:
    """The epochs (from 1) whose masks are kept, ascending: the first, middle and last; or those asked for that the
    training reaches, and the last.
    """
    wanted = set(asked) or {1, (epochs + 1) // 2}
    return tuple(sorted({epoch for epoch in wanted if epoch <= epochs} | {epochs}))


def named_images(names: Sequence[str], val: PairSet) -> list[int]:
    """Indices of the validation images that are called, or whose path or stem ends as, ``names``; each once."""
    found: list[int] = []
    problems = []
    for name in names:
        stem = name.rpartition("/")[2]
        match = [
            i
            for i, path in enumerate(val.images.names)
            if name in (path, path.rpartition("/")[2]) or PurePosixPath(path).stem == stem or path.endswith("/" + name)
        ]
        if not match:
            near = ", ".join(val.images.names[:3])
            problems.append(f"--mask-images {name}: no such validation image; they are called {near}, ...")
        found += match[:1]
    if problems:
        raise ConfigError(*problems)
    return list(dict.fromkeys(found))


def by_rank(candidates: Sequence[int], ious: Sequence[float | None]) -> dict[int, Chosen]:
    """The best, the median and the worst of the candidates by IoU; images without a scored pixel are passed over.

    Ties go to the first; with fewer than three images some roles are left out.
    """
    ranked = sorted((i for i in candidates if ious[i] is not None), key=lambda i: (-(ious[i] or 0.0), i))
    if not ranked:
        return dict.fromkeys(candidates[:1], "median")
    roles: dict[int, Chosen] = {ranked[0]: "best"}
    roles.setdefault(ranked[-1], "worst")
    roles.setdefault(ranked[len(ranked) // 2], "median")
    order = ("best", "median", "worst")
    return dict(sorted(roles.items(), key=lambda item: order.index(item[1])))


def epoch_folder(epoch: int) -> str:
    """Name of the folder of an epoch's masks."""
    return f"epoch_{epoch:04d}"


def error_map(truth: np.ndarray, predicted: np.ndarray, n_scored: int) -> np.ndarray:
    """Where a prediction is wrong: (H, W, 3) uint8, grey where right, red where wrong, blue-grey where unknown."""
    shown = np.where((truth == predicted)[..., None], RIGHT, WRONG)
    shown = np.where((truth >= n_scored)[..., None], UNKNOWN, shown)
    return shown.astype(np.uint8)
