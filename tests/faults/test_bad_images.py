"""Bad image files are refused with a reason or read as they are meant, and none is dropped unseen."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.faults.damage import BAD, FORMATS, NOISE, ODD, saved, sound

from headstart.cli import main
from headstart.configs.views import ViewsConfig
from headstart.data.decode import DecodeError, check_images, decode, read_quarantine
from headstart.data.masks import read_labels
from headstart.data.sources import open_source
from headstart.data.views import plain_view
from headstart.models.backbones import IMAGENET_MEAN, IMAGENET_STD

NOBODY = 65534
pytestmark = pytest.mark.filterwarnings("ignore")


def refused(path: Path, read: Callable[[Path], np.ndarray]) -> str | None:
    """The reason, if the file is refused; anything else but an image is a failure."""
    try:
        assert read(path).size
    except DecodeError as error:
        is_one_line = 0 < len(error.reason) <= 200 and "\n" not in error.reason
        assert is_one_line, error.reason  # noqa: PT017
        return error.reason
    return None


@pytest.mark.parametrize("name", BAD)
def test_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    content, pattern = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=pattern):
        decode(path)
    if not name.endswith((".tif", "icon.png")):  # a mask may hold any number
        assert refused(path, read_labels)


@pytest.mark.parametrize("name", ODD)
def test_odd_and_read(tmp_path: Path, name: str) -> None:
    content, size = ODD[name]
    path = tmp_path / name
    path.write_bytes(content)
    pixels = decode(path)
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == np.uint8
    if max(size) < 1000:
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        assert plain_view(ViewsConfig(), 32, IMAGENET_MEAN, IMAGENET_STD)(image, 0).shape == (3, 32, 32)


@pytest.mark.parametrize("name", FORMATS)
def test_truncated_at_every_tenth_byte(tmp_path: Path, name: str) -> None:
    """Refused, or read to the last pixel: a picture that is grey below is never taken for whole."""
    whole, path = sound(name), tmp_path / "x"
    path.write_bytes(whole)
    pixels, n_refused = decode(path), 0
    for length in range(0, len(whole), 10):
        path.write_bytes(whole[:length])
        reason = refused(path, decode)
        n_refused += reason is not None
        assert reason is not None or np.array_equal(decode(path), pixels), f"{length} of {len(whole)} bytes"
    assert n_refused >= len(whole) // 10 - 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_any_bytes_are_an_image_or_refused(tmp_path: Path, name: str, data: st.DataObject) -> None:
    whole = bytearray(sound(name))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, min(len(whole), 200) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.tif"
    path.write_bytes(data.draw(st.one_of(st.just(bytes(whole)), st.binary(max_size=60))))
    refused(path, decode)


NAMES = {
    "not UTF-8": os.fsdecode(b"caf\xe9.png"),
    "255 bytes": "l" * 251 + ".png",
    "a formula": "=HYPERLINK(1).png",
    "markup": "<script>alert(1)<!--.png",
    "line breaks": "two\nlines\r.png",
    "quotes and commas": "a\",'b;.png",
    "escape codes": "\x1b[31mred\x07.png",
    "percent and braces": "%s%n{0}${HOME}.png",
    "spaces and dashes": " --out .png",
    "right to left": "\u202egnp.png",
    "joined letters": "e\u0301\U0001f600.png",
    "backslashes": "a\\..\\x.png",
    "glob signs": "[a]*?.png",
    "a device of Windows": "CON.png",
}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("content", [b"", sound("png")], ids=["bad", "sound"])
def test_hostile_names_are_read_or_quarantined(tmp_path: Path, case: str, content: bytes) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "fine.png").write_bytes(saved(NOISE[:, ::-1].copy(), "PNG"))
    (folder / NAMES[case]).write_bytes(content)
    images, file = open_source(str(folder)).train, tmp_path / "quarantine.csv"
    kept = check_images(images, file, strict=False, workers=1)
    assert len(images) == 2
    assert len(kept) == (2 if content else 1)
    assert [path for path, _ in read_quarantine(file)] == ([] if content else [str(folder / NAMES[case])])
    assert main(["data", "check", str(folder), "--out", str(tmp_path / "out")]) == 0


def test_a_name_like_a_formula_is_none_in_the_quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "=cmd.png").write_bytes(b"")
    (tmp_path / "fine.png").write_bytes(sound("png"))
    for _ in range(2):  # the second time replaces the first one's line
        check_images(open_source(".").train, tmp_path / "quarantine.csv", strict=False, workers=1)
    assert [path for path, _ in read_quarantine(tmp_path / "quarantine.csv")] == ["./=cmd.png"]


SPECIAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "pipe"),
    "a link to itself": (lambda path: path.symlink_to(path), "symbolic links"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere.png"), "not found"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "device"),
    "a folder": (Path.mkdir, "folder"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("case", SPECIAL)
@pytest.mark.parametrize("read", [decode, read_labels])
def test_what_is_no_file(tmp_path: Path, case: str, read: Callable[[Path], np.ndarray]) -> None:
    make, pattern = SPECIAL[case]
    make(tmp_path / "x.png")
    with pytest.raises(DecodeError, match=pattern):
        read(tmp_path / "x.png")


def test_a_folder_of_all_of_them_loses_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command: each bad file is named, each odd one used, other formats counted, ``--strict`` is 2."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, (content, _) in {**BAD, **ODD}.items():
        (folder / name).write_bytes(content)
    (folder / "photo.heic").write_bytes(b"")
    (folder / "back").symlink_to(folder)
    words = ["data", "check", str(folder), "--out", str(tmp_path / "out"), "--workers", "2"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"Usable images: {len(ODD)} for training" in said
    assert "1 .heic" in said
    listed = {Path(path).name for path, _ in read_quarantine(tmp_path / "out" / "quarantine.csv")}
    assert listed == set(BAD)
    assert main([*words, "--strict"]) == 2
    assert f"{len(BAD)} file(s) that cannot be used" in capsys.readouterr().err


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder, and no permission beyond that of its files: root, whom none holds back, becomes nobody."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    was_root = os.geteuid() == 0
    yield folder
    if was_root:
        os.seteuid(0)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("closed", ["images/0.png", "images", "masks", "."])
def test_without_permission(as_nobody: Path, closed: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("images/0.png", "images/1.png", "masks/0.png", "masks/1.png"):
        (as_nobody / name).parent.mkdir(exist_ok=True)
        (as_nobody / name).write_bytes(sound("png"))
    assert main(["data", "check", str(as_nobody), "--task", "images"]) == 0  # whatever it imports is imported now
    (as_nobody / closed).chmod(0)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    code = main(["data", "check", f"folder:{as_nobody}"])
    assert code == (2 if closed == "." else 0)
    assert "ermission" in "".join(capsys.readouterr())
