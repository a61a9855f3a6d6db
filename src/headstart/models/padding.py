"""Images of any size for networks that want multiples of their stride."""

from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(images_bchw: Tensor, multiple: int, minimum: int = 0) -> Tensor:
    """Images (B, C, H, W), grown below and to the right until both sides are multiples and at least ``minimum`` pixels.

    What is added mirrors the image where it is large enough for that, and repeats its last row and column where it is
    not. Pixels keep their places, so the first H rows and W columns of an output are those of the image.
    """
    height, width = images_bchw.shape[-2:]
    below, right = (padded_side(side, multiple, minimum) - side for side in (height, width))
    if not below and not right:
        return images_bchw
    mode = "reflect" if below < height and right < width else "replicate"
    return F.pad(images_bchw, (0, right, 0, below), mode=mode)


def padded_side(side: int, multiple: int, minimum: int = 0) -> int:
    """The smallest multiple that is at least ``side`` and ``minimum``, in pixels."""
    return -(-max(side, minimum) // multiple) * multiple
