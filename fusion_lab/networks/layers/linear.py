"""Linear layers as vision transformers start them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def linear(in_dim: int, out_dim: int) -> nn.Linear:
    """Make a linear layer with weights from a truncated normal of deviation 0.02 and no bias at the start."""
    layer = nn.Linear(in_dim, out_dim)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def multi_layer_perceptron(in_dim: int, hidden_dim: int, out_dim: int) -> nn.Sequential:
    """Linear, GELU, linear on the last dimension."""
    return nn.Sequential(linear(in_dim, hidden_dim), nn.GELU(), linear(hidden_dim, out_dim))


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, as one product where the channels are last in memory: nothing is copied then.

    PyTorch has a slow convolution for one image and one thread.
    """

    def __init__(self, in_dim: int, out_dim: int, bias: bool = True) -> None:
        super().__init__(in_dim, out_dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H, W)``."""
        if not x.is_contiguous(memory_format=torch.channels_last) or x.requires_grad:
            return super().forward(x)
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def joint_linear(x: Tensor, *layers: nn.Linear | Pointwise) -> tuple[Tensor, ...]:
    """Apply several linear layers to the same ``(..., in)`` by one product; returns ``(..., out)`` of each."""
    weights = [layer.weight.flatten(1) for layer in layers]
    bias = torch.cat([layer.get_parameter("bias") for layer in layers])
    return F.linear(x, torch.cat(weights), bias).split([len(weight) for weight in weights], dim=-1)
