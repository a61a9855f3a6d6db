"""The look at a source before anyone trains: shares, copies, leaks, sizes, what cannot be used, what is doubtful."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart
from headstart.configs.data import DataCheckConfig
from headstart.errors import DataError
from headstart.results import DataCheckResult
from headstart.summaries import summary_lines


def check(data: Path | str, **settings: object) -> DataCheckResult:
    return headstart.data_check(DataCheckConfig(data=str(data), **settings))


def noise(seed: int, width: int = 40, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pair(root: Path, name: str, values: np.ndarray, seed: int) -> None:
    """images/NAME.png with masks/NAME.png of these values (H, W)."""
    for kind, picture in (("images", noise(seed, *values.shape[::-1])), ("masks", Image.fromarray(values))):
        path = root / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)


def filled(*shares: tuple[int, int]) -> np.ndarray:
    """A 40 x 40 mask with so many rows of each value."""
    return (
        np.repeat([value for value, _ in shares], [rows for _, rows in shares])[:, None].repeat(40, 1).astype(np.uint8)
    )


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """train/ and val/ of 40 pixels: classes 0, 1, 2 and, ignored, 255."""
    for i in range(4):
        pair(tmp_path / "p" / "train", str(i), filled((0, 20), (1, 10), (2, 6), (255, 4)), seed=i)
    for i in range(2):
        pair(tmp_path / "p" / "val", str(i), filled((0, 10), (1, 10), (2, 20)), seed=10 + i)
    return tmp_path / "p"


def test_sound_pairs(pairs: Path) -> None:
    result = check(pairs)
    assert (result.kind, result.counted) == ("image and mask folders", "pixels")
    assert result.classes == ["class 0", "class 1", "class 2", "ignored"]
    assert result.train_shares == pytest.approx([0.5, 0.25, 0.15, 0.1])
    assert result.val_shares == pytest.approx([0.25, 0.25, 0.5, 0])
    assert (result.n_train, result.n_val, result.sizes) == (4, 2, [(40, 40, 6)])
    assert (result.duplicates, result.leaks, result.quarantined, result.warnings) == ([], [], {}, [])
    every = np.concatenate([np.asarray(noise(i)).reshape(-1, 3) for i in range(4)]) / 255
    assert np.allclose(result.mean, every.mean(axis=0))
    assert np.allclose(result.std, every.std(axis=0))


def test_copies_and_leaks_are_found_by_their_pixels(pairs: Path) -> None:
    noise(0).save(pairs / "val" / "images" / "1.png", compress_level=0)
    noise(2).save(pairs / "train" / "images" / "3.png")
    result = check(pairs)
    train, val = pairs / "train" / "images", pairs / "val" / "images"
    assert result.leaks == [[str(train / "0.png"), str(val / "1.png")]]
    assert result.duplicates == [*result.leaks, [str(train / "2.png"), str(train / "3.png")]]
    assert any("1 validation image(s) are among the training images" in words for words in result.warnings)
    assert any("1 image(s) repeat another one" in words for words in result.warnings)


def test_classes_that_are_rare_or_on_one_side_only(tmp_path: Path) -> None:
    pair(tmp_path / "train", "0", filled((0, 20), (1, 20)), 0)
    once = filled((0, 40))
    once[0, :3] = 7
    pair(tmp_path / "train", "1", once, 1)
    pair(tmp_path / "val", "0", filled((0, 20), (2, 20)), 2)
    warnings = check(tmp_path).warnings
    assert "class 2: no training image has it, so it cannot be learned." in warnings
    assert "class 1: no validation image has it, so it is not judged." in warnings
    assert "class 7 is rare: 0.09% of the training pixels." in warnings
    assert len(warnings) == 4


def test_a_class_of_the_palette_that_no_mask_has(pairs: Path) -> None:
    palette = pairs / "palette.yaml"
    rows = [f"{{name: c{i}, colour: [{i}, 0, 0], index: {value}}}" for i, value in enumerate([0, 1, 2, 3, 255])]
    palette.write_text(f"classes: [{', '.join(rows)}]")
    assert "c3: no training and no validation image has it." in check(pairs).warnings


def test_one_class_only_and_ignored_masks(tmp_path: Path) -> None:
    for i in range(5):
        pair(tmp_path / "one", str(i), filled((3, 40)), i)
    result = check(tmp_path / "one")
    assert result.warnings == [
        "There is one class only (class 3): there is nothing to tell apart. Is this the right palette, are these the "
        "right labels?"
    ]
    assert (result.n_train, result.n_val) == (4, 1)
    assert "side by side" in result.split
    for i in range(5):
        pair(tmp_path / "void", str(i), filled((0, 20), (1, 20)) if i < 2 else filled((255, 40)), i)
    warnings = check(tmp_path / "void").warnings
    assert any("3 mask(s) have ignored pixels only" in words for words in warnings)
    assert any("% of the training pixels are ignored (ignored)" in words for words in warnings)


def test_sizes_that_stand_out(pairs: Path) -> None:
    pair(pairs / "train", "4", np.zeros((24, 40), np.uint8), 30)
    result = check(pairs)
    assert result.sizes == [(40, 40, 6), (40, 24, 1)]
    assert "1 image(s) are not 40 x 40 as most are (such as 40 x 24)." in result.warnings
    assert "1 image(s) are smaller than 32 pixels." in result.warnings


def test_everything_quarantined_is_listed_and_written(pairs: Path, tmp_path: Path) -> None:
    (pairs / "train" / "masks" / "0.png").write_bytes(b"no")
    pair(pairs / "val", "1", np.zeros((40, 41), np.uint8), 50)
    noise(1).save(pairs / "val" / "images" / "1.png")
    noise(5).save(pairs / "train" / "images" / "lone.png")
    out = tmp_path / "out"
    result = check(pairs, out=out)
    assert set(result.quarantined) == {
        str(pairs / "train" / "masks" / "0.png"),
        str(pairs / "val" / "images" / "1.png"),
        str(pairs / "train" / "images" / "lone.png"),
    }
    assert DataCheckResult.model_validate_json((out / "result.json").read_text()) == result
    assert "lone.png" in (out / "quarantine.csv").read_text()
    (pairs / "train" / "masks" / "0.png").unlink()
    text = "\n".join(summary_lines(result, out))
    assert "3 file(s) cannot be used:" in text
    assert "class 0" in text
    assert f"Written: {out}" in text
    check(pairs / "val" / "images", out=out)
    assert not (out / "quarantine.csv").exists(), "an earlier check's list does not stay"


def test_foreign_colours_are_an_error_unless_mapped(tmp_path: Path) -> None:
    for i in range(3):
        for end, picture in (("sat.jpg", noise(i)), ("mask.png", noise(i))):
            picture.save(tmp_path / f"{i:04}_{end}")
    assert check(tmp_path).classes[6] == "unknown"
    with pytest.raises(DataError, match=r"2 of 2 masks"):
        check(tmp_path, palette="bluemarble")
    assert check(tmp_path, palette="bluemarble", nearest_colour=True).n_train == 2


def test_labelled_images(gratings: Path) -> None:
    result = check(gratings)
    assert (result.kind, result.counted) == ("class folders", "images")
    assert result.classes == ["class-0", "class-1", "class-2"]
    assert result.train_shares == result.val_shares == pytest.approx([1 / 3] * 3)
    assert (result.n_train, result.n_val, result.warnings) == (60, 30, [])
    assert "class-1" in "\n".join(summary_lines(result, None))


def test_labelled_images_are_split_as_a_classification_would(gratings: Path) -> None:
    result = check(gratings / "train")
    assert (result.n_train, result.n_val) == (48, 12)
    assert "stratified" in result.split


def test_unlabelled_images_with_damage_and_copies(flat_images: Path, tmp_path: Path) -> None:
    for file in flat_images.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "copy.png").write_bytes((tmp_path / "003.png").read_bytes())
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    result = check(tmp_path)
    assert (result.classes, result.train_shares, result.val_shares, result.n_train, result.n_val) == ([], [], [], 25, 0)
    assert result.duplicates == [[str(tmp_path / "003.png"), str(tmp_path / "copy.png")]]
    assert result.leaks == []
    assert list(result.quarantined) == [str(tmp_path / "torn.jpg")]
    assert "Usable images: 25 for training, 0 for validation." in summary_lines(result, None)


def test_one_labelled_class_is_a_warning(tmp_path: Path) -> None:
    noise(0).save(tmp_path / "1.png")
    (tmp_path / "train.csv").write_text("filename,label\n1.png,cat\n")
    assert check(tmp_path).warnings[0].startswith("There is one class only (cat)")


def test_the_images_of_pairs_can_be_checked_alone(pairs: Path) -> None:
    result = check(pairs, task="images")
    assert (result.kind, result.counted, result.n_train, result.n_val) == ("pairs", "images", 4, 2)


def test_what_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no"):
        check(tmp_path / "nowhere")
    with pytest.raises(DataError, match="No images in"):
        check(tmp_path)
    with pytest.raises(DataError, match="no pair of an image and a mask"):
        check(tmp_path, task="segment")
    (tmp_path / "x.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"None of the 1 images.*x\.png: not an image"):
        check(tmp_path)


def test_a_side_of_which_nothing_can_be_used(pairs: Path) -> None:
    for file in (pairs / "val" / "masks").iterdir():
        file.write_bytes(b"no")
    result = check(pairs)
    assert (result.n_val, len(result.quarantined), result.val_shares) == (0, 2, [])
    assert result.warnings == ["None of the 2 validation images can be used: there is nothing to judge by."]
    for file in (pairs / "train" / "images").iterdir():
        file.write_bytes(b"no")
    with pytest.raises(DataError, match=r"None of the 4 pairs of .* can be used .first: .*0\.png: not an image"):
        check(pairs, palette="deepglobe")


def test_one_pair(tmp_path: Path) -> None:
    pair(tmp_path, "0", filled((0, 20), (1, 20)), 0)
    result = check(tmp_path)
    assert (result.n_train, result.n_val, result.val_shares) == (1, 0, [])
    assert "one pair only" in result.split
    assert json.loads(result.model_dump_json())["warnings"] == []
