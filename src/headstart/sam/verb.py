"""``headstart masks``: automatic masks of images and rasters, in files for people and for other tools."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headstart.configs.masks import MasksConfig
from headstart.data.decode import DecodeError
from headstart.errors import RunError
from headstart.inference.geo import geo
from headstart.inference.inputs import Input, find_inputs
from headstart.inference.ledger import Ledger
from headstart.inference.predict import note_refused
from headstart.results import MaskedImage, MasksResult, WeightsReport
from headstart.sam.classify import MaskClassifier
from headstart.sam.coco import CATEGORY, write_coco
from headstart.sam.files import ImageMasks, read_masks
from headstart.sam.generate import MaskGenerator
from headstart.sam.load import load_sam
from headstart.sam.make import Maker, Todo, openable
from headstart.sam.outputs import COCO_FILE, MaskItem, OutputSettings, plan_mask_outputs
from headstart.sam.runs import coco_mask
from headstart.sam.tiles import Generator
from headstart.training.progress import Progress
from headstart.training.rundir import read_config, refuse_file, write_config
from headstart.training.runtime import versions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """A generator with its loaded model; ``precision`` is what it computes in."""

    generator: Generator
    weights: WeightsReport | None
    precision: str


def load_engine(config: MasksConfig) -> Engine:
    """The generator that ``config`` asks for. WeightsError where its weights cannot be had or do not fit."""
    sam, report = load_sam(config.checkpoint or config.model, precision="fp32" if config.exact else config.precision)
    return Engine(MaskGenerator(sam, config.generator()), report, sam.precision)


def masks(config: MasksConfig) -> MasksResult:
    """Find the masks of all inputs and write their files below ``config.out``.

    For each input NAME_masks.json, NAME_ids.png (.tif of a GeoTIFF), NAME_overlay.png and, where asked for, polygons;
    coco.json for all of them. With ``config.classify`` every mask in the JSON files has a class. Finished outputs are
    kept, an interrupted raster goes on after its last tile. Inputs that cannot be decoded are listed in quarantine.csv
    and in ``failed``; DataError when that is all of them. Raises ConfigError, RunError, WeightsError or
    MissingExtraError before anything is written.
    """
    began = time.monotonic()
    coco_mask()
    inputs = find_inputs(config.inputs, config.out)
    refuse_others(config)
    items = plan_mask_outputs(inputs, config)
    if any(item.polygons for item in items):
        for module in ("rasterio", "shapely", "pyogrio"):
            geo(module)
    classifier = MaskClassifier.of(config.classify, config.precision) if config.classify else None
    settings = OutputSettings.of(config, classifier.model.sum if classifier else None)
    ledger = Ledger(config.out, config.overwrite)
    todo = [each for item in items if (each := Todo.of(item, ledger, settings)).anything]
    if len(todo) < len(items):
        logger.info("%d of %d inputs are finished already.", len(items) - len(todo), len(items))
    engine = load_engine(config) if any(each.masks and openable(each.item) for each in todo) else None
    config.out.mkdir(parents=True, exist_ok=True)
    write_config(config.out, config, "masks", model=settings.masks)
    maker = Maker(config, engine.generator if engine else None, ledger, settings, classifier)
    reasons, pixels = make_all(maker, todo, items)
    note_refused(config.out, inputs, reasons)
    finished = [item for item in items if item.source not in reasons]
    images = [masked_image(item, read_masks(config.out / item.masks)) for item in finished]
    files = [config.out / item.masks for item in finished]
    categories = classifier.categories if classifier else (CATEGORY,)
    write_coco(config.out / COCO_FILE, files, versions()["headstart"], categories)
    failed = [str(each.path) for each in inputs if each in reasons]
    result = result_of(config, engine, images, failed, pixels, time.monotonic() - began)
    result.save(config.out / "result.json")
    return result


def refuse_others(config: MasksConfig) -> None:
    """RunError where --out is a file, or holds what another command, or nobody here, has written."""
    refuse_file(config.out)
    if (config.out / "config.json").is_file():
        if (found := read_config(config.out)["verb"]) != "masks":
            raise RunError(f"{config.out} holds a {found} run. Choose another --out.")
    elif (config.out / COCO_FILE).exists() and not config.overwrite:
        raise RunError(f"{config.out / COCO_FILE} is in the way. Choose another --out, or give --overwrite.")


def make_all(maker: Maker, todo: Sequence[Todo], items: Sequence[MaskItem]) -> tuple[Mapping[Input, str], int]:
    """Make what is to do: why inputs were refused, and the number of pixels that were looked at now."""
    reasons: dict[Input, str] = {}
    pixels = 0
    with Progress(len(todo), 0, 1, True, "image") as progress:
        for done, each in enumerate(todo, 1):
            try:
                image = maker.make(each)
                pixels += image.size[0] * image.size[1] * each.masks
                logger.info("%s: %d masks.", each.item.source.path, len(image.masks))
            except DecodeError as error:
                logger.warning("%s is left out: %s.", each.item.source.path, error.reason)
                reasons[each.item.source] = error.reason
            progress.update(done)
    for item in items:
        maker.tidy(item)
    return reasons, pixels


def masked_image(item: MaskItem, image: ImageMasks) -> MaskedImage:
    """What the result says of an image."""
    return MaskedImage(
        source=str(item.source.path),
        name=image.name,
        width=image.size[1],
        height=image.size[0],
        tiles=image.tiles,
        n_masks=len(image.masks),
        classes=counted(image),
        coverage=image.coverage,
        areas=image.areas,
        masks=str(item.masks),
        ids=str(item.ids),
        overlay=str(item.overlay),
        polygons=None if item.polygons is None else str(item.polygons),
    )


def counted(image: ImageMasks) -> dict[str, int] | None:
    """Masks of each class; None where they were not classified."""
    if not image.categories:
        return None
    found = Counter(mask.category_id for mask in image.masks)
    return {str(each["name"]): found[each["id"]] for each in image.categories}


def result_before(config: MasksConfig) -> MasksResult | None:
    """What the same command found earlier; None where nothing can be read."""
    try:
        return MasksResult.model_validate_json((config.out / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def result_of(
    config: MasksConfig,
    engine: Engine | None,
    images: Sequence[MaskedImage],
    failed: Sequence[str],
    pixels: int,
    seconds: float,
) -> MasksResult:
    """What was found in all images. Where no model was loaded, the result before says which weights found them."""
    area = sum(image.width * image.height for image in images)
    covered = sum(image.coverage * image.width * image.height for image in images)
    made_by = engine or result_before(config)
    return MasksResult(
        out=str(config.out),
        model=config.model if config.checkpoint is None else config.checkpoint.name,
        checkpoint=None if config.checkpoint is None else str(config.checkpoint),
        precision=made_by.precision if made_by else config.precision,
        generator=config.generator().model_dump(mode="json"),
        tiles=config.tiles.model_dump(mode="json"),
        classified_by=None if config.classify is None else str(config.classify),
        weights=made_by.weights if made_by else None,
        images=list(images),
        coco=COCO_FILE,
        n_masks=sum(image.n_masks for image in images),
        coverage=covered / area,
        failed=list(failed),
        pixels=pixels,
        seconds=seconds,
    )
