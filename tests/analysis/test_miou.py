"""``headstart miou``: folders of masks from anywhere, matched by name, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart
from headstart import MiouConfig, MiouResult
from headstart.analysis.mask_folders import match_masks
from headstart.cli import main
from headstart.data.palettes import DEEPGLOBE
from headstart.errors import DataError

URBAN, WATER, UNKNOWN = 0, 4, 6


def blocks(*rows: list[int]) -> np.ndarray:
    """Class indices, each a block of 2 x 2 pixels."""
    return np.array(rows, np.uint8).repeat(2, 0).repeat(2, 1)


TRUTH = blocks([URBAN, WATER], [UNKNOWN, URBAN])
PREDICTED = blocks([URBAN, WATER], [WATER, UNKNOWN])


def save_colours(indices: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(DEEPGLOBE.to_colours(indices)).save(path)


def save_values(indices: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(indices).save(path)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Truth in colours in the seed layout, beside its image; the prediction in numbers, called like the image."""
    truth, predicted = tmp_path / "truth", tmp_path / "predicted"
    save_colours(TRUTH, truth / "0013_mask.png")
    Image.new("RGB", (4, 4), (90, 120, 40)).save(truth / "0013_sat.jpg")
    save_values(PREDICTED, predicted / "0013_sat.png")
    return truth, predicted


def score(truth: Path, predicted: Path, **settings: object) -> MiouResult:
    return headstart.miou(MiouConfig(truth=truth, predicted=predicted, **settings))


def test_protocols_by_hand(folders: tuple[Path, Path]) -> None:
    """Urban: 1 block right, 1 missed: 1/2. Water: 1 right, and 1 where nothing is known: 1/2, or 1 where that is left
    out."""
    seed, ignore = score(*folders), score(*folders, protocol="ignore")
    assert seed.scores.protocol == "deepglobe6"
    assert (seed.scores.miou, ignore.scores.miou) == (0.5, 0.75)
    assert seed.scores.absent == ["agriculture", "rangeland", "forest", "barren"]
    assert seed.scores.n_images == 1
    assert seed.left_out == []
    assert seed.palette == "deepglobe"


def test_summary_names_protocol_images_and_absent_classes(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    truth, predicted = folders
    assert main(["miou", str(predicted), str(truth), "--palette", "deepglobe", "--protocol", "ignore"]) == 0
    out = capsys.readouterr().out
    assert "mIoU 75.0% of 2 classes in 1 image(s), protocol ignore" in out
    assert "left out of the means: agriculture, rangeland, forest, barren." in out
    assert any(line.split() == ["urban", "50.0%", "66.7%", "66.7%", "8", "4"] for line in out.splitlines())
    assert any(line.split() == ["forest", "-", "-", "-", "0", "0"] for line in out.splitlines())


def test_json_is_the_result(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    truth, predicted = folders
    assert main(["miou", str(predicted), str(truth), "--json"]) == 0
    assert MiouResult.model_validate(json.loads(capsys.readouterr().out)) == score(*folders)


def test_a_palette_of_ones_own(tmp_path: Path) -> None:
    palette = tmp_path / "two.yaml"
    palette.write_text(
        "classes:\n- {name: land, colour: [255, 0, 0], index: 10}\n- {name: sea, colour: [0, 0, 255], index: 20}\n"
    )
    save_values(blocks([10, 10], [20, 20]), tmp_path / "truth" / "a.png")
    colours = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)[blocks([0, 1], [1, 1])]
    (tmp_path / "predicted").mkdir()
    Image.fromarray(colours).save(tmp_path / "predicted" / "a_pred.png")
    result = score(tmp_path / "truth", tmp_path / "predicted", palette=str(palette))
    assert result.scores.miou == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_foreign_colours_are_an_error_or_the_nearest_class(folders: tuple[Path, Path], tmp_path: Path) -> None:
    land = tmp_path / "land.yaml"
    land.write_text("classes:\n- {name: dark, colour: [0, 0, 0]}\n- {name: light, colour: [255, 255, 255]}\n")
    for folder, grey in (("t", 250), ("p", 255)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 4), (grey, grey, grey)).save(tmp_path / folder / "x.png")
    with pytest.raises(DataError, match=r"x\.png.*\(250, 250, 250\) \(16 px\)"):
        score(tmp_path / "t", tmp_path / "p", palette=str(land))
    assert score(tmp_path / "t", tmp_path / "p", palette=str(land), nearest_colour=True).scores.miou == 1.0


def test_another_size_is_an_error_with_both(folders: tuple[Path, Path]) -> None:
    truth, predicted = folders
    save_values(np.zeros((4, 6), np.uint8), predicted / "0013_sat.png")
    with pytest.raises(DataError, match=r"0013_sat\.png is 6 x 4 pixels, but its truth .*0013_mask\.png is 4 x 4"):
        score(truth, predicted)


