"""The blocks of GIFNet's branches, in which one branch may ask with the other's queries."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion_lab.networks.attention.window import attention
from fusion_lab.networks.layers.linear import Pointwise
from fusion_lab.networks.layers.rescale_norm import RescaleNorm
from fusion_lab.networks.layers.strips import over_rows, over_windows
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
        """Return the bias ``(heads, N, N)`` of every query (row) and key (column) of a window."""
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
        self.query_key = Pointwise(dim, 2 * dim)
        self.value = Pointwise(dim, dim)
        self.depthwise = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, padding_mode="reflect")
        self.projection = Pointwise(dim, dim)
        self.mlp = nn.Sequential(Pointwise(dim, 2 * dim), nn.ReLU(), Pointwise(2 * dim, dim))

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
            The new map, the queries it was asked with, and its own values, ``(B, C, H, W)`` each.
        """
        mean, deviation = self.norm.statistics(x)
        rescale, rebias = self.norm.rescale(deviation), self.norm.rebias(mean)

        def ask(x: Tensor, *others: Tensor) -> Tensor:
            normed = self.norm.normalise(x, mean, deviation)
            own, keys = self.query_key(normed).chunk(2, dim=1)
            return torch.cat([*(others or [own]), keys, self.value(normed)], dim=1)

        asked = over_rows(ask, [x] if queries is None else [x, queries], halo=0)
        queries, _, values = asked.chunk(3, dim=1)
        attended = self._attend(asked, bias)

        def finish(x: Tensor, attended: Tensor, local: Tensor) -> Tensor:
            mixed = self.projection(attended + self.depthwise(local))
            x = x + ((mixed.detach() if detach else mixed) * rescale + rebias)
            return x + self.mlp(x)

        x = over_rows(finish, [x, attended, values if local is None else local], halo=2)
        return x, queries, values

    def _attend(self, asked: Tensor, bias: Tensor) -> Tensor:
        """Attend with queries, keys and values ``(B, 3 C, H, W)``; gives ``(B, C, H, W)``."""
        height, width = asked.shape[-2:]
        window, shift = self.window_size, self.shift
        # As many windows as the shifted map needs; where it ends with a window, it gets none beyond.
        bottom, right = ((size + shift + window - 1) // window * window - size - shift for size in (height, width))
        if shift or bottom or right:
            asked = F.pad(asked, (shift, right, shift, bottom), mode="reflect")

        def attend(_: object, maps: list[Tensor]) -> list[Tensor]:
            tall, wide = maps[0].shape[1:3]
            windows = partition(maps[0], window).unflatten(1, (tall // window, wide // window))
            queries, keys, values = windows.mT.unflatten(-2, (3, self.num_heads, -1)).unbind(-4)
            out = attention(queries, keys, values, bias).flatten(-3, -2).mT.flatten(1, 2)
            return [merge(out, window, tall, wide)]

        whole = over_windows(attend, [asked.permute(0, 2, 3, 1)], window, overwrite=False)[0].permute(0, 3, 1, 2)
        return whole[..., shift : shift + height, shift : shift + width]
