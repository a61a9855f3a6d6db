"""A pack: the same pixels as decoding, whole or not at all, found again by content, and within its limit."""

import errno
import json
import logging
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.configs.views import ViewsConfig
from headstart.data.decode import check_images, read_quarantine
from headstart.data.imageset import ImageSet
from headstart.data.loaders import ViewsDataset, plain_batches, read_chw
from headstart.data.pack import Effort, Pack, PackError, build, cache, open_pack, readable, writer
from headstart.data.pack.cache import LOCKS, locked, remove_parts, used
from headstart.data.pack.layout import FACTS_FILE, INDEX, INDEX_FILE, NAMES_FILE, SCHEMA, PackFacts, shard_file
from headstart.data.pack.reader import crc32
from headstart.data.reduced import decode_as_asked, side_for
from headstart.data.views import build_views, plain_view
from headstart.errors import DataError

SIDE = 24
MEAN_STD = ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))


@pytest.fixture
def photos(tmp_path: Path) -> ImageSet:
    """Images of several sizes and formats, larger and smaller than ``SIDE``, one of them no image; labelled."""
    rng, root = np.random.default_rng(0), tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    sizes = {"wide.jpg": (130, 170), "tall.png": (61, 30), "sub/small.png": (20, 90), "even.jpg": (24, 24)}
    for name, (height, width) in sizes.items():
        coarse = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height)).save(root / name)
    (root / "broken.jpg").write_bytes((root / "wide.jpg").read_bytes()[:900])
    (root / "empty.png").touch()
    names = ("wide.jpg", "broken.jpg", "tall.png", "sub/small.png", "even.jpg", "gone.png", "empty.png")
    return ImageSet(root, names, tuple(i % 2 for i in range(len(names))), SIDE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def packs_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != LOCKS)


def sound(images: ImageSet) -> list[str]:
    return [name for name in images.names if name not in ("broken.jpg", "gone.png", "empty.png")]


def assert_holds(pack: Pack, images: ImageSet) -> None:
    """Every image as it decodes, every other with the reason why it does not."""
    for name in sound(images):
        pixels = pack.read(name)
        assert np.array_equal(pixels, decode_as_asked(images, images.root / name)), name
        assert pixels.flags.writeable
        assert pixels.flags.c_contiguous
    assert set(pack.reasons) == {name for name in images.names if name not in sound(images)}


def test_a_pack_holds_what_decoding_gives(photos: ImageSet, folder: Path) -> None:
    pack = build(photos, folder)
    assert_holds(pack, photos)
    assert_holds(open_pack(pack.folder), photos)
    assert pack.folder == folder / pack.facts.key
    assert packs_in(folder) == [pack.folder]
    assert pack.facts.n_bytes == sum(file.stat().st_size for file in pack.folder.glob("*.bin"))
    for name in ("broken.jpg", "nothing", "", "zzz"):
        with pytest.raises(KeyError, match="no image"):
            pack.read(name)
    pack.read("wide.jpg")[:] = 0
    assert_holds(pack, photos)  # what is read is the caller's own


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing_and_shards_follow_one_another(
    photos: ImageSet, folder: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SHARD_BYTES", 24 * 31 * 3 + 24 * 48 * 3 - 1)  # one byte short of the first two
    seen: list[tuple[int, int]] = []
    pack = build(photos, folder, effort=Effort(threads, progress=lambda *done: seen.append(done)))
    assert_holds(pack, photos)
    assert seen == [(i + 1, 7) for i in range(7)]
    assert len(pack.facts.shards) == 4
    assert sum(pack.facts.shards) == sum(pack.read(name).nbytes for name in sound(photos))


def test_names_of_any_bytes_and_twice(tmp_path: Path, folder: Path) -> None:
    rng = np.random.default_rng(1)
    plain = [f"{i}.png" for i in range(40)]
    names = [*plain, "b\u00e4r \U0001f40d.png", os.fsdecode(b"caf\xe9.png"), "a.png", "a.png.png", "0.png"]
    for name in set(names):
        Image.fromarray(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)).save(tmp_path / name, format="PNG")
    (tmp_path / os.fsdecode(b"bad\xff.png")).write_bytes(b"x")
    images = ImageSet(tmp_path, (*names, os.fsdecode(b"bad\xff.png")), None, 8)
    pack = build(images, folder)
    for name in names:
        assert np.array_equal(pack.read(name), decode_as_asked(images, tmp_path / name)), name
    assert list(open_pack(pack.folder).reasons) == [os.fsdecode(b"bad\xff.png")]
    assert len(pack) == len(set(images.names))


