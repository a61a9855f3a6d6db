"""Every kind of start gives the backbone the weights it says, or says in one line what to do."""

import json
import logging
import urllib.error
import urllib.request
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import load_file

from headstart.errors import ConfigError, WeightsError
from headstart.models import weights as weights_module
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.weights import export_backbone, load_start, read_export

torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Backbone]:
    """A finished pre-training run of test_resnet, and the backbone that it exported."""
    torch.manual_seed(11)
    backbone = build_backbone("test_resnet", 32)
    backbone.mean, backbone.std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    backbone.to(memory_format=torch.channels_last)
    export_backbone(backbone, tmp_path / "run" / "export", {"steps": 12, "start": "scratch"})
    return tmp_path / "run", backbone


def same_weights(one: Backbone, two: Backbone) -> bool:
    return all(torch.equal(t, two.network.state_dict()[key]) for key, t in one.network.state_dict().items())


def test_scratch_changes_nothing() -> None:
    backbone = build_backbone("test_resnet", 32)
    before = {key: tensor.clone() for key, tensor in backbone.network.state_dict().items()}
    assert load_start(backbone, "scratch") is None
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.network.state_dict().items())


@pytest.mark.parametrize("kind", ["ssl", "ssl+supervised"])
def test_a_run_gives_back_its_weights_and_channel_statistics(run: tuple[Path, Backbone], kind: str) -> None:
    folder, original = run
    if kind == "ssl+supervised":
        export_backbone(original, folder / "export", {"start": "supervised"})
    backbone = build_backbone("test_resnet.r160_in1k", 64)
    report = load_start(backbone, f"{kind}={folder}")
    assert report is not None
    assert report.share == 1.0
    assert report.missing == report.unexpected == []
    assert same_weights(backbone, original)
    assert (backbone.mean, backbone.std) == (original.mean, original.std)


def test_an_export_has_the_librarys_keys_and_says_what_it_is(run: tuple[Path, Backbone]) -> None:
    folder, original = run
    plain = timm.create_model("test_resnet", num_classes=0)
    plain.load_state_dict(load_file(folder / "export" / "backbone.safetensors"), strict=True)
    facts = json.loads((folder / "export" / "backbone.json").read_text())
    assert facts | {"sha256": ""} == {
        "backbone": "test_resnet",
        "feature_size": 96,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "image_size": 32,
        "steps": 12,
        "start": "scratch",
        "sha256": "",
    }
    state, read = read_export(folder / "export")
    assert read == facts
    assert state.keys() == original.network.state_dict().keys()
    assert sorted(path.name for path in (folder / "export").iterdir()) == ["backbone.json", "backbone.safetensors"]


def test_exporting_again_replaces_both_files(run: tuple[Path, Backbone]) -> None:
    folder, _ = run
    other = build_backbone("test_resnet", 32)
    export_backbone(other, folder / "export", {})
    backbone = build_backbone("test_resnet", 32)
    load_start(backbone, f"ssl={folder}")
    assert same_weights(backbone, other)


def test_a_changed_file_is_noticed(run: tuple[Path, Backbone]) -> None:
    file = run[0] / "export" / "backbone.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(WeightsError, match="sha256"):
        load_start(build_backbone("test_resnet", 32), f"ssl={run[0]}")


def test_a_run_of_another_backbone_is_refused_by_name(run: tuple[Path, Backbone]) -> None:
    with pytest.raises(WeightsError, match=r"pre-trained test_resnet, not resnet18; set --backbone test_resnet"):
        load_start(build_backbone("resnet18", 32), f"ssl={run[0]}", allow_partial=True)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"backbone": "test_resnet"}'])
def test_damaged_facts_are_an_error(run: tuple[Path, Backbone], content: str) -> None:
    (run[0] / "export" / "backbone.json").write_text(content)
    with pytest.raises(WeightsError, match=r"backbone\.json is damaged"):
        load_start(build_backbone("test_resnet", 32), f"ssl={run[0]}")


def test_a_directory_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not an export"):
        load_start(build_backbone("test_resnet", 32), f"ssl={tmp_path}")


@pytest.mark.parametrize("kind", ["ssl", "ssl+supervised"])
def test_a_start_without_a_run_says_what_to_write(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"=RUN"):
        load_start(build_backbone("test_resnet", 32), kind)


@pytest.mark.parametrize(("status", "warns"), [("collapsed", True), ("diverged", True), ("finished", False)])
def test_a_collapsed_run_loads_with_a_warning(
    run: tuple[Path, Backbone], status: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (run[0] / "result.json").write_text(json.dumps({"status": status}))
    backbone = build_backbone("test_resnet", 32)
    load_start(backbone, f"ssl={run[0]}")
    assert same_weights(backbone, run[1])
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any(status in text for text in warnings) == warns


def test_supervised_takes_a_file(tmp_path: Path) -> None:
    original = build_backbone("test_resnet", 32)
    torch.save({"state_dict": {f"module.{k}": t for k, t in original.network.state_dict().items()}}, tmp_path / "w.pth")
    backbone = build_backbone("test_resnet", 32)
    report = load_start(backbone, f"supervised={tmp_path / 'w.pth'}")
    assert report is not None
    assert "w.pth" in report.source
    assert same_weights(backbone, original)


@pytest.mark.parametrize("value", ["nowhere/weights.pth", "resnet_fifty"])
def test_supervised_with_neither_file_nor_name_is_an_error(value: str) -> None:
    with pytest.raises(WeightsError, match="no such file, and timm has no such model"):
        load_start(build_backbone("test_resnet", 32), f"supervised={value}")


def test_a_download_that_fails_says_in_one_line_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for start in ("supervised", "supervised=test_resnet.r160_in1k"):
        with pytest.raises(WeightsError) as caught:
            load_start(build_backbone("test_resnet", 64), start)
        assert "https://huggingface.co/timm/test_resnet.r160_in1k" in str(caught.value)
        assert "supervised=FILE" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_torchvision_download_that_fails_says_so_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    with pytest.raises(WeightsError, match=r"no network in this test.*download\.pytorch\.org.*supervised=FILE"):
        load_start(build_backbone("torchvision/resnet18", 64), "supervised")


def test_downloaded_timm_weights_bring_their_tags_channel_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    real = timm.create_model
    made: list[torch.nn.Module] = []

    def downloaded(name: str, pretrained: bool = False, **settings: object) -> torch.nn.Module:
        assert (name, pretrained) == ("resnet50.a1_in1k", True)
        made.append(real(name, pretrained=False, **settings))
        return made[-1]

    backbone = build_backbone("torchvision/resnet50", 64)
    backbone.mean = (0.0, 0.0, 0.0)
    state = torch.get_rng_state()
    monkeypatch.setattr(timm, "create_model", downloaded)
    report = load_start(backbone, "supervised=resnet50.a1_in1k")
    assert report is not None
    assert torch.equal(torch.get_rng_state(), state)
    for key, tensor in made[-1].state_dict().items():
        assert torch.equal(tensor, backbone.network.state_dict()[key]), key
    assert report.source == "supervised (timm resnet50.a1_in1k)"
    assert report.share == 1.0
    assert backbone.mean == (0.485, 0.456, 0.406)


def test_a_model_without_pretrained_weights_says_so() -> None:
    with pytest.raises(WeightsError, match="no pretrained weights of test_vit4; give a file"):
        load_start(build_backbone("test_vit4", 64), "supervised")


def test_without_the_package_the_supervised_start_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights_module, "packaged_file", lambda _: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"pip install 'headstart\[demo\]'"):
        load_start(build_backbone("tf_efficientnet_lite0", 64), "supervised")
