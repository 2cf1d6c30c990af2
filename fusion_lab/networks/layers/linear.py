"""Linear layers as vision transformers start them."""

from torch import nn


def linear(in_dim: int, out_dim: int) -> nn.Linear:
    """Make a linear layer with weights from a truncated normal of deviation 0.02 and no bias at the start."""
    layer = nn.Linear(in_dim, out_dim)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def multi_layer_perceptron(in_dim: int, hidden_dim: int, out_dim: int) -> nn.Sequential:
    """Linear, GELU, linear on the last dimension."""
    return nn.Sequential(linear(in_dim, hidden_dim), nn.GELU(), linear(hidden_dim, out_dim))
