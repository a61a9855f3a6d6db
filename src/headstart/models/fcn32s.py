"""VGG16-FCN32s twice: as the seed report built it, faults included, and as the paper has it."""

from collections import OrderedDict

import timm
import torch
from torch import Tensor, nn

from headstart.models.padding import pad_to_multiple

STRIDE = 32
"""Pixels between two units behind VGG16's five poolings."""

SEED_SIDE = 512
"""Side in pixels of the only images for which ``Fcn32sSeed`` gives masks of the image's size."""

_VGG_CHANNELS = 512


def vgg16_features() -> nn.Sequential:
    """The convolutions of VGG16 with all five max-poolings: images (B, 3, H, W) -> (B, 512, H // 32, W // 32).

    They are timm's, so that weights of timm's ``vgg16`` and of torchvision's fit by name (``features.0.weight``, ...).
    """
    # mlp_ratio makes the classifier's hidden layer, which is thrown away here, one unit wide instead of 4096
    network = timm.create_model("vgg16", num_classes=0, mlp_ratio=1 / 4096)
    features = network.features
    assert isinstance(features, nn.Sequential)
    return features


class Fcn32sSeed(nn.Module):
    """The seed report's model A, layer for layer: a record, not a recommendation; ``Fcn32s`` is the corrected one.

    Two faults are part of it. The transposed convolution's kernel (44) is smaller than its stride (52), so of every 52
    rows and columns of the output the last 8 are reached by no weight: they are 0 for every class, whatever is
    learned. And the ReLU behind the last convolution cuts negative logits before they are laid out: a class can be
    argued for and never against, and a class whose logits are all negative gets no gradient. Besides, the 7x7
    convolution is not padded, so the outermost 3 of the 16 rows of VGG units on each side have no output unit of their
    own, and 10 units are spread over the whole side: unit i answers for rows around 52 i + 22 but looks at rows around
    32 i + 112, up to 90 rows off.
    """

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.features = vgg16_features()
        self.head = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(_VGG_CHANNELS, 1024, kernel_size=7),
                relu=nn.ReLU(),
                dropout=nn.Dropout2d(),
                score=nn.Conv2d(1024, n_outputs, kernel_size=1),
                score_relu=nn.ReLU(),
            )
        )
        self.upsample = nn.ConvTranspose2d(n_outputs, n_outputs, kernel_size=44, stride=52, bias=False)

    @property
    def encoder(self) -> nn.Module:
        """The part that a start fills: VGG16's convolutions."""
        return self.features

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Normalised RGB images (B, 3, 512, 512) -> logits (B, n_outputs, 512, 512).

        Other sides of at least 224 px give another size than the image's: 52 (side // 32 - 7) + 44.
        """
        logits: Tensor = self.upsample(self.head(self.features(images_bchw)))
        return logits


class Fcn32s(nn.Module):
    """FCN-32s of Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015).

    VGG16 with its classifier turned into convolutions (fc6: 7x7, fc7: 1x1), a 1x1 convolution to the classes that
    begins at zero, and one transposed convolution (kernel 64, stride 32) that interpolates bilinearly. As in the paper,
    this last upsampling stays as it begins: it is not trained.

    Alignment. The authors pad the image by 100 pixels, do not pad fc6, and crop the output 19 pixels from its corner.
    With that, score unit j looks at pixels around 32 j + 12.5 and is laid out around pixel 32 j + 31.5 - 19, the same
    place. Here it is fc6 that is padded, by 4 units of VGG's output, and not the image (by 100, that is 3.5 times the
    computing at 224 pixels): unit j looks at pixels around 32 j + 15.5, for j from -1 to one beyond the last whole
    unit, and the transposed convolution's padding of 48 lays it out around the same pixel. 3 units of padding would
    give one score unit for each unit of VGG; the fourth makes a ring around the image, so that each pixel lies between
    units and the interpolation weights sum to 1 up to the very edge, where the authors' fade to 0.6.

    Args:
        n_outputs: classes.
        hidden: channels of fc6 and fc7.
    """

    def __init__(self, n_outputs: int, hidden: int = 4096) -> None:
        super().__init__()
        self.features = vgg16_features()
        self.fc6 = nn.Conv2d(_VGG_CHANNELS, hidden, kernel_size=7, padding=4)
        self.fc7 = nn.Conv2d(hidden, hidden, kernel_size=1)
        self.dropout = nn.Dropout(0.5)
        self.score = nn.Conv2d(hidden, n_outputs, kernel_size=1)
        self.upscore = nn.ConvTranspose2d(n_outputs, n_outputs, 2 * STRIDE, stride=STRIDE, padding=48, bias=False)
        for layer in (self.fc6, self.fc7):  # as timm initialises VGG
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.score.weight)
        if self.score.bias is not None:
            nn.init.zeros_(self.score.bias)
        with torch.no_grad():
            self.upscore.weight.copy_(bilinear_kernel(n_outputs, STRIDE))
        self.upscore.weight.requires_grad_(False)

    @property
    def encoder(self) -> nn.Module:
        """The part that a start fills (fc6 and fc7 are filled too, where the weights have them)."""
        return self.features

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Normalised RGB images (B, 3, H, W) of any size -> logits (B, n_outputs, H, W)."""
        height, width = images_bchw.shape[-2:]
        units = self.features(pad_to_multiple(images_bchw, STRIDE))
        units = self.dropout(torch.relu(self.fc6(units)))
        units = self.dropout(torch.relu(self.fc7(units)))
        logits: Tensor = self.upscore(self.score(units))
        return logits[..., :height, :width]


def bilinear_kernel(channels: int, stride: int) -> Tensor:
    """Weight (channels, channels, 2 stride, 2 stride) of a transposed convolution that interpolates each channel alone.

    The kernel is a tent: along a row, 1 - |distance to the middle| / stride. Laid out every ``stride`` pixels, the
    tents sum to 1.
    """
    distances = (torch.arange(2 * stride, dtype=torch.float64) - (stride - 0.5)).abs()
    tent = 1 - distances / stride
    weight = torch.zeros(channels, channels, 2 * stride, 2 * stride, dtype=torch.float64)
    diagonal = torch.arange(channels)
    weight[diagonal, diagonal] = torch.outer(tent, tent)
    return weight.float()
