"""The demo's last part: automatic masks of some embedded scenes, where a checkpoint of Segment Anything is at hand."""

import json
import logging
from pathlib import Path

from headstart.configs.masks import MasksConfig
from headstart.configs.study import DemoConfig
from headstart.data.pairs import open_pairs
from headstart.embedded.landcover import LANDCOVER
from headstart.errors import MissingExtraError
from headstart.files import make_folder
from headstart.sam.checkpoints import CHECKPOINTS
from headstart.sam.fetch import place_of
from headstart.sam.runs import coco_mask
from headstart.sam.verb import masks

logger = logging.getLogger(__name__)

FOLDER = "masks"
IMAGES = 3
POINTS_PER_SIDE = 16
"""A quarter of the usual prompts, because the demo has minutes only."""
NOTES = "notes.json"


def run_objects(config: DemoConfig) -> bool:
    """Find the masks of some scenes below ``config.out``/masks, or say there, in words, why there are none."""
    folder = config.out / FOLDER
    make_folder(folder)
    found = checkpoint_at_hand(config)
    notes = [why_not(config)] if found is None else notes_of(found)
    if found is not None:
        masks(
            MasksConfig(
                inputs=scenes(),
                out=folder,
                model=found if isinstance(found, str) else "vit_b",
                checkpoint=found if isinstance(found, Path) else None,
                points_per_side=POINTS_PER_SIDE,
                overwrite=config.overwrite,
            )
        )
    (folder / NOTES).write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
    if found is None:
        logger.info("%s", notes[0])
    return found is not None


def checkpoint_at_hand(config: DemoConfig) -> str | Path | None:
    """``--sam``, else the first of the models with a name that lies in the cache; None without any, or without the
    packages for it. Nothing is downloaded.
    """
    if config.sam is not None:
        return config.sam
    try:
        coco_mask()
    except MissingExtraError:
        return None
    return next((name for name in CHECKPOINTS if cached(name)), None)


def why_not(config: DemoConfig) -> str:
    """What the log and the page say where there are no masks."""
    return (
        "The demo did not run Segment Anything, because no checkpoint of it is at hand, and the demo downloads none. "
        f"To have its masks here, fetch {CHECKPOINTS['vit_b'].url} ({CHECKPOINTS['vit_b'].megabytes} MB), install "
        f"headstart[demo,sam], and then: headstart demo --out {config.out} --minutes {config.minutes:g} --sam FILE."
    )


def notes_of(found: str | Path) -> list[str]:
    """What the page says before the masks."""
    name = found if isinstance(found, str) else found.name
    return [
        f"Segment Anything ({name}) has cut {IMAGES} validation scenes of the land-cover data into masks, without "
        f"knowing the classes. To save time, the grid has {POINTS_PER_SIDE} points along a side in place of 32."
    ]


def scenes() -> tuple[str, ...]:
    """Paths of some validation images of the embedded land-cover data, evenly over them."""
    val = open_pairs(LANDCOVER).val
    assert val is not None  # the embedded data are split
    images = val.images
    step = len(images.names) / IMAGES
    return tuple(str(images.root / images.names[int(step * (i + 0.5))]) for i in range(IMAGES))


def cached(name: str) -> bool:
    """Whether a model's weights were downloaded before."""
    return place_of(name, CHECKPOINTS[name]).is_file()
