"""Checkpoints of every layout become networks, and none that is incomplete."""

from pathlib import Path
from typing import Any

import pytest
import torch
from segment_anything import sam_model_registry
from tests.sam.tiny_sam import reference_sam, saved, tiny_sam2
from transformers import SamConfig, SamModel

from headstart.errors import WeightsError
from headstart.sam import load
from headstart.sam.checkpoints import CHECKPOINTS
from headstart.sam.convert import converted, settings_of
from headstart.sam.load import load_sam


@pytest.fixture(scope="module")
def reference() -> Any:
    return reference_sam()


def test_every_tensor_of_an_original_file_is_used(reference: Any, tmp_path: Path) -> None:
    sam, report = load_sam(saved(reference, tmp_path / "sam.pth"), device="cpu", precision="fp32")
    assert (report.missing, report.unexpected, report.share) == ([], [], 1.0)
    assert sam.name == "sam.pth"
    assert sam.precision == "fp32"
    theirs = {tensor.sum().item() for tensor in reference.state_dict().values()}
    assert {tensor.sum().item() for tensor in sam.network.state_dict().values()} == theirs


def test_prefixes_and_wrappers_are_looked_through(reference: Any, tmp_path: Path) -> None:
    state = {f"module.{key}": tensor for key, tensor in reference.state_dict().items()}
    torch.save({"model": state, "epoch": 3}, tmp_path / "tuned.pth")
    assert load_sam(tmp_path / "tuned.pth", device="cpu")[1].missing == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_the_published_sizes(name: str) -> None:
    with torch.device("meta"):
        reference = sam_model_registry[name]()
        state = converted(reference.state_dict())
        network = SamModel(SamConfig(**settings_of(state)))
    expected = {key: tensor.shape for key, tensor in network.state_dict().items()}
    found = {key: tensor.shape for key, tensor in state.items()}
    assert {key: found.get(key) for key in expected if not key.startswith("shared_")} == {
        key: shape for key, shape in expected.items() if not key.startswith("shared_")
    }
    vision = network.config.vision_config
    assert vision.global_attn_indexes == [
        n for n, block in enumerate(reference.image_encoder.blocks) if block.window_size == 0
    ]
    assert vision.num_attention_heads == reference.image_encoder.blocks[0].attn.num_heads


@pytest.mark.parametrize("family", ["sam", "sam2"])
def test_a_directory_of_transformers(reference: Any, family: str, tmp_path: Path) -> None:
    if family == "sam":
        network = load_sam(saved(reference, tmp_path / "sam.pth"), device="cpu", precision="fp32")[0].network
    else:
        network = tiny_sam2()
    network.save_pretrained(tmp_path / "kept")
    sam, report = load_sam(tmp_path / "kept", device="cpu", precision="fp32")
    assert (report.missing, report.share) == ([], 1.0)
    for key, tensor in network.state_dict().items():
        assert torch.equal(sam.network.state_dict()[key], tensor), key


def test_a_directory_that_lacks_tensors_is_refused(tmp_path: Path) -> None:
    network = tiny_sam2()
    state = {key: tensor for key, tensor in network.state_dict().items() if "mask_tokens" not in key}
    network.save_pretrained(tmp_path / "kept", state_dict=state)
    with pytest.raises(WeightsError, match=r"whole network.*mask_decoder\.mask_tokens\.weight"):
        load_sam(tmp_path / "kept")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"config\.json and model\.safetensors"):
        load_sam(tmp_path / "empty")


def test_an_incomplete_file_is_refused(reference: Any, tmp_path: Path) -> None:
    """Even where almost all is there: the decoder is 4 % of vit_b."""
    state = {key: tensor for key, tensor in reference.state_dict().items() if "iou_prediction_head" not in key}
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=r"iou_prediction_head\.proj_in\.weight"):
        load_sam(tmp_path / "part.pth")
    state = dict(reference.state_dict())
    del state["mask_decoder.mask_tokens.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=r"1 missing.*mask_decoder\.mask_tokens\.weight"):
        load_sam(tmp_path / "part.pth")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match="no checkpoint of SAM or SAM-HQ"):
        load_sam(tmp_path / "resnet.pth")


def test_numbers_that_are_none_are_refused(reference: Any, tmp_path: Path) -> None:
    state = {key: tensor.clone() for key, tensor in reference.state_dict().items()}
    state["image_encoder.pos_embed"][0, 0, 0, 0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match="NaN or infinity"):
        load_sam(tmp_path / "nan.pth")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(WeightsError, match=r"no such file or directory.*vit_b, vit_l, vit_h, hq_vit_b"):
        load_sam("vit_g")


def test_a_name_is_fetched_and_converted(reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(reference, tmp_path / "sam_vit_b_01ec64.pth")
    monkeypatch.setattr(load, "fetched", lambda name, checkpoint: file if checkpoint is CHECKPOINTS["vit_b"] else None)
    sam, report = load_sam("vit_b", device="cpu")
    assert (sam.name, report.source, report.missing) == ("vit_b", "vit_b", [])


@pytest.mark.slow
def test_the_sizes_of_sam2_are_those_of_their_names() -> None:
    """Parameters of the published SAM 2.1 image networks, in millions (without what only videos need)."""
    import transformers

    for name, least, most in (("tiny", 30, 39), ("small", 37, 46), ("base_plus", 70, 81), ("large", 210, 225)):
        hiera = CHECKPOINTS[f"sam2.1_{name}"].hiera
        assert hiera is not None
        with torch.device("meta"):
            network = transformers.Sam2Model(load._sam2_config(transformers, hiera))
        assert least < sum(parameter.numel() for parameter in network.parameters()) / 1e6 < most, name
