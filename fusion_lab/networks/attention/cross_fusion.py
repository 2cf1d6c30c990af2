"""The blocks of GIFNet's branches, in which one branch may ask with the other's queries."""

import torch
from torch import Tensor, nn

from fusion_lab.networks.attention.window import attention
from fusion_lab.networks.layers.linear import Pointwise, joint_linear
from fusion_lab.networks.layers.rescale_norm import RescaleNorm
from fusion_lab.networks.layers.strips import over_rows, over_windows
from fusion_lab.networks.layers.windows import join_heads, split_heads


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


class _Depthwise(nn.Conv2d):
    """A depthwise convolution, in float32 on a CPU: in bfloat16 its weights' gradient takes three times as long."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C, H, W)``."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


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
        self.depthwise = _Depthwise(dim, dim, 5, padding=2, groups=dim, padding_mode="reflect")
        self.projection = Pointwise(dim, dim)
        self.mlp = nn.Sequential(Pointwise(dim, 2 * dim), nn.ReLU(), Pointwise(2 * dim, dim))

    def forward(
        self,
        x: Tensor,
        bias: Tensor,
        queries: Tensor | None = None,
        local: Tensor | None = None,
        detach: bool = False,
        give_queries: bool = False,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Work on a map.

        Args:
            x: The map, ``(B, C, H, W)``.
            bias: The bias of the attention, ``(heads, N, N)``.
            queries: Queries of another branch, ``(B, C, H, W)``, to ask with instead of its own.
            local: Values of another branch, ``(B, C, H, W)``, for the depthwise convolution instead of its own.
            detach: Let no gradient pass through the attention and the depthwise convolution.
            give_queries: Return its own queries too, for another branch to ask with.

        Returns:
            The new map, its own queries, if asked for, and its own values, ``(B, C, H, W)`` each.
        """
        mean, deviation = self.norm.statistics(x)
        rescale, rebias = self.norm.rescale(deviation), self.norm.rebias(mean)
        scale, offset = self.norm.as_factors(mean, deviation)
        attended, values, own_queries = self._attend(x, scale, offset, bias, queries, give_queries)

        def finish(x: Tensor, attended: Tensor, local: Tensor) -> Tensor:
            mixed = self.projection(attended + self.depthwise(local))
            x = torch.addcmul(x + rebias, mixed.detach() if detach else mixed, rescale)
            return x + self.mlp(x)

        x = over_rows(finish, [x, attended, values if local is None else local], halo=2, into=attended)
        return x, own_queries, values

    def _attend(
        self, x: Tensor, scale: Tensor, offset: Tensor, bias: Tensor, queries: Tensor | None, give_queries: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Attend within a map ``(B, C, H, W)``; gives what was attended, values and own queries, each as large."""

        def attend(_: object, maps: list[Tensor]) -> list[Tensor]:
            normed = torch.addcmul(offset.permute(0, 2, 3, 1), maps[0], scale.permute(0, 2, 3, 1))
            asked, values = joint_linear(normed, self.query_key, self.value)
            own, keys = asked.chunk(2, dim=-1)
            asking = maps[1] if len(maps) > 1 else own
            query, key, value = (split_heads(each, self.window_size, self.num_heads) for each in (asking, keys, values))
            out = join_heads(attention(query, key, value, bias), self.window_size)
            return [out, values, own] if give_queries else [out, values]

        # What is local to a pixel does not mind the order: fewer channels are mirrored before it than after.
        streams = [each.permute(0, 2, 3, 1) for each in ([x] if queries is None else [x, queries])]
        found = over_windows(attend, streams, self.window_size, self.shift, overwrite=False, mirrored=True)
        attended, values, *own_queries = (each.permute(0, 3, 1, 2) for each in found)
        return attended, values, own_queries[0] if give_queries else None
