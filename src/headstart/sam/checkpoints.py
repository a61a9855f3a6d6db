"""The checkpoints that have a short name: where each is published, how large it is, and its sum. No PyTorch.

Sizes and sums of SAM are of Meta's published files. The Hugging Face Hub answers a request for any of the others with
its SHA-256, which is then what the file is checked against; their sizes here are rounded, for messages only.
"""

from dataclasses import dataclass
from typing import Any

_META = "https://dl.fbaipublicfiles.com/segment_anything"
_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Checkpoint:
    """A published file.

    Attributes:
        url: where it is.
        megabytes: its size in units of 10**6 bytes.
        sha256: its sum in hexadecimal digits; empty where the server has to say it.
        hiera: of SAM 2.1, the settings of its encoder; of others none, their files tell.
    """

    url: str
    megabytes: int
    sha256: str = ""
    hiera: dict[str, Any] | None = None

    @property
    def file(self) -> str:
        """Name of the file on the server."""
        return self.url.rpartition("/")[2]


def _hiera(width: int, heads: int, blocks: list[int], whole: list[int], window: list[int], grid: int) -> dict[str, Any]:
    """Settings of ``Sam2HieraDetConfig``: channels, heads, blocks a stage, blocks with global attention, windows."""
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "blocks_per_stage": blocks,
        "embed_dim_per_stage": [width << n for n in range(4)],
        "num_attention_heads_per_stage": [heads << n for n in range(4)],
        "global_attention_blocks": whole,
        "window_size_per_stage": window,
        "window_positional_embedding_background_size": [grid, grid],
    }


def _sam2(name: str, megabytes: int, hiera: dict[str, Any]) -> Checkpoint:
    return Checkpoint(f"{_HUB}/facebook/sam2.1-hiera-{name}/resolve/main/model.safetensors", megabytes, hiera=hiera)


CHECKPOINTS = {
    "vit_b": Checkpoint(
        f"{_META}/sam_vit_b_01ec64.pth", 375, "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
    ),
    "vit_l": Checkpoint(
        f"{_META}/sam_vit_l_0b3195.pth", 1250, "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"
    ),
    "vit_h": Checkpoint(
        f"{_META}/sam_vit_h_4b8939.pth", 2565, "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"
    ),
    "hq_vit_b": Checkpoint(f"{_HUB}/lkeab/hq-sam/resolve/main/sam_hq_vit_b.pth", 379),
    "hq_vit_l": Checkpoint(f"{_HUB}/lkeab/hq-sam/resolve/main/sam_hq_vit_l.pth", 1250),
    "hq_vit_h": Checkpoint(f"{_HUB}/lkeab/hq-sam/resolve/main/sam_hq_vit_h.pth", 2570),
    "sam2.1_tiny": _sam2("tiny", 156, _hiera(96, 1, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7], 7)),
    "sam2.1_small": _sam2("small", 184, _hiera(96, 1, [1, 2, 11, 2], [7, 10, 13], [8, 4, 14, 7], 7)),
    "sam2.1_base_plus": _sam2("base-plus", 323, _hiera(112, 2, [2, 3, 16, 3], [12, 16, 20], [8, 4, 14, 7], 14)),
    "sam2.1_large": _sam2("large", 898, _hiera(144, 2, [2, 6, 36, 4], [23, 33, 43], [8, 4, 16, 8], 7)),
}
"""By short name, as ``--model`` takes it."""
