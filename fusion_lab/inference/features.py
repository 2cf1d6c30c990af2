"""What GIFNet's encoder and branches see in a pair of images."""

from typing import get_args

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.gifnet import BranchName, GIFNet

PARTS = ("encoder", *get_args(BranchName))
"""The parts whose features are looked at, as `GIFNet` names them."""


class _GIFNetFeatures(FusionNetwork):
    """Returns a map of the features of each of `PARTS` instead of the fused image.

    Args:
        network: What makes the features; this runs where it is.
    """

    def __init__(self, network: GIFNet) -> None:
        super().__init__()
        self.network = network
        self.bytes_per_pixel = network.bytes_per_pixel

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return the mean of the absolute features over the channels, ``(B, 3, H, W)``.

        The same pair feeds both branches, and each of them is the main one once.
        """
        features = self.network.encoder(source_a, source_b)
        mixed = [self.network.interact(features, features, task) for task in get_args(BranchName)]
        return torch.cat([each.abs().mean(1, keepdim=True) for each in (features, *mixed)], dim=1)


def feature_maps(
    network: FusionNetwork, source_a: Tensor, source_b: Tensor, memory_limit: float = 6.0
) -> dict[str, Tensor]:
    """Show what the parts of GIFNet make of a pair, in tiles where memory asks for it.

    As the paper shows features in its section 4.3; how it made one picture of many channels it does not say.

    Args:
        network: A `GIFNet`; it runs on its own device, in evaluation mode.
        source_a: Luminance of the first source, ``(1, 1, H, W)`` in [0, 1].
        source_b: Luminance of the second source, ``(1, 1, H, W)`` in [0, 1].
        memory_limit: The memory that the network may take, in GiB.

    Returns:
        The mean of the absolute features over the channels, ``(H, W)`` each, by the names in `PARTS`.

    Raises:
        FusionLabError: The network is no GIFNet, or the pair cannot be fused.
    """
    if not isinstance(network, GIFNet):
        raise FusionLabError(
            f"The network ({type(network).__name__}) has no shared encoder and no branches whose features could be "
            "shown: take a GIFNet."
        )
    maps = fuse_luminance(_GIFNetFeatures(network), source_a, source_b, memory_limit)
    return dict(zip(PARTS, maps[0], strict=True))