def test_a_truncated_mask_is_one_line(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    truth, predicted = folders
    path = predicted / "0013_sat.png"
    path.write_bytes(path.read_bytes()[:50])
    assert main(["miou", str(predicted), str(truth)]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("headstart miou:")]
    assert len(error) == 1
    assert "0013_sat.png" in error[0]


def test_a_truth_without_prediction_is_an_error_and_a_prediction_without_truth_is_left_out(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    truth, predicted = folders
    save_values(PREDICTED, predicted / "0099_sat.png")
    result = score(truth, predicted)
    assert result.left_out == [str(predicted / "0099_sat.png")]
    assert "1 file(s) have no partner" in caplog.text
    assert result.scores.n_images == 1
    save_colours(TRUTH, truth / "0050_mask.png")
    with pytest.raises(DataError, match=r"1 of 2 true masks .* have no prediction .*: 0050_mask\.png"):
        score(truth, predicted)


def test_many_images_are_read_in_order_and_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 7, (2, 40, 6, 5), dtype=np.uint8)
    for i, (truth, predicted) in enumerate(zip(*pairs, strict=True)):
        save_colours(truth, tmp_path / "t" / f"{i}_label.png")
        save_values(predicted, tmp_path / "p" / f"{i}_pred.png")
    scores = score(tmp_path / "t", tmp_path / "p").scores
    assert scores.n_images == 40
    assert np.array_equal(
        scores.counts, [[np.sum((pairs[0] == i) & (pairs[1] == j)) for j in range(7)] for i in range(7)]
    )


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        (["a/1_mask.png", "b/1_mask.png"], ["a/1_pred.tif", "b/1_pred.PNG"]),
        (["val/1_mask.png", "val/2_mask.png"], ["1.png", "2.png"]),
        (["1_MASK.png", "1_sat.jpg"], ["1.png"]),
        (["1.png"], ["out/deep/1_pred.png", "out/deep/1_sat.png"]),
        (["x_mask_label.png"], ["x_mask_pred.png"]),
        (["_mask.png"], ["_mask.png"]),
    ],
)
def test_names_that_match(tmp_path: Path, true: list[str], predicted: list[str]) -> None:
    matched = match_masks(touch(tmp_path / "t", *true), touch(tmp_path / "p", *predicted))
    assert len(matched.pairs) == len([name for name in true if "_sat" not in name])
    assert matched.left_out == ()


def test_equal_names_in_several_folders_keep_to_their_folder(tmp_path: Path) -> None:
    truth, predicted = touch(tmp_path / "t", "a/1.png", "b/1.png"), touch(tmp_path / "p", "b/1.png", "a/1.png")
    assert match_masks(truth, predicted).pairs == (
        (truth / "a/1.png", predicted / "a/1.png"),
        (truth / "b/1.png", predicted / "b/1.png"),
    )


def test_predictions_may_lie_beside_the_truth(tmp_path: Path) -> None:
    folder = touch(tmp_path, "1_sat.jpg", "1_mask.png", "1_pred.png")
    assert match_masks(folder, folder).pairs == ((folder / "1_mask.png", folder / "1_pred.png"),)


def test_a_file_named_unlike_the_masks_is_left_out_aloud(tmp_path: Path) -> None:
    """An image without a mask must not be read as one."""
    truth = touch(tmp_path / "t", "1_mask.png", "1_sat.jpg", "2_sat.jpg", "overview.png")
    matched = match_masks(truth, touch(tmp_path / "p", "1.png"))
    assert len(matched.pairs) == 1
    assert matched.left_out == (str(truth / "2_sat.jpg"), str(truth / "overview.png"))


@pytest.mark.parametrize(
    ("true", "predicted", "words"),
    [
        (["1.png"], ["1.png", "1.tif"], r"several masks of one name: 1\.png and 1\.tif"),
        (["1_mask.png", "1_label.png"], ["1.png"], "several masks of one name"),
        (["1.png"], ["a/1.png", "b/1.png"], "several masks of one name"),
        (["1.png"], [], "No images in"),
        ([], ["1.png"], "No images in"),
        (["1.png"], ["2.png"], "1 of 1 true masks"),
        ([f"{i}.png" for i in range(9)], ["0.png"], r"1\.png, 2\.png, 3\.png, 4\.png, 5\.png and 3 more"),
    ],
)
def test_names_that_do_not_match(tmp_path: Path, true: list[str], predicted: list[str], words: str) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "p").mkdir()
    with pytest.raises(DataError, match=words):
        match_masks(touch(tmp_path / "t", *true), touch(tmp_path / "p", *predicted))


def test_the_same_masks_twice_or_no_folder_are_refused(tmp_path: Path) -> None:
    folder = touch(tmp_path / "t", "1_mask.png")
    with pytest.raises(DataError, match="compared with themselves"):
        match_masks(folder, folder)
    with pytest.raises(DataError, match="is not a folder of masks"):
        match_masks(folder, tmp_path / "missing")


def test_an_unknown_palette_is_named(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    truth, predicted = folders
    assert main(["miou", str(predicted), str(truth), "--palette", "deepglob"]) == 2
    assert "deepglobe" in capsys.readouterr().err
