"""Which predicted mask belongs to which true one, in folders that any program may have written."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headstart.data.folders import require_images
from headstart.errors import DataError

END = re.compile(r"(_mask|_label|_pred|_sat)$", re.IGNORECASE)
ENDS_OF_TRUTH = (("_mask", "_label"), ("",), ("_pred",), ("_sat",))
ENDS_OF_PREDICTIONS = (("_pred",), ("_mask", "_label"), ("",), ("_sat",))
"""The first of these that any file of a folder has is that of its masks: so masks may lie beside their images, and
predictions beside the truth.
"""
SHOWN = 5


@dataclass(frozen=True)
class MatchedMasks:
    """``pairs`` are (truth, prediction), in the order of the truth; ``left_out`` are files that could be masks and
    are in no pair: predictions without a truth, and files that are named unlike the others of their folder.
    """

    pairs: tuple[tuple[Path, Path], ...]
    left_out: tuple[str, ...]


def match_masks(truth: Path, predicted: Path) -> MatchedMasks:
    """Match the masks below two folders by their paths in them; where no path agrees, by the file's name alone.

    An ending (.png), and _mask, _label, _pred or _sat before it, do not count. DataError when a folder holds no image,
    when two of its files have one name, and when a truth has no prediction: its image would otherwise drop out of the
    mean, and a model that gives nothing for hard images would look better for it.
    """
    true_names, not_true = _masks_in(truth, ENDS_OF_TRUTH)
    predicted_names, not_predicted = _masks_in(predicted, ENDS_OF_PREDICTIONS)
    ours, theirs = _by_key(truth, true_names, whole=True), _by_key(predicted, predicted_names, whole=True)
    if not ours.keys() & theirs.keys():
        ours, theirs = _by_key(truth, true_names, whole=False), _by_key(predicted, predicted_names, whole=False)
    missing = [name for key, name in ours.items() if key not in theirs]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(ours)} true masks in {truth} have no prediction in {predicted}: "
            f"{_shown(missing)}. Predict these images too, or take their masks out of the folder. Names must be equal "
            "but for the ending and _mask, _label, _pred or _sat before it."
        )
    pairs = tuple((truth / name, predicted / theirs[key]) for key, name in ours.items())
    same = [str(true) for true, prediction in pairs if true.samefile(prediction)]
    if same:
        raise DataError(f"{len(same)} mask(s) would be compared with themselves: {_shown(same)}. Give two folders.")
    unmatched = [name for key, name in theirs.items() if key not in ours]
    others = [truth / name for name in not_true] + [predicted / name for name in [*not_predicted, *unmatched]]
    return MatchedMasks(pairs, tuple(dict.fromkeys(map(str, others))))


def _masks_in(folder: Path, ends: Sequence[tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """Names of the masks in a folder, and of files that are neither masks nor another file of a mask's name."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of masks.")
    names = require_images(folder)
    chosen = next(group for group in ends if any(_end(name) in group for name in names))
    masks = [name for name in names if _end(name) in chosen]
    known = {_key(name) for name in masks}
    return masks, [name for name in names if _key(name) not in known]


def _by_key(folder: Path, names: Sequence[str], whole: bool) -> dict[str, str]:
    """Names by what two masks of one image have in common: the path, or without ``whole`` the file's name alone."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[_key(name) if whole else PurePosixPath(_key(name)).name].append(name)
    doubled = [" and ".join(each) for each in found.values() if len(each) > 1]
    if doubled:
        raise DataError(f"{folder} has several masks of one name: {_shown(doubled)}. Keep one of each.")
    return {key: each[0] for key, each in found.items()}


def _end(name: str) -> str:
    match = END.search(PurePosixPath(name).stem)
    return match.group().lower() if match else ""


def _key(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(END.sub("", path.stem) or path.stem))


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
