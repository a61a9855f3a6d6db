"""A finished segmentation model on other pairs: its scores, and its masks where they are wanted."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from headstart.configs.inference import EvaluateConfig
from headstart.data.pair_check import check_pairs
from headstart.data.pairs import PairSet, open_pairs
from headstart.data.palette_files import palette_named
from headstart.data.palettes import Palette
from headstart.data.threads import reader_threads
from headstart.errors import RunError
from headstart.inference.inputs import Input
from headstart.inference.masks import Refiner
from headstart.inference.pictures import save_picture
from headstart.inference.tiles import Strip, most_probable
from headstart.models.segmenter_files import read_segmenter
from headstart.models.segmenters import Segmenter
from headstart.results import MiouResult
from headstart.tasks.segment.looks import Examiner, Visitor, new_tally
from headstart.training.runtime import inference_context

logger = logging.getLogger(__name__)


def evaluate_segmenter(config: EvaluateConfig, refiner: Refiner | None = None) -> MiouResult:
    """Predict the validation pairs of ``config.data`` (all pairs where it has no validation side) and score them.

    With ``config.out`` the masks go to its masks/ and the result to its result.json. With a ``refiner``, what
    ``config.refine`` names, the refined masks are scored beside the model's own, and it is they that are written.
    RunError when the palette has other classes than the model learned.
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
        checked = check_pairs(pairs, palette, quarantine, False, reader_threads("auto"), config.nearest_colour)
    examiner = Examiner(checked.pairs, palette, int(facts["image_size"]), config.nearest_colour, config.tiles)
    tally = new_tally(palette, boundaries=True)
    writers = [MaskWriter(checked.pairs, palette, config.out / "masks").visit] if config.out else []
    refined = None if refiner is None else new_tally(palette, boundaries=True)
    sources = inputs_of(checked.pairs)
    if refiner is not None:
        refiner.find(sources)
    with inference_context(segmenter, config.precision):
        if refiner is None or refined is None:
            examiner.examine(segmenter, tally.visit, *writers)
        else:
            examine_refined(examiner, segmenter, refiner, sources, [tally.visit], [refined.visit, *writers])
    protocol = config.protocol or facts["protocol"]
    result = MiouResult(
        predicted=str(config.run),
        truth=config.data,
        palette=palette.name,
        scores=tally.scorer.scores(protocol),
        refined=None if refined is None else refined.scorer.scores(protocol),
        refined_by=None if refiner is None else method_words(config),
        left_out=left_out(pairs, checked.pairs),
    )
    if config.out:
        config.out.mkdir(parents=True, exist_ok=True)
        result.save(config.out / "result.json")
    return result


def examine_refined(
    examiner: Examiner,
    module: Segmenter,
    refiner: Refiner,
    sources: Sequence[Input],
    own: Sequence[Visitor],
    refined: Sequence[Visitor],
) -> None:
    """Predict every image once; ``own`` visitors see the model's masks, ``refined`` ones those of its regions.

    ``module`` is in evaluation mode, and ``refiner`` has found the regions of ``sources``, the pairs' images.
    """
    for i, probabilities in enumerate(examiner.probabilities(module)):
        truth, predicted = examiner.truth(i), most_probable(probabilities).numpy()
        n_classes, height, width = probabilities.shape
        regions = refiner.regions(sources[i], n_classes)
        regions.add(regions.sums(Strip(0, 0, height, probabilities, None), 0))
        repainted = regions.repainted((0, 0, width, height), predicted)
        for visitors, mask in ((own, predicted), (refined, repainted)):
            for visit in visitors:
                visit(i, truth, mask)


def inputs_of(pairs: PairSet) -> list[Input]:
    """The images of the pairs as inputs, by the names they have there."""
    return [Input(pairs.images.path(i), PurePosixPath(name)) for i, name in enumerate(pairs.images.names)]


def method_words(config: EvaluateConfig) -> str:
    """By what the masks were refined."""
    return f"{config.refine}, {config.sam.checkpoint or config.sam.model}, margin {config.refine_margin:g}"


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
