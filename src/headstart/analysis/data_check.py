"""What a source holds, before anyone trains: class shares, sizes, duplicates, leaks, and what cannot be used."""

import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

from headstart.analysis.data_doubts import Checked, Side, doubts
from headstart.configs.data import DataCheckConfig
from headstart.data.decode import read_quarantine
from headstart.data.imageset import ImageSet, class_counts
from headstart.data.measure import equal_groups, mean_and_std, measure_images
from headstart.data.pair_check import CheckedPairs, inspect_pairs, quarantine_unpaired
from headstart.data.pairs import PairSet, has_pairs, open_pairs, pair_split
from headstart.data.palette_files import resolve_palette
from headstart.data.sources import offered_images, open_source
from headstart.data.threads import reader_threads
from headstart.errors import DataError
from headstart.results import DataCheckResult

LISTED_SIZES = 10

Watch = Callable[[int, int], None]
"""Called with how many of how many images were looked at."""


def check_source(config: DataCheckConfig, watch: Watch) -> DataCheckResult:
    """Look at every file of ``config.data``, say what it holds, and write that where ``config.out`` asks for it.

    DataError where it is no source, where masks have colours outside their palette, or where nothing can be read.
    """
    as_pairs = config.task == "segment" or (config.task == "auto" and has_pairs(config.data))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "quarantine.csv"
        checked = (_check_pairs if as_pairs else _check_images)(config, file, watch)
        result = _result(config.data, checked, dict(read_quarantine(file)))
        if config.out is not None:
            _write(config.out, result, file)
    return result


def _check_pairs(config: DataCheckConfig, file: Path, watch: Watch) -> Checked:
    source = open_pairs(config.data)
    palette = resolve_palette(config.palette, source)
    sides: list[PairSet] = [source.train]
    words = "one pair only: none can be held out for validation"
    if source.val is not None or len(source.train) > 1:
        train, val, words = pair_split(source)
        sides = [train, val]
    tick, threads = _ticks(watch, sum(map(len, sides))), reader_threads(config.workers)
    looked = [inspect_pairs(pairs, palette, file, threads, config.nearest_colour, progress=tick) for pairs in sides]
    if not len(looked[0][0]):
        raise DataError(f"None of the {len(sides[0])} pairs of {source.spec} can be used (first: {looked[0][1][0]}).")
    quarantine_unpaired(source, file)
    told = [_side_of_pairs(checked, palette.n_scored) for checked, _ in looked]
    return Checked(
        kind=source.kind,
        description=source.description,
        classes=palette.classes,
        n_scored=palette.n_scored,
        counted="pixels",
        train=told[0],
        val=told[1] if len(told) > 1 else Side.empty(len(palette.classes)),
        split=words,
        n_offered_val=len(sides[1]) if len(sides) > 1 else 0,
    )


def _side_of_pairs(checked: CheckedPairs, n_scored: int) -> Side:
    images = checked.pairs.images
    return Side(
        paths=tuple(str(images.path(i)) for i in range(len(images))),
        sizes=checked.sizes,
        digests=checked.digests,
        sums=checked.channel_sums,
        squares=checked.channel_squares,
        counts=checked.pixel_counts.sum(axis=0),
        n_unscored=int((checked.pixel_counts[:, :n_scored].sum(axis=1) == 0).sum()),
    )


def _check_images(config: DataCheckConfig, file: Path, watch: Watch) -> Checked:
    source = open_source(config.data)
    train, val, words = offered_images(source)
    tick = _ticks(watch, len(train) + (len(val) if val else 0))
    how = (source.classes, file, reader_threads(config.workers), tick)
    of_train = _side_of_images(train, *how)
    if not len(of_train):
        path, reason = next(iter(read_quarantine(file)), (source.spec, "no images"))
        raise DataError(f"None of the {len(train)} images of {source.spec} can be decoded (first: {path}: {reason}).")
    return Checked(
        kind=source.kind,
        description=source.description,
        classes=source.classes,
        n_scored=len(source.classes),
        counted="images",
        train=of_train,
        val=_side_of_images(val, *how) if val else Side.empty(len(source.classes)),
        split=words,
        n_offered_val=len(val) if val else 0,
    )


def _side_of_images(
    images: ImageSet, classes: tuple[str, ...], file: Path, threads: int, tick: Callable[[int], None]
) -> Side:
    kept, looks = measure_images(images, file, threads, tick)
    return Side(
        paths=tuple(str(kept.path(i)) for i in range(len(kept))),
        sizes=np.array([look.size for look in looks], dtype=np.int64).reshape(-1, 2),
        digests=tuple(look.digest for look in looks),
        sums=np.array([look.sums for look in looks]).reshape(-1, 3),
        squares=np.array([look.squares for look in looks]).reshape(-1, 3),
        counts=np.array(class_counts(kept, classes) or [0] * len(classes), dtype=np.int64),
    )


def _ticks(watch: Watch, total: int) -> Callable[[int], None]:
    """What to call after each image, on whichever side."""
    seen = count(1)
    return lambda _: watch(next(seen), total)


def _result(spec: str, checked: Checked, quarantined: dict[str, str]) -> DataCheckResult:
    train, val = checked.train, checked.val
    paths = [*train.paths, *val.paths]
    groups = equal_groups([*train.digests, *val.digests])
    leaks = [group for group in groups if group[0] < len(train) <= group[-1]]
    sizes = Counter((int(width), int(height)) for side in (train, val) for height, width in side.sizes)
    mean, std = mean_and_std(train.sums, train.squares, int(train.sizes.prod(axis=1).sum()))
    return DataCheckResult(
        spec=spec,
        kind=checked.kind,
        description=checked.description,
        classes=list(checked.classes),
        counted=checked.counted,
        train_shares=train.shares.tolist(),
        val_shares=val.shares.tolist() if len(val) else [],
        n_train=len(train),
        n_val=len(val),
        split=checked.split,
        sizes=[(*size, number) for size, number in sizes.most_common(LISTED_SIZES)],
        mean=mean,
        std=std,
        duplicates=[[paths[i] for i in group] for group in groups],
        leaks=[[paths[i] for i in group] for group in leaks],
        quarantined=quarantined,
        warnings=doubts(checked, groups, leaks, paths),
    )


def _write(out: Path, result: DataCheckResult, quarantine_file: Path) -> None:
    """result.json and, if there is anything to tell, quarantine.csv; an earlier check's are replaced."""
    out.mkdir(parents=True, exist_ok=True)
    result.save(out / "result.json")
    (out / "quarantine.csv").unlink(missing_ok=True)
    if quarantine_file.exists():
        (out / "quarantine.csv").write_bytes(quarantine_file.read_bytes())
