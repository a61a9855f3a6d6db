import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from tests.inference.synthetic import PALETTE, patches, write_raster

from headstart import cli
from headstart.analysis.mask_folders import match_masks
from headstart.configs.inference import PredictConfig, TilingConfig
from headstart.data.decode import read_quarantine
from headstart.data.masks import read_mask
from headstart.errors import ConfigError, DataError, MissingExtraError, RunError
from headstart.inference.predict import predict
from headstart.inference.tiles import predict_image
from headstart.models.backbones import build_backbone
from headstart.models.classifier import Classifier, FeatureClassifier, save_head
from headstart.models.exports import export_backbone
from headstart.models.segmenter_files import export_segmenter, read_segmenter
from headstart.models.segmenters import build_segmenter


def write_record(run: Path, verb: str, config: dict[str, Any]) -> None:
    (run / "config.json").write_text(json.dumps({"schema_version": 1, "verb": verb, "config": config}))
    (run / "result.json").write_text("{}")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation run of three outputs, with weights that tell classes apart at random."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    segmenter = build_segmenter("unet", "tu-test_resnet", 3, 64)
    export_segmenter(segmenter, folder / "export", {"palette": PALETTE.to_dict(), "ignored": "skip", "image_size": 64})
    write_record(folder, "segment", {})
    return folder


