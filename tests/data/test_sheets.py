"""Sheets show what they say, and stay small."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.decode import decode
from headstart.data.imageset import ImageSet
from headstart.data.sheets import MAX_BYTES, pair_sheet, sample_sheet

COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250))


def plain_classes(root: Path, per_class: int) -> ImageSet:
    names = []
    for label, colour in enumerate(COLOURS):
        for i in range(per_class):
            names.append(f"{label}-{i}.png")
            Image.new("RGB", (30, 20), colour).save(root / names[-1])
    return ImageSet(root, tuple(names), tuple(i // per_class for i in range(3 * per_class)))


def test_each_class_has_its_strip_in_order(tmp_path: Path) -> None:
    images = plain_classes(tmp_path, 9)
    drawn = sample_sheet(images, ["red", "green", "blue"], tmp_path / "out" / "sheet.png")
    assert [title for title, _ in drawn] == ["red", "green", "blue"]
    assert [len(set(names)) for _, names in drawn] == [6, 6, 6]
    assert all(name.startswith(f"{i}-") for i, (_, names) in enumerate(drawn) for name in names)
    sheet = decode(tmp_path / "out" / "sheet.png")
    rows = [np.flatnonzero((sheet == colour).all(axis=2).sum(axis=1) > 100) for colour in COLOURS]
    assert rows[0].max() < rows[1].min() < rows[1].max() < rows[2].min()
    assert sample_sheet(images, ["red", "green", "blue"], tmp_path / "again.png") == drawn
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "out" / "sheet.png").read_bytes()


def test_undecodable_images_and_empty_classes_are_passed_over(tmp_path: Path) -> None:
    images = plain_classes(tmp_path, 4)
    (tmp_path / "1-2.png").write_bytes(b"broken")
    for i in range(4):
        (tmp_path / f"2-{i}.png").unlink()
    drawn = dict(sample_sheet(images, ["red", "green", "blue", "none"], tmp_path / "sheet.png"))
    assert set(drawn) == {"red", "green"}
    assert set(drawn["green"]) == {"1-0.png", "1-1.png", "1-3.png"}


def test_unlabelled_images(tmp_path: Path) -> None:
    images = plain_classes(tmp_path, 5).unlabelled()
    drawn = sample_sheet(images, (), tmp_path / "sheet.png")
    names = [name for _, names in drawn for name in names]
    assert sorted(names) == sorted(images.names)
    assert {title for title, _ in drawn} == {""}


@pytest.mark.parametrize("n_classes", [2, 65, 300])
def test_a_sheet_of_noise_stays_small(tmp_path: Path, n_classes: int) -> None:
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    names = tuple(f"{i % 12}.png" for i in range(6 * n_classes))
    images = ImageSet(tmp_path, names, tuple(i // 6 for i in range(6 * n_classes)))
    drawn = sample_sheet(images, [f"a class with a long name {i}" for i in range(n_classes)], tmp_path / "sheet.png")
    assert len(drawn) == min(n_classes, 100)
    assert all(len(shown) >= 2 for _, shown in drawn)
    assert (tmp_path / "sheet.png").stat().st_size <= MAX_BYTES
    width, height = Image.open(tmp_path / "sheet.png").size
    assert max(width, height) < 2000


def test_pairs_lie_side_by_side(tmp_path: Path) -> None:
    first, second = (np.full((40, 40, 3), colour, dtype=np.uint8) for colour in COLOURS[:2])
    pair_sheet([(first, second)] * 5, tmp_path / "pairs.png")
    sheet = decode(tmp_path / "pairs.png")
    red, green = ((sheet == colour).all(axis=2) for colour in COLOURS[:2])
    assert red.sum() == green.sum() == 5 * 96 * 96
    assert np.array_equal(np.roll(red, 96 + 3, axis=1), green)


def test_pair_sheet_of_noise_stays_small_and_none_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 2, 128, 128, 3), dtype=np.uint8)
    pair_sheet([(pair[0], pair[1]) for pair in noise], tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").stat().st_size <= MAX_BYTES
    with pytest.raises(ValueError, match="no pairs"):
        pair_sheet([], tmp_path / "none.png")
