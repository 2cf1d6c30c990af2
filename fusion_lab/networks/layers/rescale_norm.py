"""Normalisation that hands back what it took away."""

import torch
from torch import Tensor, nn

from fusion_lab.networks.layers.pooling import image_moments


class RescaleNorm(nn.Module):
    """RLN: normalise each sample over channels and pixels, and tell by what (Song et al., DehazeFormer, TIP 2023).

    With the mean and the deviation of a sample, the map becomes ``gain (x - mean) / deviation + offset``, channel by
    channel; ``rescale = A deviation + a`` and ``rebias = B mean + b`` let a block give its output the old scale.

    Args:
        dim: Channels C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, dim, 1, 1))
        self.offset = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.rescale = nn.Conv2d(1, dim, 1)
        self.rebias = nn.Conv2d(1, dim, 1)
        for layer, start in ((self.rescale, 1.0), (self.rebias, 0.0)):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.constant_(layer.bias, start)  # type: ignore[arg-type]

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the mean and the deviation of ``(B, C, H, W)``, ``(B, 1, 1, 1)`` each."""
        mean, variance = image_moments(x)
        return mean, (variance + 1e-5).sqrt()

    def as_factors(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Return what normalising multiplies a map by and then adds, ``(B, C, 1, 1)`` each."""
        scale = self.gain / deviation
        return scale, self.offset - mean * scale
