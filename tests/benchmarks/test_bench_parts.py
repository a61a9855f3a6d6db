"""What the benches of speed measure: made photographs, our step, ready rasters, reading."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.photos import LONGEST, SHORTEST, photo, photo_folder
from benchmarks.raster_memory import Timed, make_raster
from benchmarks.readers import image_folder, middle
from PIL import Image
from torchvision.transforms import v2

from benchmarks import raster, steps
from headstart.inference.tiles import Predictor
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol
from headstart.training.schedules import tau_at


def test_photographs_are_seeded_and_of_the_sizes_asked_for(tmp_path: Path) -> None:
    first = np.asarray(photo(3, 310, 320))
    assert np.array_equal(first, np.asarray(photo(3, 310, 320)))
    assert not np.array_equal(first, np.asarray(photo(4, 310, 320)))
    folder = photo_folder(tmp_path, 3, workers=1)
    files = sorted(folder.rglob("*.jpg"))
    assert [file.parent.name for file in files] == ["class-0", "class-1", "class-2"]
    for file in files:
        with Image.open(file) as image:
            assert all(SHORTEST <= side <= LONGEST for side in image.size)
    written = files[0].stat().st_mtime_ns
    assert photo_folder(tmp_path, 3, workers=1) == folder
    assert files[0].stat().st_mtime_ns == written


def test_neighbouring_pixels_are_as_alike_as_in_photographs() -> None:
    pixels = np.asarray(photo(0, 400, 400), np.float32).mean(axis=2)
    assert 0.9 < np.corrcoef(pixels[:, :-1].ravel(), pixels[:, 1:].ravel())[0, 1] < 0.999


def test_a_turn_of_our_step_is_that_many_steps_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    network, taus = build_backbone("test_resnet", 32), list[float]()
    moved = Byol.update_target

    def noted(byol: Byol, tau: float) -> None:
        taus.append(tau)
        moved(byol, tau)

    monkeypatch.setattr(Byol, "update_target", noted)
    monkeypatch.setattr(steps, "build_backbone", lambda *_: network)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    way = steps.ours("test_resnet", 32, 4, hidden=16, precision="fp32", steps=2)
    assert way() == 8
    assert taus == [tau_at(step, steps.STEPS, 0.996, 1.0) for step in range(2)]
    assert not any(torch.equal(now, old) for now, old in zip(network.parameters(), before, strict=True) if now.ndim > 1)


def test_the_bare_network_gets_as_many_tiles_as_the_raster_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "raster.tif"
    make_raster(source, 200, 260)
    timed: list[Timed] = []
    plain = raster.predictor_of

    def counting(**shape: Any) -> Predictor:
        predictor = plain(**shape)
        timed.append(Timed(predictor.network).eval())
        return replace(predictor, network=timed[-1])

    monkeypatch.setattr(raster, "predictor_of", counting)
    shape = {"model": "unet", "encoder": "tu-test_resnet", "tile": 64, "batch": 5}
    n_tiles = raster.whole(str(source), **shape)()
    assert n_tiles == timed[0].tiles
    assert raster.bare(str(source), **shape)() == timed[1].tiles
    assert 0 <= timed[1].tiles - timed[0].tiles < 5
    assert (tmp_path / "classes.tif").is_file()


def test_the_middle_is_torchvisions() -> None:
    for height, width in ((64, 64), (65, 64), (64, 71), (64, 74)):
        image = torch.arange(3 * height * width).reshape(3, height, width)
        assert torch.equal(middle(image, 64), v2.functional.center_crop(image, [64, 64]))


def test_torchvisions_reader_goes_through_all_images_once(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path, 5, workers=1)
    assert image_folder(str(folder), size=16, batch=2, floats=True, workers=0)() == 5
