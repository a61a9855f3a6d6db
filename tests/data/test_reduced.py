"""Reduced images: no larger than a view needs, exact where nothing is to be reduced, near the whole ones elsewhere."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from headstart.configs.views import ViewsConfig
from headstart.data.decode import DecodeError, decode
from headstart.data.reduced import DRAFT_FACTOR, decode_reduced, reduced_size, side_for


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """Something smooth with texture on it."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 128.0)
    for cells, strength in ((4, 60), (16, 25), (64, 8)):
        for c in range(3):
            layer = Image.fromarray(rng.normal(0, strength, (cells, cells)).astype(np.float32))
            pixels[..., c] += np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("scale", [0.08, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("size", [32, 64, 224])
def test_no_crop_of_a_reduced_image_is_enlarged(size: int, scale: float) -> None:
    """The narrowest crop that RandomResizedCrop draws has as many pixels as the view, and with one less it has not."""
    side = side_for(ViewsConfig(crop_scale=(scale, 1.0)), size)
    narrowest = math.sqrt(min(scale, 0.2) * side**2 * 3 / 4)
    assert size <= narrowest < size + 1
    crop = v2.RandomResizedCrop(size, scale=(scale, scale), ratio=(3 / 4, 3 / 4))
    drawn = crop.make_params([torch.zeros(3, side, side)])
    assert min(drawn["height"], drawn["width"]) >= size - 1  # it rounds


def test_the_side_of_views() -> None:
    assert side_for(ViewsConfig(), 64) == 166
    assert side_for(ViewsConfig(crop_scale=(0.5, 1.0)), 64) == 166  # one pack for pre-training and classification
    assert side_for(ViewsConfig(style="light", crop_scale=(0.08, 1.0)), 64) == 262
    assert {side_for(ViewsConfig(style=style), 64) for style in ("none", "trivial")} == {64}


@pytest.mark.parametrize(
    ("size", "expected"),
    [((100, 300), (50, 150)), ((301, 100), (150, 50)), ((50, 999), (50, 999)), ((7, 7), (7, 7)), ((51, 51), (50, 50))],
)
def test_sizes_are_those_of_torchvision(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert reduced_size(*size, 50) == expected
    if min(size) >= 50:
        assert tuple(v2.Resize(50)(torch.zeros(1, *size)).shape[1:]) == expected


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_small_images_are_as_decoded(tmp_path: Path, suffix: str) -> None:
    for i, size in enumerate([(40, 60), (60, 40), (40, 40), (3, 500)]):
        path = tmp_path / f"{i}.{suffix}"
        photo(*size).save(path)
        assert np.array_equal(decode_reduced(path, 40), decode(path))


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(("suffix", "mode"), [("jpg", "RGB"), ("jpg", "L"), ("jpg", "CMYK"), ("png", "RGB")])
def test_near_the_whole_image_reduced(tmp_path: Path, suffix: str, mode: str, orientation: int) -> None:
    """Against the whole image averaged down by another method (Pillow's Lanczos): a mean of at most 1.5 levels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    photo(500, 700).convert(mode).save(path, exif=exif)
    whole = decode(path)
    pixels = decode_reduced(path, 50)
    assert pixels.shape == ((50, 70, 3) if orientation != 6 else (70, 50, 3))
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    size = pixels.shape[1], pixels.shape[0]
    expected = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(pixels - expected).mean() < 1.5
    shifted = np.roll(expected, 1, axis=0)
    assert np.abs(pixels - shifted).mean() > 2.5, "the images are too smooth to tell a shift"


def test_jpegs_are_decoded_smaller_only_beyond_the_factor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder halves while DRAFT_FACTOR times the side is left, and no further."""
    seen: list[tuple[int, int]] = []
    original = Image.Image.resize

    def resize(image: Image.Image, *given: object, **named: object) -> Image.Image:
        seen.append(image.size)
        return original(image, *given, **named)  # type: ignore[arg-type]

    side = 20
    for factor, expected in ((DRAFT_FACTOR * 2, 2), (DRAFT_FACTOR * 2 - 0.1, 1), (DRAFT_FACTOR * 8, 8)):
        height = round(factor * side)
        path = tmp_path / f"{height}.jpg"
        photo(height, 2 * height).save(path)
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "resize", resize)
            decode_reduced(path, side)
        assert min(seen.pop()) == math.ceil(height / expected)


def test_what_does_not_decode_does_not_reduced(tmp_path: Path) -> None:
    photo(500, 700).save(tmp_path / "x.jpg", quality=95)
    whole = (tmp_path / "x.jpg").read_bytes()
    for share in (0.01, 0.3, 0.9):
        (tmp_path / "x.jpg").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DecodeError) as of_whole:
            decode(tmp_path / "x.jpg")
        with pytest.raises(DecodeError) as of_reduced:
            decode_reduced(tmp_path / "x.jpg", 50)
        assert of_whole.value.reason.split("(")[0] == of_reduced.value.reason.split("(")[0]
