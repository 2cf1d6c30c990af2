"""IFCNN: a general image fusion framework based on a convolutional neural network (Zhang et al., 2020)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from fusion_lab.networks.base import ManySourceNetwork

Join = Literal["maximum", "sum", "mean"]

_JOINS: dict[str, Callable[[Tensor], Tensor]] = {
    "maximum": lambda maps: maps.amax(dim=0),
    "sum": lambda maps: maps.sum(dim=0),
    "mean": lambda maps: maps.mean(dim=0),
}
_LUMA = (0.299, 0.587, 0.114)


class ConvolutionBlock(nn.Module):
    """A 3x3 convolution of the map with its edge repeated, batch normalisation and ReLU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, padding_mode="replicate", bias=False)
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C, H, W)``."""
        return self.bn(self.conv(x)).relu()


class IFCNN(ManySourceNetwork):
    """IFCNN (Zhang et al., Information Fusion 54, 2020; repository uzeful/IFCNN).

    Convolutions that all sources share, a join of their features that has nothing to learn, and two convolutions back
    to an image of three channels. Any number of sources can be joined. Luminance is repeated to three channels, and
    the result becomes luminance by the weights of BT.601, as the official program does with grey tasks.

    The first layer is that of a ResNet-101 of ImageNet, which the authors do not train: it is the part ``features``.

    Args:
        join: How the features of the sources become one: ``maximum`` for multi-focus, infrared and medical pairs,
            ``mean`` for exposures; ``sum`` was released too.
        dim: Channels of all features.
    """

    bytes_per_pixel = 2_600

    def __init__(self, join: Join = "maximum", dim: int = 64) -> None:
        super().__init__()
        if join not in _JOINS:
            raise ValueError(f"`join` should be one of {', '.join(_JOINS)}. Found `join = {join}`.")
        self.join = join
        self.conv1 = nn.Conv2d(3, dim, 7, padding=3, padding_mode="replicate", bias=False)
        self.conv2 = ConvolutionBlock(dim)
        self.conv3 = ConvolutionBlock(dim)
        self.conv4 = nn.Conv2d(dim, 3, 1)

    def fuse_all(self, sources: Sequence[Tensor]) -> Tensor:
        """Fuse any number of sources ``(B, C, H, W)`` to one; C is 1 or 3."""
        grey = sources[0].shape[1] == 1
        images = torch.cat([source.expand(-1, 3, -1, -1) for source in sources])
        features = self.conv2(self.conv1(images)).unflatten(0, (len(sources), -1))
        fused = self.conv4(self.conv3(_JOINS[self.join](features)))
        if not grey:
            return fused
        return sum(weight * fused[:, channel : channel + 1] for channel, weight in enumerate(_LUMA))

    def parts(self) -> dict[str, nn.Module]:
        """Name what is before and after the join, and the first layer by itself."""
        return {
            "features": self.conv1,
            "extraction": self.conv2,
            "reconstruction": nn.ModuleList([self.conv3, self.conv4]),
        }