def test_a_guess_changes_what_is_looked_at_not_what_is_found(photos: ImageSet, folder: Path) -> None:
    pack = build(photos, folder)
    for name in sound(photos):
        position = pack.find(name)
        assert position is not None
        assert all(pack.find(name, guess) == position for guess in range(-2, len(pack) + 2))
        assert np.array_equal(pack.read(name, position), pack.read(name))
    assert pack.find("zzz", 0) is None


def test_found_again_by_content(photos: ImageSet, folder: Path) -> None:
    pack = build(photos, folder)
    stamp = (pack.folder / INDEX_FILE).stat().st_mtime_ns
    relabelled = replace(photos, names=photos.names[::-1], labels=None)
    assert build(relabelled, folder).facts.key == pack.facts.key
    assert (pack.folder / INDEX_FILE).stat().st_mtime_ns == stamp, "made anew"
    moved = photos.root.rename(photos.root.with_name("elsewhere"))
    assert build(replace(photos, root=moved), folder).facts.key == pack.facts.key
    others = [replace(photos, root=moved, side=SIDE + 1), replace(photos, root=moved, side=None)]
    others.append(replace(photos, root=moved).subset(range(6)))
    keys = {pack.facts.key} | {build(other, folder).facts.key for other in others}
    path, before = moved / "even.jpg", (moved / "even.jpg").stat()
    content = bytearray(path.read_bytes())
    content[-10] ^= 1  # the same size, and the same time
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    keys.add(build(replace(photos, root=moved), folder).facts.key)
    (moved / "gone.png").write_bytes((moved / "tall.png").read_bytes())
    mended = build(replace(photos, root=moved), folder)
    assert len(keys | {mended.facts.key}) == 6
    assert set(mended.reasons) == {"broken.jpg", "empty.png"}


@pytest.mark.parametrize("style", ["byol", "light", "none", "trivial"])
def test_views_are_bit_equal_with_and_without_a_pack(photos: ImageSet, tmp_path: Path, style: str) -> None:
    config = ViewsConfig(style=style)  # type: ignore[arg-type]
    images = replace(photos, side=side_for(config, 10))
    files = tmp_path / "a.csv", tmp_path / "b.csv"
    packed = readable(images, files[0], False, 2, limit=1)
    plain = readable(images, files[1], False, 2)
    assert packed.decoded is not None
    assert plain.decoded is None
    assert packed == plain
    assert files[0].read_text() == files[1].read_text()
    views = build_views(config, 10, *MEAN_STD, 2)
    ours, theirs = (ViewsDataset(each, views, 3) for each in (packed, plain))
    for i in range(len(plain)):
        assert torch.equal(ours[2, i][0], theirs[2, i][0])
    evaluated = plain_view(config, 10, *MEAN_STD)
    for a, b in zip(plain_batches(packed, evaluated, 2, 1), plain_batches(plain, evaluated, 2), strict=True):
        assert all(torch.equal(*each) for each in zip(a, b, strict=True))


