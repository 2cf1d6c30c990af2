"""Swin blocks on maps with the channels last, ``(B, H, W, C)``."""

from torch import Tensor, nn

from fusion_lab.networks.attention.window import WindowAttention
from fusion_lab.networks.layers.drop_path import DropPath
from fusion_lab.networks.layers.linear import multi_layer_perceptron
from fusion_lab.networks.layers.strips import Part


class SelfBlock(nn.Module):
    """Window self-attention and an MLP, each behind a LayerNorm and with a residual.

    ``x + DropPath(attention(LN(x)))``, then ``x + DropPath(MLP(LN(x)))``.
    """

    def __init__(
        self, dim: int, num_heads: int, window_size: int, shift: int, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, num_heads, window_size, shift)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = multi_layer_perceptron(dim, int(dim * mlp_ratio), dim)
        self.drop_path = DropPath(drop_path)

    @property
    def windows(self) -> tuple[int, int]:
        """The side and the shift of the windows that a pixel sees."""
        return self.attention.window_size, self.attention.shift

    def forward(self, x: Tensor, part: Part | None = None) -> Tensor:
        """Map ``(B, H, W, C)`` to ``(B, H, W, C)``; H and W are multiples of the window. ``part``: see `run_block`."""
        normed = self.norm1(x)
        x = x + self.drop_path(self.attention(normed, normed, part))
        return x + self.drop_path(self.mlp(self.norm2(x)))
