"""What is finished is not lost to another command, nor to a foreign or damaged file beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.inference.synthetic import patches, write_raster
from tests.short_runs import CLASSIFY, SEGMENT

from headstart.cli import main
from headstart.errors import RunError
from headstart.inference.parts import Parts


@pytest.fixture(scope="module")
def classified(gratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("classified") / "run"
    assert main(["classify", "--data", str(gratings), *CLASSIFY.split(), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def segmented(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("segmented") / "run"
    assert main(["segment", "--data", str(pairs), *SEGMENT.split(), "--out", str(out)]) == 0
    return out


def test_a_runs_result_is_not_replaced_by_another_commands(
    classified: Path, gratings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (classified / "result.json").read_bytes()
    for words in (["evaluate", str(classified), "--data", str(gratings)], ["data", "check", str(gratings)]):
        assert main([*words, "--out", str(classified)]) == 2
        assert "holds the result of another command (classify). Choose another --out." in capsys.readouterr().err
    assert (classified / "result.json").read_bytes() == before


def test_a_commands_own_result_is_replaced_and_anothers_is_not(
    classified: Path, gratings: Path, tmp_path: Path
) -> None:
    evaluated = ["evaluate", str(classified), "--data", str(gratings), "--out", str(tmp_path)]
    assert [main(evaluated), main(evaluated)] == [0, 0]
    assert main(["data", "check", str(gratings), "--out", str(tmp_path)]) == 2
    assert json.loads((tmp_path / "result.json").read_text())["task"] == "evaluate"


def test_a_report_takes_the_place_of_no_other_file(classified: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"precious")
    assert main(["report", str(classified), "--out", str(picture)]) == 2
    assert picture.read_bytes() == b"precious"
    page = tmp_path / "page.html"
    assert [main(["report", str(classified), "--out", str(page)]) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("lines", ["a,b\n1,2\n", "output,input,size,changed,settings\nx,y,many,2,z\n"])
def test_a_foreign_list_of_files_is_refused(
    segmented: Path, pairs: Path, tmp_path: Path, lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "files.csv").write_text(lines)
    assert main(["predict", str(segmented), str(pairs / "images" / "0.png"), "--out", str(tmp_path)]) == 2
    assert "files.csv is no list of predicted files, or damaged. Choose another --out." in capsys.readouterr().err


@pytest.mark.parametrize("damage", [b"", b"no zlib"])
def test_a_damaged_part_is_named(tmp_path: Path, damage: bytes) -> None:
    parts = Parts(tmp_path / "parts", "key")
    (tmp_path / "parts" / "0.z").write_bytes(damage)
    with pytest.raises(RunError, match=r"0\.z is damaged .* Delete it"):
        parts.load("0", (2, 2))


@pytest.mark.parametrize("kilobytes", [330, 450, 600, 700])
def test_a_full_disk_while_a_raster_is_put_together(
    segmented: Path, tmp_path: Path, kilobytes: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever does not fit any more: a part, or one of the two outputs. With more space the same command ends it."""
    disk, source = tmp_path / "disk", write_raster(tmp_path / "scene.tif", patches(300, 400))
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    words = ["predict", str(segmented), str(source), "--probabilities", "--precision", "fp32", "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    capfd.readouterr()
    try:
        assert main([*words, str(disk / "out")]) == 1
        said = capfd.readouterr().err
        assert "Cannot write" in said
        assert "the disk is full" in said
        assert not [*disk.rglob("*.part"), *(disk / "out").glob("*.tif")]
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert main([*words, str(disk / "out")]) == 0
        for whole in (tmp_path / "whole").glob("*.tif"):
            assert (disk / "out" / whole.name).read_bytes() == whole.read_bytes()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_place_for_what_is_printed_is_named(gratings: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "headstart", "data", "check", str(gratings), "--json"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write what is said: No space left on device. What is finished is kept" in done.stderr