def test_quarantine_without_decoding_again(
    photos: ImageSet, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{i}.csv" for i in range(3)]
    checked = check_images(photos, files[0], False, 1)
    first = readable(photos, files[1], False, 1, limit=1)

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("headstart.data.pack.make.decode_as_asked", never)
    monkeypatch.setattr("headstart.data.loaders.decode_as_asked", never)
    again = readable(photos, files[2], False, 1, limit=1)
    assert checked == first == again
    assert [read_quarantine(file) for file in files] == [read_quarantine(files[0])] * 3
    assert len(read_quarantine(files[0])) == 3
    assert caplog.text.count("3 of 7 images") == 3
    read_chw(again, 0)
    with pytest.raises(DataError, match=r"3 of 7 images.*--strict"):
        readable(photos, files[2], True, 1, limit=1)
    monkeypatch.undo()
    with pytest.raises(DataError, match="none is left"):
        readable(photos.subset([1, 5]), files[2], False, 1, limit=1)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "shard cut": lambda pack: os.truncate(pack / shard_file(0), 100),
    "shard longer": lambda pack: (pack / shard_file(0)).open("ab").write(b"x"),
    "shard gone": lambda pack: (pack / shard_file(0)).unlink(),
    "index cut": lambda pack: os.truncate(pack / INDEX_FILE, INDEX.itemsize * 3),
    "index changed": lambda pack: flip(pack / INDEX_FILE, 9),
    "names changed": lambda pack: flip(pack / NAMES_FILE, 1),
    "facts gone": lambda pack: (pack / FACTS_FILE).unlink(),
    "facts no JSON": lambda pack: (pack / FACTS_FILE).write_text("{"),
    "facts empty": lambda pack: (pack / FACTS_FILE).write_text("{}"),
    "another schema": lambda pack: change_facts(pack, schema_version=SCHEMA + 1),
    "never finished": lambda pack: change_facts(pack, complete=False),
}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def change_facts(pack: Path, **changes: object) -> None:
    path = pack / FACTS_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_pack_is_recognised_and_made_anew(
    photos: ImageSet, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    pack = build(photos, folder).folder
    DAMAGES[damage](pack)
    with pytest.raises(PackError, match="Delete it"):
        open_pack(pack)
    again = build(photos, folder)
    assert str(pack) in caplog.text
    assert_holds(again, photos)
    assert packs_in(folder) == [again.folder]


def sizes_of(folder: Path) -> int:
    return sum(open_pack(pack).facts.n_bytes for pack in packs_in(folder))


def test_the_limit_removes_what_was_not_used_for_longest(
    photos: ImageSet, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second, third = (replace(photos, side=side) for side in (20, 21, 22))
    a, b = build(first, folder).folder, build(second, folder).folder
    now = time.time()
    for pack, age in ((a, 50), (b, 90)):
        os.utime(pack / FACTS_FILE, (now - age, now - age))
    build(second, folder)  # used now: the first is older
    limit = (sizes_of(folder) + 5000) / 1e9
    kept = build(third, folder, limit)
    assert packs_in(folder) == sorted([b, kept.folder])
    assert f"Removed the pack {a}" in caplog.text
    assert sizes_of(folder) <= limit * 1e9


def test_what_is_no_pack_stays_whatever_the_limit(photos: ImageSet, folder: Path) -> None:
    """A folder of packs that holds other things too: pictures, what is called a part, the images themselves."""
    kept = [folder / "thesis" / "a.tex", folder / "old.part" / "b.bin", folder / "photos" / "c.bin"]
    for file in kept:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * 5000)
    first = build(photos.subset([0, 2]), folder)
    size = first.facts.n_bytes
    del first
    build(photos.subset([0]), folder, 1.1 * size / 1e9)
    assert all(file.is_file() for file in kept)


def test_a_pack_that_is_open_is_never_removed(photos: ImageSet, folder: Path) -> None:
    held = build(replace(photos, side=20), folder)
    limit = 1.8 * held.facts.n_bytes / 1e9
    with pytest.raises(PackError, match=r"beside those in use.*--pack-limit"):
        build(photos, folder, limit)
    assert packs_in(folder) == [held.folder]
    used(held.folder)
    assert_holds(held, replace(photos, side=20))
    del held
    assert_holds(build(photos, folder, limit), photos)


def test_too_large_for_the_limit_is_read_without_a_pack(
    photos: ImageSet, tmp_path: Path, packs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = replace(photos, side=23)
    there = set(packs_in(packs))
    kept = readable(images, tmp_path / "q.csv", False, 1, limit=1e-6)
    assert kept.decoded is None
    assert len(kept) == 4
    assert "--pack-limit 1e-06" in caplog.text
    assert set(packs_in(packs)) == there


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_disk_that_refuses_costs_the_pack_not_the_training(
    photos: ImageSet,
    tmp_path: Path,
    packs: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
    at: int,
) -> None:
    flushed, calls = writer._flushed, 0

    def refuse(*given: object) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(code, os.strerror(code))
        flushed(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(writer, "_flushed", refuse)
    monkeypatch.setattr(writer, "SHARD_BYTES", 1000)
    images, there = replace(photos, side=100 + at), set(packs_in(packs))
    kept = readable(images, tmp_path / "q.csv", False, 1, limit=1)
    assert kept.decoded is None
    assert len(kept) == 4
    assert "No pack of decoded images" in caplog.text
    assert set(packs_in(packs)) == there, "a part was left"


def test_a_folder_that_cannot_be_one_is_told(photos: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PackError, match=r"Cannot write .*file.*--pack-limit 0"):
        build(photos, tmp_path / "file" / "packs")


def test_no_room_on_the_disk_is_seen_before(photos: ImageSet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SPARE_BYTES", 2**62)
    with pytest.raises(PackError, match=r"free\. Make room"):
        build(photos, folder)
    assert packs_in(folder) == []


def test_what_a_kill_left_is_removed_unless_it_is_being_written(photos: ImageSet, folder: Path) -> None:
    for name in ("a" * 64, "b" * 64):
        (folder / f"{name}.part").mkdir(parents=True)
        (folder / f"{name}.part" / shard_file(0)).write_bytes(b"x" * 100)
    with locked(folder, "b" * 64):
        remove_parts(folder)
        assert packs_in(folder) == [folder / f"{'b' * 64}.part"]
        with locked(folder, "b" * 64, wait=False) as ours:
            assert not ours
    assert packs_in(folder) == [folder / f"{'b' * 64}.part"]
    pack = build(photos, folder)
    assert packs_in(folder) == [pack.folder]


def test_an_opened_pack_goes_to_other_processes(photos: ImageSet, folder: Path) -> None:
    pack = build(photos, folder)
    assert_holds(pickle.loads(pickle.dumps(pack)), photos)


def write_synthetic(folder: Path, n: int) -> None:
    """A pack of ``n`` images of 1 pixel, in a sparse shard, without images."""
    folder.mkdir()
    names = np.char.add(b"image-", np.char.zfill(np.arange(n).astype("S8"), 8)).astype("S14")
    names.tofile(folder / NAMES_FILE)
    rows = np.zeros(n + 1, INDEX)
    rows["name"], rows["offset"] = 14 * np.arange(n + 1), 3 * np.arange(n + 1)
    rows["height"] = rows["width"] = 1
    rows.tofile(folder / INDEX_FILE)
    with (folder / shard_file(0)).open("wb") as file:
        file.truncate(3 * n)
    sums = {name: crc32(folder / name) for name in (INDEX_FILE, NAMES_FILE)}
    facts = PackFacts(
        schema_version=SCHEMA,
        complete=True,
        key="k",
        settings={},
        n_images=n,
        n_bytes=0,
        shards=(3 * n,),
        sums=sums,
    )
    (folder / FACTS_FILE).write_text(facts.model_dump_json())


OPEN = """
import json, sys, time
from pathlib import Path
from headstart.data.pack.reader import open_pack
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
before, began = resident(), time.perf_counter()
pack = open_pack(Path(sys.argv[1]))
seconds = time.perf_counter() - began
n = len(pack)
for i in range(0, n, max(1, n // 1000)):
    assert pack.find(f"image-{i:08}") == i
    assert pack.read(f"image-{i:08}").shape == (1, 1, 3)
assert pack.find("image-") is None and pack.find("image-99999999x") is None
print(json.dumps({"n": n, "seconds": seconds, "kB": resident() - before}))
"""


def test_a_million_images_open_fast_and_small(tmp_path: Path) -> None:
    n = 1_000_000
    write_synthetic(tmp_path / "pack", n)
    command = [sys.executable, "-c", OPEN, str(tmp_path / "pack")]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told["n"] == n
    assert told["seconds"] < 1.0  # measured 0.04 to 0.08: the goal is 2 s for ten times as many
    assert 0 < told["kB"] * 1024 / n < 64
    assert INDEX.itemsize <= 64
