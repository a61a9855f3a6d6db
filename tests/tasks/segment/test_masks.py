"""Which masks are kept, by fixed rules."""

from pathlib import Path

import numpy as np
import pytest

from headstart.data.imageset import ImageSet
from headstart.data.pairs import PairSet
from headstart.errors import ConfigError
from headstart.tasks.segment.masks import RIGHT, UNKNOWN, WRONG, by_rank, error_map, mask_epochs, named_images


def pairs(*names: str) -> PairSet:
    return PairSet(ImageSet(Path("i"), names), ImageSet(Path("m"), names))


@pytest.mark.parametrize(
    ("asked", "epochs", "kept"),
    [
        ((), 1, (1,)),
        ((), 2, (1, 2)),
        ((), 3, (1, 2, 3)),
        ((), 150, (1, 75, 150)),
        ((1, 75, 150), 150, (1, 75, 150)),
        ((5, 5, 2), 9, (2, 5, 9)),
        ((75,), 20, (20,)),
    ],
)
def test_first_middle_last_or_what_was_asked_and_the_last(
    asked: tuple[int, ...], epochs: int, kept: tuple[int, ...]
) -> None:
    assert mask_epochs(asked, epochs) == kept


def test_best_median_and_worst_by_iou() -> None:
    ious = [0.5, 0.9, None, 0.1, 0.7, 0.2]
    assert by_rank(range(6), ious) == {1: "best", 0: "median", 3: "worst"}
    assert by_rank([0, 3], ious) == {0: "best", 3: "worst"}
    assert by_rank([4], ious) == {4: "best"}
    assert by_rank([2], ious) == {2: "median"}
    assert by_rank(range(3), [0.5, 0.5, 0.5]) == {0: "best", 1: "median", 2: "worst"}


def test_images_are_named_by_path_file_or_stem() -> None:
    val = pairs("a/0013_sat.jpg", "a/0062_sat.jpg", "b/0062_sat.jpg")
    assert named_images(["0013_sat.jpg", "b/0062_sat.jpg", "0013_sat"], val) == [0, 2]
    with pytest.raises(ConfigError, match=r"0050.*they are called a/0013_sat.jpg") as error:
        named_images(["0050_sat.jpg", "0051_sat.jpg"], val)
    assert len(error.value.problems) == 2


def test_the_error_map_marks_wrong_and_unknown_pixels() -> None:
    truth, predicted = np.array([[0, 1, 2]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    assert error_map(truth, predicted, n_scored=2).tolist() == [[list(RIGHT), list(WRONG), list(UNKNOWN)]]
