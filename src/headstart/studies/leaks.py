"""Whether a pre-training has seen the images that the study judges by, which would flatter its starts."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from headstart.configs.starts import parse_start
from headstart.configs.study import StudyConfig
from headstart.data.imageset import ImageSet
from headstart.data.sources import offered_images, open_source
from headstart.errors import HeadstartError
from headstart.studies.plan import PlannedRun, bare_starts
from headstart.training.rundir import read_config

logger = logging.getLogger(__name__)


def find_leaks(config: StudyConfig, planned: Sequence[PlannedRun], val: ImageSet) -> list[str]:
    """A line for each source of pre-training images that holds files of ``val``, byte for byte; each is also logged.

    Where the images of a given run are no longer to be found, nothing can be said, and only the log says that.
    """
    lines = []
    for who, spec in dict.fromkeys(_pretrained_on(config, planned)):
        try:
            shared = same_files(val, offered_images(open_source(spec))[0])
        except HeadstartError as error:
            logger.info("Whether %s has seen validation images cannot be told: %s", who, error)
            continue
        if shared:
            lines.append(
                f"The pre-training of {who} has seen {len(shared)} of the {len(val)} validation images (such as "
                f"{shared[0]}) in {spec}: its scores are better than they would be on new images."
            )
            logger.warning("%s", lines[-1])
    return lines


def same_files(images: ImageSet, others: ImageSet) -> list[str]:
    """Names of ``images`` whose file equals one of ``others``. Only files of equal size are read."""
    sizes = {_size(images.path(i)) for i in range(len(images))} - {None}
    alike = [path for i in range(len(others)) if _size(path := others.path(i)) in sizes]
    digests = {_digest(path) for path in alike}
    sizes = {_size(path) for path in alike}
    return [
        name
        for i, name in enumerate(images.names)
        if _size(images.path(i)) in sizes and _digest(images.path(i)) in digests
    ]


def _pretrained_on(config: StudyConfig, planned: Sequence[PlannedRun]) -> Iterator[tuple[str, str]]:
    """(start, source of its pre-training images), for a run that went on from others those of all of them."""
    for start in dict.fromkeys(run.start for run in planned):
        if start in bare_starts(planned):
            yield start, config.unlabelled or config.data
        run = _run_of(start)
        known: set[str] = set()
        while run is not None and run not in known and (Path(run) / "config.json").is_file():
            known.add(run)
            settings = read_config(Path(run))["config"]
            if "data" in settings:
                yield start, settings["data"]
            run = settings.get("init_from") or _run_of(settings.get("start", "scratch"))


def _run_of(start: str) -> str | None:
    """The pre-training run that a start names."""
    parsed = parse_start(start)
    return parsed.value if parsed.kind in ("ssl", "ssl+supervised") else None


def _size(path: Path) -> int | None:
    """Bytes; None where there is no such file."""
    return path.stat().st_size if path.is_file() else None


def _digest(path: Path) -> bytes:
    """SHA-256 of the content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
