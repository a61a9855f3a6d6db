"""Weights files: safetensors and torch files, read without running anything that is in them."""

import logging
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from headstart.errors import WeightsError

_log = logging.getLogger(__name__)

# Under which names training tools keep a model's tensors in a checkpoint, the best first: an average of the weights
# (timm's and DINO's way to publish) before the weights themselves, the online network before the whole.
_WRAPPERS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema", "teacher",
    "state_dict", "model_state_dict", "model", "online_network_state_dict", "online_network", "student",
    "backbone", "encoder", "network", "net", "module", "params", "weights",
)  # fmt: skip


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a file's tensors by name, on the CPU.

    The format is told by the content. A torch file is loaded with ``weights_only=True``; the tensors are looked for in
    the nested dictionaries that training tools write (``state_dict``, ``model``, ``teacher``, ...).

    Raises:
        WeightsError: no such file, cut short, not a weights file, or a pickle that would have to run code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise WeightsError(f"cannot read the weights file {path}: {error.strerror or error}. Check the path") from None
    if start[8:9] == b"{":
        content: Any = _read_safetensors(path)
    elif start[:2] == b"PK" or start[:1] == b"\x80":
        content = _read_torch(path)
    else:
        raise WeightsError(f"{path} is not a weights file{_what_it_is(start)}; give a safetensors or a torch file")
    try:
        state, part = _unwrap(content)
    except RecursionError:  # a dictionary that holds itself
        state, part = {}, ""
    odd = next((key for key, tensor in state.items() if _lacks_plain_values(tensor)), None)
    if odd is not None:
        raise WeightsError(
            f"{path} holds tensors without plain values, such as {odd} (sparse, quantised, or on the meta device). "
            "Save dense tensors: torch.save({key: tensor.to_dense() for key, tensor in state.items()}, FILE)"
        )
    if not state:
        raise WeightsError(f"{path} holds no tensors by name; give a state dict (torch.save(model.state_dict(), FILE))")
    if part:
        _log.info("%s: taking the tensors under %s", path.name, part)
    return state


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors by name to the safetensors file ``path``, and to nothing else: ``safetensors.torch.save_file``
    writes by way of a file of its own naming beside it, which a kill leaves behind. Needs three times the file's size
    in memory: a copy of each tensor, without which tensors that share memory are refused, and two of the whole.
    """
    tensors = {
        key: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for key, tensor in state.items()
    }
    path.write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _read_torch(path: Path) -> Any:
    """Whatever a torch file holds, if plain data and tensors are all it holds."""
    try:
        return load_data(path)
    except CodeInFileError as refusal:
        raise WeightsError(
            f"{path} is {refusal}. If you trust its origin, open it there and save the tensors alone: "
            "torch.save(model.state_dict(), 'weights.pth')"
        ) from None
    except Exception as error:  # damaged bytes make the reader fail in ways that no list of exceptions covers
        raise _damaged(path, error) from None


class CodeInFileError(Exception):
    """A torch file that reads as whole holds more than tensors and plain values; the text says so of it."""

    def __init__(self, wanted: str = "") -> None:
        needs = f" (it asks for {wanted})" if wanted else ""
        super().__init__(
            f"more than tensors: loading it would run code from the file{needs}, so it was refused and nothing was run"
        )


def load_data(path: Path) -> Any:
    """What a torch file holds, on the CPU: tensors and plain values, and nothing else.

    Raises CodeInFileError where there is more; whatever torch raises where the file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            # such files are refused below, in plain words
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            warnings.filterwarnings("ignore", ".*looks like a TorchScript archive")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        message = str(error)
        wanted = re.search(r"GLOBAL (\S+)", message) or re.search(r"whose module (\S+) is blocked", message)
        if wanted is None and not ("Unsupported" in message and _is_whole(path)):
            raise
        raise CodeInFileError(wanted.group(1) if wanted else "") from None
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise CodeInFileError("TorchScript") from None
        raise


def _is_whole(path: Path) -> bool:
    """Whether a pickle, or an archive with one, is complete: then what the reader misliked is its content."""
    if zipfile.is_zipfile(path):
        return True
    try:
        with path.open("rb") as file:
            for _ in pickletools.genops(file):  # takes the instructions apart and runs none of them
                pass
    except Exception:  # as in _read_torch: there is no list of what damaged bytes lead to
        return False
    return True


def _lacks_plain_values(tensor: Tensor) -> bool:
    return tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized


def _unwrap(content: Any) -> tuple[dict[str, Tensor], str]:
    """The tensors by name within nested dictionaries, and the keys that lead to them, joined by dots."""
    if not isinstance(content, Mapping):
        return {}, ""
    nested = {str(key): value for key, value in content.items() if isinstance(value, Mapping)}
    for key in (key for key in _WRAPPERS if key in nested):
        state, part = _unwrap(nested[key])
        if state:
            return state, f"{key}.{part}" if part else key
    own = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if own:
        return own, ""
    found = {key: _unwrap(value) for key, value in nested.items()}
    if not found:
        return {}, ""
    key = max(found, key=lambda key: sum(tensor.numel() for tensor in found[key][0].values()))
    state, part = found[key]
    return state, f"{key}.{part}" if part else key


def _what_it_is(start: bytes) -> str:
    """What files that are often mistaken for weights begin with."""
    text = start.lstrip().lower()
    if not start:
        return " (it is empty)"
    if text.startswith(b"version https:/"):
        return " (it is a Git LFS pointer: fetch the real file with git lfs pull)"
    if text.startswith((b"<!doctype", b"<html")):
        return " (it is a web page: the download went wrong)"
    return ""


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return WeightsError(f"{path} is damaged or cut short ({reason.strip()[:200]}); copy or download it again")
