"""Images, rasters, palettes and names of strangers: none of them runs a program, fetches, or commands the terminal."""

import contextlib
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import EpsImagePlugin, Image
from tests.reports import synthetic

from headstart.cli import Formatter, harmless, main
from headstart.data.decode import DecodeError, decode
from headstart.data.masks import read_labels
from headstart.data.palette_yaml import read_palette
from headstart.errors import DataError
from headstart.inference.raster import is_raster, open_rgb
from headstart.reports.pictures import read_picture, read_tile
from headstart.reports.render import write_report

EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
IMAGE_READERS: dict[str, Callable[[Path], object]] = {
    "an image": decode,
    "a mask": read_labels,
    "a picture of a report": read_picture,
    "a mask of a report": lambda path: read_tile(path, 64, is_mask=True),
}


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when Pillow starts Ghostscript."""
    program, witness = tmp_path / "bin" / "gs", tmp_path / "was-run"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{witness}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(program))
    return witness


@pytest.mark.parametrize("reader", IMAGE_READERS)
def test_postscript_called_an_image_starts_no_program(reader: str, ghostscript: Path, tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    file.write_text(EPS)
    with contextlib.suppress(DecodeError):
        assert IMAGE_READERS[reader](file) is None
    assert not ghostscript.exists()
    with pytest.raises(subprocess.CalledProcessError), Image.open(file) as image:
        image.load()
    assert ghostscript.exists(), "the file of this test must be one that Pillow starts a program for where it may"


def test_a_report_of_a_strangers_run_starts_no_program(ghostscript: Path, tmp_path: Path) -> None:
    run = synthetic.write_pretrain(tmp_path / "run")
    for name in ("views.png", "samples.png"):
        (run / name).write_text(EPS)
    assert write_report(run).is_file()
    assert not ghostscript.exists()


def vrt(address: str, bands: int, head: str = "") -> str:
    """A GDAL file that has its pixels from ``address``."""
    source = f"<SourceFilename>/vsicurl/{address}/secret.tif</SourceFilename><SourceBand>1</SourceBand>"
    body = "".join(
        f"<VRTRasterBand dataType='Byte' band='{band}'><SimpleSource>{source}</SimpleSource></VRTRasterBand>"
        for band in range(1, bands + 1)
    )
    return f"<VRTDataset rasterXSize='32' rasterYSize='32'>{head}{body}</VRTDataset>"


def read_all(path: Path) -> None:
    with open_rgb(path) as raster:
        raster.dataset_mask()
        raster.read([1, 2, 3])


RASTER_READERS: dict[str, Callable[[Path], object]] = {
    "whether it is a raster": is_raster,
    "a raster": read_all,
    "an image": decode,
    "a mask": read_labels,
}


@pytest.mark.parametrize("reader", RASTER_READERS)
def test_a_list_of_addresses_called_a_geotiff_fetches_nothing(
    reader: str, stranger: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = stranger
    file = tmp_path / "scene.tif"
    file.write_text(vrt(address, 3))
    with pytest.raises(DecodeError):
        RASTER_READERS[reader](file)
    assert asked == []


def test_a_list_of_addresses_beside_a_geotiff_is_not_taken_for_its_mask(
    stranger: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = stranger
    file = tmp_path / "scene.tif"
    with rasterio.open(file, "w", driver="GTiff", width=32, height=32, count=3, dtype="uint8", crs="EPSG:4326") as out:
        out.write(np.zeros((3, 32, 32), np.uint8))
    flags = "".join(f"<MDI key='INTERNAL_MASK_FLAGS_{band}'>0</MDI>" for band in (1, 2, 3))
    (tmp_path / "scene.tif.msk").write_text(vrt(address, 1, f"<Metadata>{flags}</Metadata>"))
    for reader in (is_raster, read_all):
        with pytest.raises(DecodeError, match=r"scene\.tif\.msk is not a TIFF.*take it away"):
            reader(file)
    assert asked == []
    with rasterio.open(file) as raster, pytest.raises(OSError, match=r"."):
        raster.dataset_mask()
    assert asked, "the files of this test must be such that GDAL fetches where it may"


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch WITNESS']",
        "classes: !!python/object/apply:os.system ['touch WITNESS']",
        "classes: [!!python/object/new:os.system [touch WITNESS]]",
        "classes: [{name: a, colour: !!python/object/apply:builtins.exec [\"open('WITNESS', 'w')\"], index: 1}]",
        "name: !!python/name:os.system\nclasses: []",
        "name: !!python/module:os\nclasses: []",
    ],
)
def test_a_palette_runs_nothing(text: str, tmp_path: Path) -> None:
    file, witness = tmp_path / "palette.yaml", tmp_path / "was-run"
    file.write_text(text.replace("WITNESS", str(witness)))
    with pytest.raises(DataError, match=r"palette\.yaml is not YAML: could not determine a constructor"):
        read_palette(file)
    assert not witness.exists()


def test_a_palette_that_grows_without_end_is_told_in_few_words(tmp_path: Path) -> None:
    rows = ["  - &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 6)]  # 10^6 words; 10^n with n more lines
    (tmp_path / "palette.yaml").write_text("\n".join(["classes:", *rows]))
    with pytest.raises(DataError, match="is not a class") as caught:
        read_palette(tmp_path / "palette.yaml")
    assert len(str(caught.value)) < 10_000


COMMANDS = ["\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\r", "\b", "\x9b31m", "\u202e", "\u2066", "\x00"]


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_a_name_does_not_command_the_terminal(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"run{command}name"
    record = logging.LogRecord("headstart", logging.WARNING, "", 0, "%s is damaged", (name,), None)
    assert main(["report", str(tmp_path / name.replace("\x00", ""))]) == 2
    told = capsys.readouterr()
    for text in (told.out, told.err, Formatter().format(record), harmless(name)):
        assert not set(command) - set("\x00 []0;titlehp:/x\\28J31m") & set(text)
    assert harmless("é ▲ 10\u202f000\n\tok") == "é ▲ 10\u202f000\n\tok"
