"""A segmenter comes back from its files as it was, and damage is an error that says what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from headstart.errors import WeightsError
from headstart.models.encoders import DECODERS
from headstart.models.segmenter_files import export_segmenter, read_segmenter
from headstart.models.segmenters import Segmenter, build_segmenter

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Segmenter]:
    torch.manual_seed(0)
    segmenter = build_segmenter("unet", "tu-test_resnet", 3, 64)
    segmenter.mean, segmenter.std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    segmenter(torch.randn(2, 3, 64, 64))  # so that the statistics are not those of a fresh network
    folder = tmp_path_factory.mktemp("run") / "export"
    export_segmenter(segmenter, folder, {"classes": ["a", "b", "c"], "model": "cannot replace the name"})
    return folder, segmenter


@pytest.fixture
def copy(exported: tuple[Path, Segmenter], tmp_path: Path) -> Path:
    for file in exported[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@torch.no_grad()
def test_it_comes_back_as_it_was(exported: tuple[Path, Segmenter]) -> None:
    folder, segmenter = exported
    read, facts = read_segmenter(folder)
    images = torch.randn(1, 3, 50, 70)
    assert not read.training
    assert torch.equal(read(images), segmenter.eval()(images))
    assert (read.mean, read.std) == (segmenter.mean, segmenter.std)
    assert (read.name, read.encoder_name, read.n_outputs, read.image_size) == ("unet", "tu-test_resnet", 3, 64)
    assert facts == {
        "classes": ["a", "b", "c"],
        "model": "unet",
        "encoder": "tu-test_resnet",
        "n_outputs": 3,
        "image_size": 64,
        "fixed_size": None,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "sha256": facts["sha256"],
    }


def test_the_files_are_the_librarys_keys_and_nothing_else(exported: tuple[Path, Segmenter]) -> None:
    folder, segmenter = exported
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "model.safetensors"]
    assert load_file(folder / "model.safetensors").keys() == segmenter.network.state_dict().keys()


@torch.no_grad()
@pytest.mark.parametrize("model", DECODERS)
def test_every_decoder_comes_back(model: str, tmp_path: Path) -> None:
    segmenter = build_segmenter(model, "tu-test_resnet", 2, None)
    export_segmenter(segmenter, tmp_path, {})
    read, facts = read_segmenter(tmp_path)
    images = torch.randn(1, 3, 40, 40)
    assert torch.equal(read(images), segmenter.eval()(images))
    assert facts["image_size"] is None


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["tu-test_maxvit", "timm-regnety_002", "tu-gernet_s", "mobilenet_v2"])
def test_encoders_of_one_size_and_those_whose_keys_the_library_renames_come_back(encoder: str, tmp_path: Path) -> None:
    segmenter = build_segmenter("unet", encoder, 2, 64)
    export_segmenter(segmenter, tmp_path, {})
    read, _ = read_segmenter(tmp_path)
    images = torch.randn(1, 3, 64, 64)
    assert read.fixed_size == segmenter.fixed_size
    assert torch.equal(read(images), segmenter.eval()(images))


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def changed(**facts: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "model.json"
        described = json.loads(file.read_text()) | facts
        file.write_text(json.dumps({key: value for key, value in described.items() if value != "gone"}))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "sha256"),
        (flip_a_bit, "sha256"),
        (without("model.json"), "is not an export.*headstart segment"),
        (without("model.safetensors"), "is not an export.*headstart segment"),
        (lambda folder: (folder / "model.json").write_text("{"), r"model\.json is damaged"),
        (lambda folder: (folder / "model.json").write_text("[]"), r"model\.json is damaged"),
        (changed(n_outputs="gone"), r"model\.json is damaged"),
        (changed(mean=[0.5]), r"model\.json is damaged"),
        (changed(image_size="many"), r"model\.json is damaged"),
        (changed(encoder="tu-nothing"), "cannot be built here.*unknown --encoder"),
        (changed(n_outputs=4), "another version.*size mismatch.*install the versions"),
        (changed(model="fpn"), "another version.*install the versions"),
    ],
)
def test_damage_is_said(copy: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(copy)
    with pytest.raises(WeightsError, match=said) as caught:
        read_segmenter(copy)
    assert "\n" not in str(caught.value)
