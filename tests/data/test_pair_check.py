"""The look at every pair: what is counted, what is left out and why, and foreign colours as one error."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.decode import decode, read_quarantine
from headstart.data.masks import read_mask
from headstart.data.measure import equal_groups, mean_and_std, measured
from headstart.data.pair_check import (
    CheckedPairs,
    check_pairs,
    inspect_pairs,
    pair_facts,
    pair_leaks,
    quarantine_unpaired,
)
from headstart.data.pairs import PairSet, open_pairs, pair_split
from headstart.data.palettes import BLUEMARBLE, DEEPGLOBE, Palette
from headstart.errors import DataError

Writer = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, write_pairs: Writer) -> Path:
    """Six pairs of 12 x 8 pixels with the values 0 to 2."""
    names = [str(i) for i in range(6)]
    return write_pairs(tmp_path / "d", [f"images/{i}.png" for i in names], [f"masks/{i}.png" for i in names])


def checked(pairs: PairSet, tmp_path: Path, palette: Palette = BLUEMARBLE, **options: object) -> CheckedPairs:
    return check_pairs(pairs, palette, tmp_path / "quarantine.csv", **{"strict": False, "workers": 2, **options})


def test_what_is_counted(folder: Path, tmp_path: Path) -> None:
    pairs = open_pairs(str(folder)).train
    seen: list[int] = []
    found, failures = inspect_pairs(pairs, BLUEMARBLE, tmp_path / "quarantine.csv", 2, progress=seen.append)
    assert (found.pairs, len(found), failures, seen) == (pairs, 6, [], [1, 2, 3, 4, 5, 6])
    for i in range(6):
        indices = read_mask(pairs.masks.path(i), BLUEMARBLE)
        pixels = decode(pairs.images.path(i)) / 255
        assert found.pixel_counts[i].tolist() == [(indices == k).sum() for k in range(6)]
        assert found.sizes[i].tolist() == [8, 12]
        assert np.allclose(found.channel_sums[i], pixels.sum(axis=(0, 1)))
        assert np.allclose(found.channel_squares[i], (pixels**2).sum(axis=(0, 1)))
    assert len(set(found.digests)) == 6
    assert not (tmp_path / "quarantine.csv").exists()
    every = np.concatenate([decode(pairs.images.path(i)).reshape(-1, 3) for i in range(6)]) / 255
    mean, std = mean_and_std(found.channel_sums, found.channel_squares, 6 * 96)
    assert np.allclose(mean, every.mean(axis=0))
    assert np.allclose(std, every.std(axis=0))


def test_pairs_that_cannot_be_used_go_to_the_quarantine(folder: Path, tmp_path: Path, write_pairs: Writer) -> None:
    for name in ("images/1.png", "masks/2.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:60])
    write_pairs(folder, [], ["masks/3.png"], size=(12, 9))
    (folder / "masks" / "4.png").write_bytes(b"")
    write_pairs(folder, ["images/9.png"], [])
    source = open_pairs(str(folder))
    found = checked(source.train, tmp_path)
    quarantine_unpaired(source, tmp_path / "quarantine.csv")
    assert found.pairs.images.names == ("0.png", "5.png")
    assert found.pixel_counts.shape == (2, 6)
    told = {
        Path(path).relative_to(folder).as_posix(): why for path, why in read_quarantine(tmp_path / "quarantine.csv")
    }
    assert set(told) == {"images/1.png", "masks/2.png", "images/3.png", "masks/4.png", "images/9.png"}
    assert told["images/3.png"] == "it has 12 x 8 pixels and its mask 3.png has 12 x 9"
    assert told["masks/4.png"] == "not an image in a known format"
    assert "no mask of its name" in told["images/9.png"]
    with pytest.raises(DataError, match=r"4 of 6 pairs cannot be used .first: .*1\.png.*without --strict"):
        checked(source.train, tmp_path, strict=True)
    assert checked(source.train.subset([0, 5]), tmp_path).pairs.images.names == ("0.png", "5.png")
    assert len(read_quarantine(tmp_path / "quarantine.csv")) == 5, "a check of other pairs keeps the lines on these"


def test_nothing_left(folder: Path, tmp_path: Path) -> None:
    pairs = open_pairs(str(folder)).train
    for name in pairs.masks.names:
        (folder / "masks" / name).write_bytes(b"no")
    with pytest.raises(DataError, match=r"6 of 6 pairs cannot be used.*so none is left"):
        checked(pairs, tmp_path)
    with pytest.raises(DataError, match="no pairs"):
        checked(pairs.subset([]), tmp_path)


def test_foreign_colours_are_one_error_over_all_masks(folder: Path, tmp_path: Path) -> None:
    mask = BLUEMARBLE.to_colours(np.zeros((8, 12), dtype=int))
    for i in range(6):
        strange = mask.copy()
        strange[0, : i + 1] = (1, 2, 3)
        strange[1, 0] = (200, 0, i)
        Image.fromarray(strange if i else mask).save(folder / "masks" / f"{i}.png")
    pairs = open_pairs(str(folder)).train
    with pytest.raises(DataError) as caught:
        checked(pairs, tmp_path)
    text = str(caught.value)
    assert f"5 of 6 masks in {folder / 'masks'} have 6 colour(s) that the palette bluemarble does not know: " in text
    assert "[1, 2, 3] (20 px in 5 masks)" in text
    assert "[200, 0, 3] (1 px in 1 masks)" in text
    assert "--nearest-colour" in text
    assert "--palette" in text
    nearest = checked(pairs, tmp_path, nearest=True)
    assert len(nearest) == 6
    assert nearest.pixel_counts[1, BLUEMARBLE.classes.index("tropical")] == 1
    assert nearest.pixel_counts[1, BLUEMARBLE.classes.index("ocean")] == 2


def test_foreign_values_are_no_matter_of_nearness(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 12), 77, np.uint8)).save(folder / "masks" / "0.png")
    for nearest in (False, True):
        with pytest.raises(DataError, match=r"1 of 6 masks in .* have 1 value\(s\).*77 \(96 px in 1 masks\)") as caught:
            checked(open_pairs(str(folder)).train, tmp_path, nearest=nearest)
        assert "--nearest-colour" not in str(caught.value)


def test_a_photograph_in_place_of_a_mask_is_told_shortly(folder: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    for i in range(6):
        Image.fromarray(noise + np.uint8(i)).save(folder / "masks" / f"{i}.png")
    with pytest.raises(DataError, match=r"colour\(s\).*, and \d+ more\. ") as caught:
        checked(open_pairs(str(folder)).train, tmp_path)
    assert len(str(caught.value)) < 1500


def test_leaks_are_found_by_pixels_whatever_the_file(folder: Path, tmp_path: Path) -> None:
    Image.open(folder / "images" / "0.png").save(folder / "images" / "4.tif")
    (folder / "images" / "4.png").unlink()
    pairs = open_pairs(str(folder)).train
    train, val = checked(pairs.subset([0, 1, 2]), tmp_path), checked(pairs.subset([3, 4, 5]), tmp_path)
    assert pair_leaks(train, val) == [(str(folder / "images" / "0.png"), str(folder / "images" / "4.tif"))]
    assert pair_leaks(val, train) == [(str(folder / "images" / "4.tif"), str(folder / "images" / "0.png"))]
    assert pair_leaks(train, train.__class__(**{**vars(val), "digests": ("x", "y", "z")})) == []
    assert equal_groups([*train.digests, *val.digests]) == [[0, 4]]


def test_equal_pixels_in_another_shape_are_another_image() -> None:
    flat = np.arange(24, dtype=np.uint8)
    assert measured(flat.reshape(2, 4, 3)).digest != measured(flat.reshape(4, 2, 3)).digest
    assert measured(flat.reshape(2, 4, 3)).digest == measured(flat.reshape(2, 4, 3).copy(order="F")).digest


def test_facts_count_pixels(folder: Path, tmp_path: Path) -> None:
    source = open_pairs(str(folder))
    offered, held_out, words = pair_split(source)
    train, val = checked(offered, tmp_path), checked(held_out, tmp_path)
    facts = pair_facts(source, train, val, BLUEMARBLE, words, quarantined=3)
    assert (facts.counted, facts.n_train, facts.n_val, facts.quarantined) == ("pixels", 5, 1, 3)
    assert facts.classes == list(BLUEMARBLE.classes)
    assert sum(facts.train_counts) == 5 * 96
    assert sum(facts.val_counts) == 96
    assert facts.split == words
    again = pair_facts(source, train, val, BLUEMARBLE, words, quarantined=3)
    assert again.fingerprint == facts.fingerprint
    other = check_pairs(offered, DEEPGLOBE, tmp_path / "q.csv", False, 1)
    assert pair_facts(source, other, val, DEEPGLOBE, words, 3).fingerprint != facts.fingerprint
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(offered.masks.path(0))
    assert pair_facts(source, train, val, BLUEMARBLE, words, quarantined=3).fingerprint != facts.fingerprint
