"""Colours of many views at once: each operation takes one amount for each image of a batch.

Images are float32 (n, 3, H, W) with levels in [0, 255], amounts float32 (n, 1, 1, 1). The operations are torchvision's
(``torchvision.transforms.v2.functional``), without the rounding to whole levels that it does after each of them.

An image in a batch has the bits that it has alone, in every process: each step below rounds once (no fused
multiply-add, which a processor uses for some elements of a batch and not for others), and the only sum over pixels is
one of whole numbers.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import zip_longest

import torch
from torch import Tensor
from torch.nn import functional

Step = tuple[str, float]
"""The name of an operation and its amount."""

GREY = (0.2989, 0.587, 0.114)
"""What red, green and blue count in a grey value (ITU-R BT.601), in torchvision's digits."""
FINENESS = 256
"""Parts of a level to which grey values are rounded before they are summed."""
BLOCK_PIXELS = 65536
"""Pixels that a thread works on at once: more do not stay in a core's cache between two operations, and with fewer it
takes longer to share them out than to change them."""


def coloured(crops: Sequence[Tensor], steps: Sequence[Sequence[Step]]) -> list[Tensor]:
    """The uint8 (3, H, W) ``crops``, all of one size, after the ``steps`` of each: float32 (3, H, W) in [0, 255]; a
    crop without steps is the uint8 it was.
    """
    images = list(crops)
    for round_ in zip_longest(*steps):
        rows_of: dict[str, list[int]] = defaultdict(list)
        for row, step in enumerate(round_):
            if step is not None:
                rows_of[step[0]].append(row)
        for name, rows in rows_of.items():
            for block in blocks(rows, images[0]):
                levels = torch.stack([images[row] for row in block]).float()
                amounts = levels.new_tensor([round_[row][1] for row in block]).view(-1, 1, 1, 1)
                for row, image in zip(block, OPERATIONS[name](levels, amounts).unbind(), strict=True):
                    images[row] = image
    return images


def blocks(rows: Sequence[int], image: Tensor) -> list[Sequence[int]]:
    """``rows`` cut so that as many images of this size as belong to a part are worked on at once."""
    length = max(1, BLOCK_PIXELS * torch.get_num_threads() // image[0].numel())
    return [rows[start : start + length] for start in range(0, len(rows), length)]


def grey(images: Tensor) -> Tensor:
    """Grey values: float32 (n, 1, H, W) in [0, 255]."""
    red, green, blue = (images[:, c : c + 1] * share for c, share in enumerate(GREY))
    return red.add_(green).add_(blue)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Each level times the factor (0 black, 1 as it is)."""
    return (images * factors).clamp_(0, 255)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Away from the image's mean grey value, by the factor (0 flat, 1 as it is)."""
    whole = grey(images).mul_(FINENESS).round_().sum((1, 2, 3), dtype=torch.float64)
    mean = whole.div_(FINENESS * images[0, 0].numel()).to(images.dtype).view(-1, 1, 1, 1)
    return (images * factors).add_(mean * (1 - factors)).clamp_(0, 255)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Away from each pixel's grey value, by the factor (0 grey, 1 as it is)."""
    return (images * factors).add_(grey(images).mul_(1 - factors)).clamp_(0, 255)


def hue(images: Tensor, turns: Tensor) -> Tensor:
    """Hues turned by a share of the full circle, in [-0.5, 0.5]; brightest and darkest channel of a pixel stay.

    The hexagon of HSV (Smith, 1978). From red, the angle is (green + blue - red - least) / chroma + 1 sixths of the
    circle, towards green or towards blue, whichever is more. At an angle, green is full within a sixth of a third of
    the circle, gone a sixth further, and linear between; blue likewise of two thirds, and red of nought.
    """
    red, green, blue = images.unbind(1)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = torch.maximum(torch.maximum(red, green), blue).sub_(least)
    angle = (green + blue).sub_(red).sub_(least).div_(chroma.clamp(min=1e-6)).add_(1)  # grey pixels have chroma 0
    angle = torch.copysign(angle, green - blue).mul_(1 / 6).add_(turns[:, 0])
    angle.sub_(angle.floor()).unsqueeze_(1)
    centre, slope, offset = images.new_tensor([[1 / 2, 1 / 3, 2 / 3], [6, -6, -6], [-1, 2, 2]]).view(3, 1, 3, 1, 1)
    share = (angle - centre).abs_().mul_(slope).add_(offset).clamp_(0, 1)  # of red: by how far it is from cyan
    turned: Tensor = share.mul_(chroma.unsqueeze(1)).add_(least.unsqueeze(1))
    return turned


def blur_width(size: int) -> int:
    """Pixels of the Gaussian for an image of ``size``: a tenth of it and odd, as BYOL's 23 of 224."""
    return max(3, size // 10 | 1)


def blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Gaussian blur with the standard deviations ``sigmas`` (pixels), mirrored at the edges without repeating them."""
    reach = blur_width(images.shape[-1]) // 2
    weights = images.new_tensor([_gaussian(sigma, reach) for sigma in sigmas.flatten().tolist()])
    weights = weights.T.reshape(reach + 1, -1, 1, 1, 1)
    padded = functional.pad(images, (reach,) * 4, mode="reflect")
    return _along(_along(padded, weights, -1), weights, -2)


def _gaussian(sigma: float, reach: int) -> list[float]:
    """Weights from the middle outwards; by itself, as exp() of a tensor may depend on an element's place in it."""
    heights = [math.exp(-0.5 * (place / sigma) ** 2) for place in range(reach + 1)]
    total = heights[0] + 2 * sum(heights[1:])
    return [height / total for height in heights]


def _along(padded: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Weighted sum of each pixel and its neighbours along ``dim``, which gets shorter by the reach on both sides."""
    reach = len(weights) - 1
    length = padded.shape[dim] - 2 * reach
    out = padded.narrow(dim, reach, length) * weights[0]
    for place in range(1, reach + 1):
        pair = padded.narrow(dim, reach - place, length) + padded.narrow(dim, reach + place, length)
        out.add_(pair.mul_(weights[place]))
    return out


def solarise(images: Tensor, thresholds: Tensor) -> Tensor:
    """Levels from the threshold on inverted."""
    inverted = torch.ge(images, thresholds, out=torch.empty_like(images)).mul_(255)  # as floats: ten times as fast
    return inverted.neg_().add_(images).abs_()


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
    "blur": blur,
    "solarise": solarise,
}
