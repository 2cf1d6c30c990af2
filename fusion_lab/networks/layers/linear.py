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


def joint_linear(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Apply several linear layers to the same ``(..., in)`` by one product; gives ``(..., out)`` of each."""
    biases = [layer.bias for layer in layers]
    joint = F.linear(x, torch.cat([layer.weight for layer in layers]), torch.cat(biases))
    return joint.split([layer.out_features for layer in layers], dim=-1)