def save_image(path: Path, height: int = 50, width: int = 70, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.moveaxis(patches(height, width, seed), 0, 2)
    Image.fromarray(pixels).save(path)
    return pixels


def config(run: Path, out: Path, *inputs: Path, **changes: Any) -> PredictConfig:
    return PredictConfig(run=run, out=out, inputs=tuple(map(str, inputs)), precision="fp32", **changes)


def expected_mask(run: Path, pixels: np.ndarray) -> np.ndarray:
    segmenter, _ = read_segmenter(run / "export")
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    shares = predict_image(segmenter, image, segmenter.mean, segmenter.std, TilingConfig(), 64, False)
    return shares.argmax(0).numpy()


def test_a_folder_of_images_becomes_masks_at_the_same_places(run: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    small, large = save_image(images / "a" / "x.png", 40, 60), save_image(images / "b" / "x.png", 150, 140, seed=1)
    save_image(images / "0001_sat.jpg")
    result = predict(config(run, out, images))
    names = ["0001_mask.png", "a/x_mask.png", "b/x_mask.png"]
    assert [Path(file).relative_to(out).as_posix() for file in result.files] == names
    assert result.failed == []
    assert result.pixels == 40 * 60 + 150 * 140 + 50 * 70
    for name, pixels in (("a/x_mask.png", small), ("b/x_mask.png", large)):
        with Image.open(out / name) as mask:
            assert mask.mode == "RGB"
        agreement = (read_mask(out / name, PALETTE) == expected_mask(run, pixels)).mean()
        assert agreement > 0.999  # ties may fall otherwise in another batch
    assert not list(out.rglob("*.part"))
    assert not (out / "quarantine.csv").exists()


def test_the_masks_have_the_names_that_miou_looks_for(run: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    for name in ("0001", "0002"):
        save_image(tmp_path / "images" / f"{name}_sat.jpg")
        save_image(truth / f"{name}_mask.png")
    predict(config(run, tmp_path / "out", tmp_path / "images"))
    matched = match_masks(truth, tmp_path / "out")
    assert len(matched.pairs) == 2
    assert matched.left_out == ()


def test_images_of_one_name_keep_their_endings_and_globs_their_folders(run: Path, tmp_path: Path) -> None:
    for name in ("a/x.png", "a/x.jpg", "b/x.png", "b/x.txt"):
        save_image(tmp_path / "in" / name.replace("txt", "bmp"))
    result = predict(config(run, tmp_path / "out", tmp_path / "in" / "*" / "x.*"))
    names = [Path(file).relative_to(tmp_path / "out").as_posix() for file in result.files]
    assert sorted(names) == ["a/x.jpg_mask.png", "a/x.png_mask.png", "b/x.bmp_mask.png", "b/x.png_mask.png"]


def test_what_cannot_be_decoded_is_listed_and_the_others_go_on(run: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    save_image(images / "good.png")
    (images / "bad.jpg").write_bytes(b"no image")
    cut = write_raster(images / "cut.tif", patches(200, 200), tiled=True, blockxsize=32, blockysize=32)
    cut.write_bytes(cut.read_bytes()[:60_000])
    write_raster(images / "wide.tif", patches(20, 20).astype(np.uint16))
    result = predict(config(run, out, images))
    assert [Path(file).name for file in result.files] == ["good_mask.png"]
    assert [Path(file).name for file in result.failed] == ["bad.jpg", "cut.tif", "wide.tif"]
    reasons = {Path(path).name: reason for path, reason in read_quarantine(out / "quarantine.csv")}
    assert reasons.keys() == {"bad.jpg", "cut.tif", "wide.tif"}
    assert "uint16" in reasons["wide.tif"]
    assert not list(out.rglob("*.parts"))
    with pytest.raises(DataError, match="1 of 1"):
        predict(config(run, tmp_path / "none", images / "bad.jpg"))


def test_a_geotiff_becomes_a_raster_with_probabilities_and_polygons(run: Path, tmp_path: Path) -> None:
    pixels = patches(150, 200)
    pixels[:, :40] = 0
    source = write_raster(tmp_path / "scene.tif", pixels, nodata=0, tiled=True, blockxsize=64, blockysize=64)
    out = tmp_path / "out"
    settings = {"probabilities": True, "polygons": "gpkg", "simplify": 0.0}
    result = predict(config(run, out, source, **settings))
    assert result.files == [str(out / "scene.tif")]
    with rasterio.open(out / "scene.tif") as made:
        assert made.nodata == 0
        assert set(np.unique(made.read())) <= {0, 1, 2, 5}
        classes = made.read(1)
    with rasterio.open(out / "scene_probabilities.tif") as made:
        assert made.descriptions == ("red", "green", "blue")
        shares = made.read()
    valid = classes != 0
    chosen = shares[np.array([0, 0, 1, 0, 0, 2])[classes], *np.indices(classes.shape)]
    assert (chosen >= shares.max(0))[valid].all()
    expected = {"scene.tif", "scene_probabilities.tif", "scene.gpkg"} | {"config.json", "files.csv", "result.json"}
    assert {path.name for path in out.iterdir()} == expected


def test_polygons_can_be_made_later_without_predicting_again(run: Path, tmp_path: Path) -> None:
    source = write_raster(tmp_path / "scene.tif", patches(90, 90))
    save_image(tmp_path / "image.png")
    out, inputs = tmp_path / "out", [source, tmp_path / "image.png"]
    predict(config(run, out, *inputs))
    before = (out / "scene.tif").stat().st_mtime_ns
    (out / "scene.tif.parts").mkdir()  # as a kill in the last moment leaves it
    result = predict(config(run, out, *inputs, polygons="geojson"))
    assert (out / "scene.tif").stat().st_mtime_ns == before
    assert result.pixels == 50 * 70  # a picture is done again as a whole
    assert (out / "scene.geojson").is_file()
    predict(config(run, out, *inputs, polygons="geojson"))
    assert not (out / "scene.tif.parts").exists()
    assert json.loads((out / "image.geojson").read_text())["features"]


def test_a_tiff_that_is_no_raster_is_an_image(run: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 30), 99, dtype=np.uint8)).save(tmp_path / "grey.tif")
    result = predict(config(run, tmp_path / "out", tmp_path / "grey.tif"))
    assert result.files == [str(tmp_path / "out" / "grey_mask.png")]


def test_probabilities_of_an_image_are_a_tiff_beside_its_mask(run: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    predict(config(run, tmp_path / "out", tmp_path / "a.png", probabilities=True))
    with rasterio.open(tmp_path / "out" / "a_probabilities.tif") as made:
        shares = made.read()
    assert shares.shape == (3, 50, 70)
    assert (np.abs(shares.astype(int).sum(0) - 100) <= 2).all()
    mask = read_mask(tmp_path / "out" / "a_mask.png", PALETTE)
    assert (np.take_along_axis(shares, mask[None], 0)[0] == shares.max(0)).all()


def test_finished_files_are_kept_and_changed_inputs_predicted_again(run: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    for name in "abc":
        save_image(images / f"{name}.png")
    assert predict(config(run, out, images)).pixels == 3 * 50 * 70
    again = predict(config(run, out, images))
    assert again.pixels == 0
    assert len(again.files) == 3
    (out / "a_mask.png").unlink()
    save_image(images / "b.png", 60, 60, seed=5)
    assert predict(config(run, out, images)).pixels == 50 * 70 + 60 * 60
    with Image.open(out / "b_mask.png") as mask:
        assert mask.size == (60, 60)
    assert predict(config(run, out, images, overwrite=True)).pixels == 2 * 50 * 70 + 60 * 60


def test_a_line_that_a_kill_cut_short_is_forgotten(run: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    for name in "ab":
        save_image(images / f"{name}.png")
    predict(config(run, out, images))
    ledger = out / "files.csv"
    ledger.write_bytes(ledger.read_bytes()[:-8])
    (out / "b_mask.png").unlink()
    assert predict(config(run, out, images)).pixels == 50 * 70
    assert predict(config(run, out, images)).pixels == 0


def test_predictions_of_other_settings_and_files_of_others_are_not_replaced(run: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    out = tmp_path / "out"
    predict(config(run, out, tmp_path / "a.png"))
    other = {"tiles": TilingConfig(flips=True)}
    with pytest.raises(RunError, match="other settings"):
        predict(config(run, out, tmp_path / "a.png", **other))
    predict(config(run, out, tmp_path / "a.png", overwrite=True, **other))
    (tmp_path / "mine").mkdir()
    save_image(tmp_path / "mine" / "a_mask.png")
    with pytest.raises(RunError, match="in the way"):
        predict(config(run, tmp_path / "mine", tmp_path / "a.png"))


def test_runs_and_places_that_cannot_work_are_refused_with_the_remedy(run: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "in" / "a.png")
    unfinished, other = tmp_path / "unfinished", tmp_path / "pretrain"
    for folder, verb in ((unfinished, "segment"), (other, "pretrain")):
        folder.mkdir()
        write_record(folder, verb, {})
    (unfinished / "result.json").unlink()
    cases: list[tuple[PredictConfig, type[Exception], str]] = [
        (config(unfinished, tmp_path / "out", tmp_path / "in"), RunError, "--resume"),
        (config(other, tmp_path / "out", tmp_path / "in"), RunError, "segmentation or a classification run"),
        (config(tmp_path / "in", tmp_path / "out", tmp_path / "in"), RunError, "not a run directory"),
        (config(run, tmp_path / "in", tmp_path / "in" / "a.png"), RunError, "lies in --out"),
        (config(run, tmp_path / "in" / "out", tmp_path / "in"), RunError, "become part of them"),
        (config(run, run, tmp_path / "in"), RunError, "holds a segment run"),
        (config(run, tmp_path / "out"), ConfigError, "no --inputs"),
        (
            config(run, tmp_path / "out", tmp_path / "x.png", tmp_path / "*.jpg"),
            ConfigError,
            "(?s)no such file.*matches",
        ),
    ]
    for asked, error, words in cases:
        with pytest.raises(error, match=words):
            predict(asked)
    assert not (tmp_path / "out").exists()


def test_without_rasterio_images_are_predicted_and_the_rest_says_what_to_install(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(tmp_path / "a.png")
    write_raster(tmp_path / "b.tif", patches(20, 20))
    for name in [name for name in sys.modules if name.partition(".")[0] == "rasterio"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert len(predict(config(run, tmp_path / "out", tmp_path / "a.png")).files) == 1
    for inputs, settings in ((tmp_path / "b.tif", {}), (tmp_path / "a.png", {"polygons": "gpkg"})):
        with pytest.raises(MissingExtraError, match=r"headstart\[geo\]"):
            predict(config(run, tmp_path / "none", inputs, **settings))
    assert not (tmp_path / "none").exists()


def test_the_command_line_predicts_and_sums_up(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(tmp_path / "a.png")
    save_image(tmp_path / "b.png")
    words = ["predict", str(run), str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--out", str(tmp_path / "out")]
    assert cli.main(words) == 0
    assert "2 file(s)" in capsys.readouterr().out
    assert cli.main([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 2


def test_a_killed_prediction_of_a_raster_goes_on(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write_raster(tmp_path / "scene.tif", patches(1500, 200), tiled=True, blockxsize=64, blockysize=64)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = ["predict", str(run), str(source), "--out", str(killed), "--precision", "fp32"]
    process = subprocess.Popen([sys.executable, "-m", "headstart", *words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while len(list(killed.rglob("*.z"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    with caplog.at_level("INFO", logger="headstart"):
        for out in (killed, whole):
            predict(config(run, out, source))
    assert caplog.text.count("going on after") == 1
    assert (killed / "scene.tif").read_bytes() == (whole / "scene.tif").read_bytes()
    assert not list(killed.rglob("*.part*"))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_classification_run_gives_a_table_of_classes(tmp_path: Path, frozen: bool) -> None:
    run, images, out = tmp_path / "run", tmp_path / "in", tmp_path / "out"
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", 32)
    module = FeatureClassifier(torch.randn(backbone.feature_size), torch.full((backbone.feature_size,), 2.0), 3)
    head = module if frozen else Classifier(backbone, 3)
    torch.nn.init.normal_(head.head.weight)
    export_backbone(backbone, run / "export", {"classes": ["cat", "dog", "ünicorn"]})
    save_head(head, run / "export")
    write_record(run, "classify", {"views": {}})
    for i in range(3):
        save_image(images / f"{i}.png", 40 + i, 50, seed=i)
    (images / "bad.png").write_bytes(b"")
    result = predict(config(run, out, images))
    assert result.files == [str(out / "predictions.csv")]
    assert result.failed == [str(images / "bad.png")]
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [Path(row["path"]).name for row in rows] == ["0.png", "1.png", "2.png"]
    for row in rows:
        shares = {name: float(row[f"p({name})"]) for name in ("cat", "dog", "ünicorn")}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["class"] == max(shares, key=lambda name: shares[name])
    assert len({row["p(cat)"] for row in rows}) == 3
    assert predict(config(run, out, images)).pixels == 0
    save_image(images / "new.png")
    with pytest.raises(RunError, match="other images"):
        predict(config(run, out, images))
    with pytest.raises(ConfigError, match="--polygons is for segmentation"):
        predict(config(run, tmp_path / "p", images, polygons="gpkg"))
    shutil.rmtree(out)
