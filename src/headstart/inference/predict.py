"""``headstart predict``: masks of images and rasters, or classes of images, from a finished run."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from headstart.configs.inference import PredictConfig
from headstart.data.decode import quarantine
from headstart.data.imageset import ImageSet
from headstart.errors import DataError, RunError
from headstart.inference.classes import predict_classes
from headstart.inference.inputs import Input, find_inputs
from headstart.inference.masks import Refiner, predict_masks
from headstart.inference.outcome import QUARANTINE
from headstart.results import PredictResult
from headstart.training.rundir import read_config, refuse_file

logger = logging.getLogger(__name__)


def predict(config: PredictConfig, refiner: Refiner | None = None) -> PredictResult:
    """Predict the inputs with the model of ``config.run`` and write the outputs below ``config.out``.

    Segmentation: NAME_mask.png in the palette's colours for an image, the class raster NAME.tif for a GeoTIFF, and
    what else was asked for. ``refiner`` is what ``config.refine`` names (``verbs.predict`` brings it). Classification:
    predictions.csv. Finished outputs are kept, interrupted rasters go on.
    Inputs that cannot be decoded are listed in quarantine.csv and in ``failed``; DataError when that is all of them.
    Raises ConfigError, RunError, WeightsError or MissingExtraError before anything is written.
    """
    if (config.refine == "none") != (refiner is None):
        raise ValueError(f"a refiner is for --refine sam and needed there; this is --refine {config.refine}")
    verb = kind_of_run(config.run)
    inputs = find_inputs(config.inputs, config.out)
    refuse_file(config.out)
    if (config.out / "config.json").is_file() and (found := read_config(config.out)["verb"]) != "predict":
        raise RunError(f"{config.out} holds a {found} run. Choose another --out.")
    began = time.monotonic()
    outcome = predict_masks(config, inputs, refiner) if verb == "segment" else predict_classes(config, inputs)
    note_refused(config.out, inputs, outcome.reasons)
    result = PredictResult(
        run=str(config.run),
        out=str(config.out),
        files=[str(config.out / name) for name in outcome.files],
        failed=[str(each.path) for each in inputs if each in outcome.reasons],
        pixels=outcome.pixels,
        seconds=time.monotonic() - began,
    )
    result.save(config.out / "result.json")
    return result


def kind_of_run(run: Path) -> str:
    """``segment`` or ``classify``. RunError for anything but a finished run of these."""
    verb = str(read_config(run)["verb"])
    if verb not in ("segment", "classify"):
        raise RunError(f"{run} is a {verb} run; predict takes a segmentation or a classification run.")
    if not (run / "result.json").is_file():
        raise RunError(f"{run} is not finished. Bring it to its end first: the same headstart {verb} with --resume.")
    return verb


def note_refused(out: Path, inputs: Sequence[Input], reasons: Mapping[Input, str]) -> None:
    """Make quarantine.csv say what is wrong with the inputs. DataError when none of them could be decoded."""
    root = Path(os.path.commonpath([each.path.parent for each in inputs]))
    names = {each: each.path.relative_to(root).as_posix() for each in inputs}
    refused = {names[each]: reason for each, reason in reasons.items()}
    quarantine(out / QUARANTINE, ImageSet(root, tuple(names.values())), refused)
    if not reasons:
        return
    first = next(iter(reasons.items()))
    told = f"{len(reasons)} of {len(inputs)} inputs cannot be decoded (first: {first[0].path}: {first[1]})"
    if len(reasons) == len(inputs):
        raise DataError(f"{told}. All are listed in {out / QUARANTINE}.")
    logger.warning("%s. They are left out and listed in %s.", told, out / QUARANTINE)
