"""The blocks of GIFNet's branches, in which one branch may ask with the other's queries."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion_lab.networks.attention.window import attention
from fusion_lab.networks.layers.rescale_norm import RescaleNorm
from fusion_lab.networks.layers.windows import merge, partition


class OffsetBias(nn.Module):
    """Bias of window attention from an MLP on the relative offsets, ``sign(d) log(1 + |d|)`` in pixels.

    Args:
        num_heads: Heads.
        window_size: Side of a window in pixels.
    """

    offsets: Tensor

    def __init__(self, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, num_heads))
        side = torch.arange(window_size)
        places = torch.cartesian_prod(side, side).float()
        offsets = places[:, None] - places[None, :]
        self.register_buffer("offsets", offsets.sign() * offsets.abs().log1p(), persistent=False)

    def forward(self) -> Tensor:
        """Give the bias ``(heads, N, N)`` of every query (row) and key (column) of a window."""
        return self.mlp(self.offsets).permute(2, 0, 1)


class BranchBlock(nn.Module):
    """Window attention beside a depthwise convolution, and an MLP (after Song et al., DehazeFormer, TIP 2023).

    ``x + (projection(attention + depthwise(V)) rescale + rebias)`` on the normalised map, then ``x + MLP(x)``. Windows
    are shifted by padding with the mirrored map: nothing wraps around and nothing is masked.

    Args:
        dim: Channels C, a multiple of ``num_heads``.
        num_heads: Heads.
        window_size: Side of a window in pixels.
        shift: Pixels by which the windows are shifted; 0 for none.
    """

    def __init__(self, dim: int, num_heads: int, window_size: int, shift: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift = shift
        self.norm = RescaleNorm(dim)
        self.query_key = nn.Conv2d(dim, 2 * dim, 1)
        self.value = nn.Conv2d(dim, dim, 1)
        self.depthwise = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, padding_mode="reflect")
        self.projection = nn.Conv2d(dim, dim, 1)
        self.mlp = nn.Sequential(nn.Conv2d(dim, 2 * dim, 1), nn.ReLU(), nn.Conv2d(2 * dim, dim, 1))

    def forward(
        self,
        x: Tensor,
        bias: Tensor,
        queries: Tensor | None = None,
        local: Tensor | None = None,
        detach: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Work on a map.

        Args:
            x: The map, ``(B, C, H, W)``.
            bias: The bias of the attention, ``(heads, N, N)``.
            queries: Queries of another branch, ``(B, C, H, W)``, to ask with instead of its own.
            local: Values of another branch, ``(B, C, H, W)``, for the depthwise convolution instead of its own.
            detach: Let no gradient pass through the attention and the depthwise convolution.

        Returns:
            The new map, and its own queries and values, ``(B, C, H, W)`` each.
        """
        normed, rescale, rebias = self.norm(x)
        own_queries, keys = self.query_key(normed).chunk(2, dim=1)
        values = self.value(normed)
        attended = self._attend(own_queries if queries is None else queries, keys, values, bias)
        mixed = self.projection(attended + self.depthwise(values if local is None else local))
        x = x + ((mixed.detach() if detach else mixed) * rescale + rebias)
        return x + self.mlp(x), own_queries, values

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        height, width = values.shape[-2:]
        window, shift = self.window_size, self.shift
        # As many windows as the shifted map needs; where it ends with a window, it gets none beyond.
        bottom, right = ((-size - shift) % window for size in (height, width))
        padded = F.pad(torch.cat([queries, keys, values], dim=1), (shift, right, shift, bottom), mode="reflect")
        tall, wide = padded.shape[-2:]
        windows = partition(padded.permute(0, 2, 3, 1), window).unflatten(1, (tall // window, wide // window))
        heads = windows.mT.unflatten(-2, (3, self.num_heads, -1))
        out = attention(*heads.unbind(-4), bias)
        whole = merge(out.flatten(-3, -2).mT.flatten(1, 2), window, tall, wide).permute(0, 3, 1, 2)
        return whole[..., shift : shift + height, shift : shift + width]
