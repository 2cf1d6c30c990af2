"""Multi-head attention inside windows, of one map on itself or on another."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion_lab.networks.layers.linear import linear
from fusion_lab.networks.layers.windows import merge, partition, relative_position_index, shift_mask


class WindowAttention(nn.Module):
    """Attention of each token on the tokens of its own window, with a learnt relative position bias.

    ``softmax(Q K^T / sqrt(d) + bias + mask) V`` with Q from the query map and K, V from the other map; the same map
    twice makes it self-attention (Liu et al., ICCV 2021), two maps cross-attention (Ma et al., SwinFusion, 2022).

    Args:
        dim: Channels C, a multiple of ``num_heads``.
        num_heads: Heads.
        window_size: Side of a window in pixels.
        shift: Pixels by which the windows are shifted, cyclically; 0 for none.
    """

    index: Tensor

    def __init__(self, dim: int, num_heads: int, window_size: int, shift: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift = shift
        self.query = linear(dim, dim)
        self.key_value = linear(dim, 2 * dim)
        self.projection = linear(dim, dim)
        self.bias_table = nn.Parameter(torch.empty((2 * window_size - 1) ** 2, num_heads))
        self.register_buffer("index", relative_position_index(window_size), persistent=False)
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        """Attend from ``query`` ``(B, H, W, C)`` to ``other`` ``(B, H, W, C)``; H and W are multiples of the window."""
        height, width = query.shape[1:3]
        queries = self._heads(self.query(self._windows(query)))
        keys, values = self._heads(self.key_value(self._windows(other))).chunk(2, dim=2)

        bias = self.bias_table[self.index].permute(2, 0, 1)
        if self.shift:
            mask = shift_mask(height, width, self.window_size, self.shift, like=bias)
            bias = bias + mask[:, None]
        # FAMO compares a pass with gradients to one without: in training both take the same way to the same digits.
        attend = _attend if self.training or bias.requires_grad else _attend_fused
        out = attend(queries, keys, values, bias)

        windows = self.projection(out.transpose(2, 3).flatten(3))
        out = merge(windows, self.window_size, height, width)
        return out.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else out

    def _windows(self, x: Tensor) -> Tensor:
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        return partition(x, self.window_size)

    def _heads(self, x: Tensor) -> Tensor:
        """Split ``(B, windows, N, k C)`` into heads ``(B, windows, k heads, N, C / heads)``."""
        dim = self.projection.in_features // self.num_heads
        return x.unflatten(-1, (-1, dim)).transpose(2, 3)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Scaled dot-product attention of ``(B, windows, heads, N, d)`` with an additive bias.

    No fused kernel gives the bias a gradient: PyTorch's own fallback keeps three (N, N) maps, this keeps one.
    """
    logits = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)
    logits += bias
    return logits.softmax(dim=-1) @ values


def _attend_fused(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """The same by a fused kernel, without a gradient for the bias."""
    # The kernels take four dimensions: windows that share a bias join the batch, others the heads.
    first = 0 if bias.ndim == 3 else 1
    query, key, value = (x.flatten(first, first + 1) for x in (queries, keys, values))
    mask = bias.flatten(0, -3)[None]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).view_as(queries)
