"""Which tensor of a file is which of a backbone: prefixes, names of layers, shapes."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

_POSITIONS = ("pos_embed", "pos_embedding")


@dataclass(frozen=True)
class Match:
    """``sources`` maps a backbone's key to the file's; ``prefix`` is what stands before the names in the file."""

    prefix: str
    sources: dict[str, str]


def best_match(state: Mapping[str, Tensor], network: nn.Module) -> Match:
    """Find the prefix (``module.``, ``student.backbone.``, ... or none) under which most of the network is in the file.

    Any prefix is found, not only known ones: every key of the file that ends with a key of the network suggests one.
    The best fills the most parameters, counted by elements whose shapes fit. Among equals the online network goes
    before its moving average, but a teacher before its student, and the shorter prefix before the longer.
    """
    target = network.state_dict()
    parameters = {key for key, _ in network.named_parameters()}
    best, best_rank = Match("", {}), (0, 0, 0, 0)
    for names in ({key: key for key in target}, _sequential_names(target, network), _vgg_names(target)):
        for prefix in sorted(_prefixes(state, names)):
            sources = {key: prefix + name for name, key in names.items() if prefix + name in state}
            fitting = [key for key, name in sources.items() if fit(state[name], target[key], key) is not None]
            filled = sum(target[key].numel() for key in fitting if key in parameters)
            rank = (-filled, -len(fitting), _standing(prefix), len(prefix)) if filled else (0, -len(sources), 0, 0)
            if rank < best_rank:
                best, best_rank = Match(prefix, sources), rank
    return best


def fit(given: Tensor, wanted: Tensor, key: str) -> Tensor | None:
    """The given tensor in the shape of the wanted one, or None where the two don't fit.

    Besides equal shapes, three differences are bridged: dimensions of size one (a linear layer and a 1x1 convolution
    hold the same numbers in the same order); a linear layer on a flattened map, which is a convolution with a kernel of
    the map's size; and the grid of a vision transformer's position embedding, which is interpolated (bicubic). Anything
    else, such as a first convolution for another number of channels, does not fit.
    """
    if given.is_floating_point() != wanted.is_floating_point():
        return None
    if given.shape == wanted.shape:
        return given
    if [size for size in given.shape if size != 1] == [size for size in wanted.shape if size != 1]:
        return given.reshape(wanted.shape)
    if given.ndim == 2 and wanted.ndim == 4 and given.shape == wanted.flatten(1).shape:
        return given.reshape(wanted.shape)
    if key.rpartition(".")[2] in _POSITIONS and given.ndim == wanted.ndim == 3 and given.shape[2] == wanted.shape[2]:
        return _resize_positions(given, wanted)
    return None


def _resize_positions(given: Tensor, wanted: Tensor) -> Tensor | None:
    """Position embeddings (1, prefix tokens + side * side, channels) for another side."""
    for prefix_tokens in range(min(given.shape[1], wanted.shape[1])):
        sides = [math.isqrt(tensor.shape[1] - prefix_tokens) for tensor in (given, wanted)]
        squares = [tensor.shape[1] - prefix_tokens for tensor in (given, wanted)]
        if all(side * side == square for side, square in zip(sides, squares, strict=True)):
            resized: Tensor = resample_abs_pos_embed(given.float(), [sides[1]] * 2, [sides[0]] * 2, prefix_tokens)
            return resized
    return None


def _prefixes(state: Iterable[str], names: Mapping[str, str]) -> set[str]:
    """What stands before a name in any of the file's keys, either nothing or something that ends with a dot."""
    found = set()
    for key in state:
        start = 0
        while start >= 0:
            if key[start:] in names:
                found.add(key[:start])
            dot = key.find(".", start)
            start = dot + 1 if dot >= 0 else -1
    return found


def _sequential_names(target: Mapping[str, Tensor], network: nn.Module) -> dict[str, str]:
    """The network's keys as they are after ``nn.Sequential(*list(network.children())[:-1])``, as lightly's
    examples and others make it: the name of each top-level child becomes its place. Maps that name to the key.
    """
    places = {child: str(place) for place, (child, _) in enumerate(network.named_children())}
    names = {}
    for key in target:
        child, dot, rest = key.partition(".")
        if dot and child in places:
            names[f"{places[child]}.{rest}"] = key
    return names


def _vgg_names(target: Mapping[str, Tensor]) -> dict[str, str]:
    """The keys of timm's VGG as torchvision names them, whose classifier is made of linear layers; else nothing."""
    if "pre_logits.fc1.weight" not in target:
        return {}
    return {
        key.replace("pre_logits.fc1", "classifier.0").replace("pre_logits.fc2", "classifier.3"): key for key in target
    }


def _standing(prefix: str) -> int:
    """Order among prefixes that fit equally well; the smallest is taken."""
    if "teacher" in prefix:
        return 0
    averages_and_students = {"momentum", "target", "ema", "k", "student"}
    return 2 if averages_and_students & set(re.split(r"[._]", prefix)) else 1


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no floating-point tensor holds NaN or infinity."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())
