"""Batch norm over two gloo processes equals plain batch norm on the whole batch."""

import copy
import datetime

import pytest
import timm
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from headstart.models.distributed_norm import DistributedBatchNorm, synchronise_batch_norm
from headstart.models.freeze import freeze

torch.set_num_threads(1)

SPLITS = {"equal": (4, 4), "unequal": (2, 6), "one empty": (0, 8)}


def norms() -> dict[str, tuple[nn.Module, Tensor]]:
    """Batch norms of each kind with an input of eight samples; one has a mean that is large beside its spread."""
    generator = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, generator=generator) * 2 + 1  # noqa: E731
    affine = {
        "BatchNorm1d": (nn.BatchNorm1d(5), draw(8, 5)),
        "BatchNorm1d of sequences": (nn.BatchNorm1d(5), draw(8, 5, 3)),
        "BatchNorm2d": (nn.BatchNorm2d(5), draw(8, 5, 3, 3)),
        "BatchNorm2d, channels last": (nn.BatchNorm2d(5), draw(8, 5, 3, 3).to(memory_format=torch.channels_last)),
        "BatchNorm2d, large mean": (nn.BatchNorm2d(5), draw(8, 5, 3, 3) + 1000),
        "BatchNorm2d, double": (nn.BatchNorm2d(5).double(), draw(8, 5, 3, 3).double()),
        "BatchNormAct2d": (BatchNormAct2d(5, act_layer=nn.SiLU), draw(8, 5, 3, 3)),
        "BatchNormAct2d, inplace ReLU": (BatchNormAct2d(5), draw(8, 5, 3, 3)),
    }
    for norm, _ in affine.values():
        nn.init.uniform_(norm.weight, 0.5, 2.0, generator=generator)
        nn.init.normal_(norm.bias, generator=generator)
    return affine | {
        "not affine, plain mean of batches": (nn.BatchNorm2d(5, momentum=None, affine=False), draw(8, 5, 3, 3)),
        "no running statistics": (nn.BatchNorm2d(5, track_running_stats=False), draw(8, 5, 3, 3)),
    }


def two_steps(norm: nn.Module, x: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Outputs, gradients and buffers after two training passes (so that the running statistics have a history)."""
    norm.train()
    norm(x * 0.5)
    x = x.clone().requires_grad_()
    output = norm(x)
    (output * weights).square().sum().backward()
    result = {"output": output.detach(), "input gradient": x.grad}
    result |= {f"gradient of {key}": parameter.grad for key, parameter in norm.named_parameters()}
    return result | {key: tensor.clone() for key, tensor in norm.named_buffers()}


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    timeout = datetime.timedelta(seconds=60)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timeout)
    results = {}
    for split, sizes in SPLITS.items():
        for name, (norm, x) in norms().items():
            part = slice(0, sizes[0]) if rank == 0 else slice(sizes[0], sum(sizes))
            weights = torch.linspace(-1, 1, x.numel()).reshape(x.shape)
            results[split, name] = two_steps(synchronise_batch_norm(norm), x[part], weights[part])
    norm = synchronise_batch_norm(nn.BatchNorm2d(5))
    low = two_steps(norm, norms()["BatchNorm2d"][1][rank * 4 :][:4].bfloat16(), torch.ones(1, dtype=torch.bfloat16))
    results["bfloat16", ""] = low
    try:
        synchronise_batch_norm(nn.BatchNorm1d(5))(torch.randn(1 - rank, 5))
    except ValueError as error:
        results["single value", ""] = {"error": str(error)}
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, str], dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("two-processes")
    mp.spawn(process, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", norms())
def test_two_processes_equal_one_with_the_whole_batch(results: list, name: str, split: str) -> None:
    norm, x = norms()[name]
    whole = two_steps(norm, x, torch.linspace(-1, 1, x.numel()).reshape(x.shape))
    first, second = (result[split, name] for result in results)
    # where the mean is 1000 and the spread 2, float32 holds the input itself to 6e-5 only, and gradients are sums of 72
    atol = 1e-2 if "large mean" in name else 1e-5
    for key, expected in whole.items():
        if key in ("output", "input gradient"):
            actual = torch.cat([first[key], second[key]])
        elif key.startswith("gradient of"):  # each process has its share; DDP adds them up
            actual = first[key] + second[key]
        else:
            assert torch.equal(first[key], second[key]), key
            actual = first[key]
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=atol, msg=lambda text, key=key: f"{key}: {text}")


def test_a_half_precision_input_keeps_its_type_and_full_precision_statistics(results: list) -> None:
    _, x = norms()["BatchNorm2d"]
    whole = two_steps(nn.BatchNorm2d(5), x.bfloat16().float(), torch.ones(1))
    for result in results:
        assert result["bfloat16", ""]["output"].dtype == torch.bfloat16
        assert result["bfloat16", ""]["input gradient"].dtype == torch.bfloat16
        torch.testing.assert_close(result["bfloat16", ""]["running_var"], whole["running_var"], rtol=5e-3, atol=0)


def test_one_value_in_all_processes_together_is_refused_on_each(results: list) -> None:
    for result in results:
        assert "more than one value" in result["single value", ""]["error"]


def test_one_process_is_plain_batch_norm_bit_for_bit() -> None:
    for name, (norm, x) in norms().items():
        weights = torch.linspace(-1, 1, x.numel()).reshape(x.shape)
        own = synchronise_batch_norm(copy.deepcopy(norm))
        assert isinstance(own, DistributedBatchNorm)
        expected = two_steps(norm, x, weights)
        actual = two_steps(own, x, weights)
        assert expected.keys() == actual.keys()
        for key, value in expected.items():
            assert torch.equal(actual[key], value), (name, key)
        assert torch.equal(own.eval()(x), norm.eval()(x)), name


def test_conversion_keeps_names_objects_modes_and_outputs() -> None:
    model = timm.create_model("test_efficientnet", num_classes=0)
    expected, keys = dict(model.named_parameters()), list(model.state_dict())
    reference = copy.deepcopy(model)
    assert synchronise_batch_norm(model) is model
    assert list(model.state_dict()) == keys
    assert all(parameter is expected[name] for name, parameter in model.named_parameters())
    kinds = {type(part) for part in model.modules()}
    assert DistributedBatchNorm in kinds
    assert not kinds & {nn.BatchNorm2d, BatchNormAct2d}
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x), reference(x))
    assert torch.equal(model.eval()(x), reference.eval()(x))


def test_a_frozen_part_stays_as_it_is() -> None:
    model = nn.Sequential(timm.create_model("test_resnet", num_classes=0), nn.BatchNorm1d(96))
    freeze(model[0])
    synchronise_batch_norm(model)
    assert not any(isinstance(part, DistributedBatchNorm) for part in model[0].modules())
    assert isinstance(model[1], DistributedBatchNorm)
    model.train()
    assert not any(part.training for part in model[0].modules())
