"""Bad CSVs, and folders beside them: refused with what, where and the remedy, or their loss is told."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.faults.damage import sound

from headstart.cli import main
from headstart.data.decode import check_images
from headstart.data.pairs import open_pairs
from headstart.data.sources import open_source
from headstart.errors import DataError

REFUSED = {
    "empty": ("", "no column 'filename'"),
    "blank lines only": ("\n\n , \n", "no column 'filename'"),
    "header only": ("filename,label\n", "lists no images"),
    "no header": ("a.png,cat\nb.png,dog\n", "no column 'filename'"),
    "semicolons": ("filename;label\na.png;cat\n", "comma-"),
    "tabs": ("filename\tlabel\na.png\tcat\n", "comma-"),
    "two columns filename": ("filename,filename,label\na.png,b.png,cat\n", "2 columns 'filename'"),
    "two columns label": ("filename,label,label\na.png,cat,dog\n", "2 columns 'label'"),
    "two columns in other capitals": ("filename,Label,LABEL \na.png,cat,dog\n", "2 columns 'label'"),
    "a column short": ("filename,label\na.png\n", "line 2: 1 values"),
    "a column too many": ("filename,label\na.png,cat,x\n", "line 2: 3 values"),
    "a short line later": ("filename,label\na.png,cat\nb.png\n", "line 3: 1 values"),
    "label gap": ("filename,label\na.png,cat\nb.png,\n", "1 of 2 images have no label .first: line 3"),
    "label of spaces": ("filename,label\na.png,cat\nb.png,  \n", "have no label"),
    "two labels for one image": ("filename,label\na.png,cat\na.png,dog\n", "'cat' in line 2 and 'dog' in line 3"),
    "two labels by another path": ("filename,label\na.png,cat\n./a.png,dog\n", "'cat' in line 2"),
    "no such files": ("filename,label\nx.png,cat\n", "None of the 1 files"),
    "absolute": ("filename,label\n/etc/passwd,cat\n", "absolute or leads out"),
    "absolute with slashes": ("filename,label\n//etc/passwd,cat\n", "absolute or leads out"),
    "out of the folder": ("filename,label\n../a.png,cat\n", "absolute or leads out"),
    "out by a detour": ("filename,label\nx/../../a.png,cat\n", "absolute or leads out"),
    "two dots within": ("filename,label\nx/../a.png,cat\n", "absolute or leads out"),
    "two dots alone": ("filename,label\n..,cat\n", "absolute or leads out"),
    "out as in Windows": ("filename,label\n..\\a.png,cat\n", "absolute or leads out"),
    "a drive of Windows": ("filename,label\nC:\\a.png,cat\n", "absolute or leads out"),
    "a drive without a slash": ("filename,label\nC:a.png,cat\n", "absolute or leads out"),
    "a share of Windows": ("filename,label\n\\\\host\\share\\a.png,cat\n", "absolute or leads out"),
    "no name": ("filename,label\n,cat\n", "not a file name"),
    "a folder's name": ("filename,label\nsub/,cat\n", "not a file name"),
    "a zero byte": ("filename,label\na\0.png,cat\n", "not a file name"),
    "a very long name": (f"filename,label\n{'x' * 5000},cat\n", "None of the 1 files|too long"),
    "a very long cell": (f"filename,label\na.png,{'x' * 200_000}\n", "field larger"),
    "an open quote": ('filename,label\n"a.png,cat\nb.png,dog\n', "1 values"),
    "latin-1": ("filename,label\na.png,caf\udce9\n", "not UTF-8"),
    "UTF-16": ("\udcff\udcfef\0i\0l\0e\0", "not UTF-8"),
    "binary": ("\udc89PNG\r\n\x1a\n\0\0", "not UTF-8"),
}
READ = {
    "byte order mark": ("\ufefffilename,label\na.png,cat\nb.png,dog\n", ("cat", "dog")),
    "CRLF": ("filename,label\r\na.png,cat\r\nb.png,dog\r\n", ("cat", "dog")),
    "CR": ("filename,label\ra.png,cat\rb.png,dog\r", ("cat", "dog")),
    "no last line break": ("filename,label\na.png,cat\nb.png,dog", ("cat", "dog")),
    "capitals and spaces": (" FileName , LABEL\na.png , cat\nb.png,dog \n", ("cat", "dog")),
    "columns the other way round": ("label,x,filename\ncat,1,a.png\ndog,2,b.png\n", ("cat", "dog")),
    "a double line": ("filename,label\na.png,cat\nb.png,dog\na.png,cat\n", ("cat", "dog")),
    "formula cells": ("filename,label\na.png,=1+1\nb.png,@SUM(A1)\n", ("=1+1", "@SUM(A1)")),
    "a gap in the numbers": ("filename,label\na.png,0\nb.png,7\n", ("0", "7")),
    "nan as a label": ("filename,label\na.png,nan\nb.png,NA\n", ("NA", "nan")),
    "markup": ("filename,label\na.png,<b>\nb.png,</script>\n", ("</script>", "<b>")),
    "line break in a label": ('filename,label\na.png,"c\nat"\nb.png,dog\n', ("c\nat", "dog")),
}


def folder_of(root: Path, text: str) -> Path:
    """A CSV beside its folder of two sound images."""
    (root / "train").mkdir()
    for name in ("a.png", "b.png"):
        (root / "train" / name).write_bytes(sound("png"))
    (root / "train.csv").write_bytes(text.encode(errors="surrogateescape"))
    return root


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_place(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, pattern = REFUSED[case]
    folder_of(tmp_path, text)
    with pytest.raises(DataError, match=pattern) as caught:
        open_source(str(tmp_path))
    assert "train.csv" in str(caught.value)
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("case", READ)
def test_odd_and_read(tmp_path: Path, case: str) -> None:
    text, classes = READ[case]
    source = open_source(str(folder_of(tmp_path, text)))
    assert source.train.names == ("a.png", "b.png")
    assert set(source.classes) == set(classes)


def test_rows_without_files_are_quarantined(tmp_path: Path) -> None:
    source = open_source(str(folder_of(tmp_path, f"filename,label\na.png,cat\nx.png,dog\n{'y' * 5000},dog\n")))
    assert "2 missing" in source.description
    kept = check_images(source.train, tmp_path / "quarantine.csv", strict=False, workers=1)
    assert kept.names == ("a.png",)
    assert "x.png,file not found" in (tmp_path / "quarantine.csv").read_text()


def test_files_without_rows_are_told(tmp_path: Path) -> None:
    source = open_source(str(folder_of(tmp_path, "filename,label\na.png,cat\n")))
    assert "1 image(s)" in source.description
    assert "are not listed, so they are not used (such as b.png)" in source.description


UNUSED = {
    "other columns": (b"day,rain\n1,2\n", "no column 'filename'"),
    "semicolons": (b"filename;label\na.png;cat\n", "no column 'filename'"),
    "UTF-16": ("filename,label\n".encode("utf-16"), "not UTF-8"),
    "a pipe": (None, "pipe"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("case", UNUSED)
def test_a_csv_that_is_not_used_is_told(tmp_path: Path, case: str) -> None:
    content, pattern = UNUSED[case]
    (tmp_path / "a.png").write_bytes(sound("png"))
    if content is None:
        os.mkfifo(tmp_path / "labels.csv")
    else:
        (tmp_path / "labels.csv").write_bytes(content)
    description = open_source(str(tmp_path)).description
    assert "labels.csv is not used" in description
    assert pattern in description


PAIRS = {
    "two columns image": ("image,image,mask\na.png,b.png,b.png\n", "2 columns 'image'"),
    "two columns mask": ("image,mask,mask\na.png,b.png,a.png\n", "2 columns 'mask'"),
    "two masks": ("image,mask\na.png,a.png\na.png,b.png\n", "listed with the masks"),
    "a column short": ("image,mask\na.png\n", "line 2: 1 values"),
    "header only": ("image,mask\n", "lists no pairs"),
    "image out of the folder": ("image,mask\n../a.png,b.png\n", "leads out"),
    "mask out of the folder": ("image,mask\na.png,../../b.png\n", "leads out"),
    "absolute mask": ("image,mask\na.png,/etc/passwd\n", "absolute"),
    "no image": ("image,mask\n,b.png\n", "not a file name"),
    "no masks at all": ("image,mask\na.png,\nb.png,\n", "gives no mask"),
    "no such files": ("image,mask\nx.png,y.png\n", "None of the 1 files"),
}


@pytest.mark.parametrize("case", PAIRS)
def test_pairs_refused(tmp_path: Path, case: str) -> None:
    text, pattern = PAIRS[case]
    with pytest.raises(DataError, match=pattern):
        open_pairs(str(folder_of(tmp_path, text) / "train.csv"))


SPECS = ["", " ", "~nobody-of-this-name/x", "a\0b", "x" * 300, "x/" * 3000, "/dev/null", "csv:", "folder:/dev/null"]


@pytest.mark.parametrize("spec", [*SPECS, "demo:", "demo:moon", "demo:bluemarble:-1", "s3://bucket/x", "file:///tmp"])
def test_what_is_no_source(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "--data", spec]) == 2
    assert "demo:bluemarble" in capsys.readouterr().err  # the remedy lists what a source can be


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text("filename,label\n\r\"'a.pngb/\\:;=\0\ufeff", max_size=60).map(lambda text: text.encode()),
        st.text('a.pngb/,\n"\\ \0=é', max_size=60).map(lambda text: b"filename,label\n" + text.encode()),
    )
)
def test_any_bytes_are_a_list_or_refused(tmp_path: Path, content: bytes) -> None:
    if not (tmp_path / "train").exists():
        folder_of(tmp_path, "")
    (tmp_path / "train.csv").write_bytes(content)
    try:
        source = open_source(str(tmp_path))
    except DataError as error:
        assert str(tmp_path) in str(error)  # noqa: PT017
    else:
        root = source.train.root.resolve()
        assert all((root / name).resolve().is_relative_to(root) for name in source.train.names)
