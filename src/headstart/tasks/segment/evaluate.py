"""A finished segmentation model on other pairs: its scores, and its masks where they are wanted."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.configs.inference import EvaluateConfig
from headstart.data.loaders import worker_count
from headstart.data.pair_check import check_pairs
from headstart.data.pairs import PairSet, open_pairs
from headstart.data.palette_files import palette_named
from headstart.data.palettes import Palette
from headstart.errors import RunError
from headstart.inference.pictures import save_picture
from headstart.models.segmenter_files import read_segmenter
from headstart.results import MiouResult
from headstart.tasks.segment.looks import Examiner, new_tally
from headstart.training.runtime import inference_context

logger = logging.getLogger(__name__)


def evaluate_segmenter(config: EvaluateConfig) -> MiouResult:
    """Predict the validation pairs of ``config.data`` (all pairs where it has no validation side) and score them.

    With ``config.out`` the masks go to its masks/ and the result to its result.json. RunError when the palette has
    other classes than the model learned.
    """
    segmenter, facts = read_segmenter(config.run / "export")
    learned = Palette.from_dict(facts["palette"])
    palette = palette_named(config.palette) if config.palette else learned
    if palette.classes != learned.classes:
        raise RunError(
            f"{config.run} learned the classes {', '.join(learned.classes)}; the palette {palette.name} has "
            f"{', '.join(palette.classes)}. Give a --palette with the same classes in the same order."
        )
    source = open_pairs(config.data)
    logger.info("%s", source.description)
    with tempfile.TemporaryDirectory() as beside:
        quarantine = (config.out or Path(beside)) / "quarantine.csv"
        pairs = source.val or source.train
        checked = check_pairs(pairs, palette, quarantine, False, worker_count("auto"), config.nearest_colour)
    examiner = Examiner(checked.pairs, palette, int(facts["image_size"]), config.nearest_colour, config.tiles)
    tally = new_tally(palette, boundaries=True)
    writers = [MaskWriter(checked.pairs, palette, config.out / "masks").visit] if config.out else []
    with inference_context(segmenter, config.precision):
        examiner.examine(segmenter, tally.visit, *writers)
    result = MiouResult(
        predicted=str(config.run),
        truth=config.data,
        palette=palette.name,
        scores=tally.scorer.scores(config.protocol or facts["protocol"]),
        left_out=left_out(pairs, checked.pairs),
    )
    if config.out:
        config.out.mkdir(parents=True, exist_ok=True)
        result.save(config.out / "result.json")
    return result


def left_out(offered: PairSet, kept: PairSet) -> list[str]:
    """Names of the images that could not be used."""
    used = set(kept.images.names)
    return [name for name in offered.images.names if name not in used]


@dataclass(frozen=True)
class MaskWriter:
    """Saves each predicted mask in the palette's colours, under its image's name."""

    pairs: PairSet
    palette: Palette
    folder: Path

    def visit(self, index: int, _: np.ndarray, predicted: np.ndarray) -> None:
        """A visitor."""
        path = self.folder / Path(self.pairs.images.names[index]).with_suffix(".png")
        save_picture(self.palette.to_colours(predicted), path)
