"""The interaction of two streams: blocks between the domains, blocks within each, and rows of both."""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Literal, cast

from torch import Tensor, nn

from fusion_lab.networks.attention.pixel import PixelAttention
from fusion_lab.networks.attention.window import WindowAttention, cross_attention
from fusion_lab.networks.layers.drop_path import DropPath, drop_path_rates
from fusion_lab.networks.layers.linear import multi_layer_perceptron
from fusion_lab.networks.layers.stage import normalise, run_block
from fusion_lab.networks.layers.strips import Part
from fusion_lab.networks.layers.swin import SelfBlock

Domain = Literal["inter", "intra"]


class InterBlock(nn.Module):
    """Inter-domain fusion: each stream attends to the other in windows, then pixel by pixel, then an MLP.

    ``x + DropPath(x'')`` with ``x', y' = window cross-attention(LN(x), LN(y))`` and ``x'', y'' = pixel attention(x',
    y')``: the pixel attention stands before the residual. Without one it is SwinFusion's block.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        shift: int,
        mlp_ratio: float,
        drop_path: float,
        pixel_attention: type[PixelAttention] | None,
    ) -> None:
        super().__init__()

        def pair(make: Callable[[], nn.Module]) -> nn.ModuleList:
            return nn.ModuleList([make(), make()])

        self.norm1 = pair(lambda: nn.LayerNorm(dim))
        self.attention = pair(lambda: WindowAttention(dim, num_heads, window_size, shift))
        self.pixel_attention = pixel_attention(dim, num_heads) if pixel_attention else None
        self.norm2 = pair(lambda: nn.LayerNorm(dim))
        self.mlp = pair(lambda: multi_layer_perceptron(dim, int(dim * mlp_ratio), dim))
        self.drop_path = DropPath(drop_path)

    @property
    def windows(self) -> tuple[int, int] | None:
        """The side and the shift of the windows that a pixel sees; None where its pixel attention sees more."""
        first = cast(WindowAttention, self.attention[0])
        local = self.pixel_attention is None or self.pixel_attention.local
        return (first.window_size, first.shift) if local else None

    def forward(self, x: Tensor, y: Tensor, part: Part | None = None) -> tuple[Tensor, Tensor]:
        """Map the streams ``x`` and ``y``, ``(B, H, W, C)`` each, to a new pair. ``part``: see `run_block`."""
        normed_x, normed_y = self.norm1[0](x), self.norm1[1](y)
        first, second = (cast(WindowAttention, attention) for attention in self.attention)
        from_x, from_y = cross_attention(first, second, normed_x, normed_y, part)
        if self.pixel_attention is not None:
            from_x, from_y = self.pixel_attention(from_x, from_y)
        x = x + self.drop_path(from_x)
        y = y + self.drop_path(from_y)
        x = x + self.drop_path(self.mlp[0](self.norm2[0](x)))
        y = y + self.drop_path(self.mlp[1](self.norm2[1](y)))
        return x, y


class IntraBlock(nn.Module):
    """Intra-domain fusion: a self block for each stream, as large as an `InterBlock` without pixel attention."""

    def __init__(
        self, dim: int, num_heads: int, window_size: int, shift: int, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            [SelfBlock(dim, num_heads, window_size, shift, mlp_ratio, drop_path) for _ in range(2)]
        )

    @property
    def windows(self) -> tuple[int, int]:
        """The side and the shift of the windows that a pixel sees."""
        return cast(SelfBlock, self.streams[0]).windows

    def forward(self, x: Tensor, y: Tensor, part: Part | None = None) -> tuple[Tensor, Tensor]:
        """Map the streams ``x`` and ``y``, ``(B, H, W, C)`` each, to a new pair. ``part``: see `run_block`."""
        return self.streams[0](x, part), self.streams[1](y, part)


class InteractionStage(nn.Module):
    """A row of inter- and intra-domain blocks with alternating shift, closed by a LayerNorm a stream.

    Args:
        dim: Channels C.
        num_heads: Heads of every attention.
        window_size: Side of the attention windows in pixels.
        mlp_ratio: Hidden width of the MLPs in units of ``dim``.
        num_blocks: Blocks of both kinds together; none leaves the streams to themselves.
        drop_path: Stochastic depth of the last block of each kind; it grows linearly from 0, kind by kind.
        arrangement: The kinds of the blocks, repeated to ``num_blocks``.
        pixel_attention: The pixel attention inside the inter-domain blocks.
        recompute: Compute activations again in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        mlp_ratio: float,
        num_blocks: int,
        drop_path: float,
        arrangement: Sequence[Domain],
        pixel_attention: type[PixelAttention] | None,
        recompute: bool,
    ) -> None:
        super().__init__()
        if not arrangement or set(arrangement) - {"inter", "intra"}:
            raise ValueError(f"`arrangement` should be a list of `inter` and `intra`. Found {list(arrangement)}.")
        if num_blocks < 0:
            raise ValueError(f"`num_interaction_blocks` should be at least 0. Found {num_blocks}.")
        self.recompute = recompute
        kinds = list(islice(cycle(arrangement), num_blocks))
        rates = {kind: iter(drop_path_rates(kinds.count(kind), drop_path)) for kind in ("inter", "intra")}
        self.blocks = nn.ModuleList()
        for i, kind in enumerate(kinds):
            common = (dim, num_heads, window_size, window_size // 2 * (i % 2), mlp_ratio, next(rates[kind]))
            self.blocks.append(InterBlock(*common, pixel_attention) if kind == "inter" else IntraBlock(*common))
        self.norm_a = nn.LayerNorm(dim)
        self.norm_b = nn.LayerNorm(dim)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map the streams ``x`` and ``y``, ``(B, H, W, C)`` each, to a new pair."""
        for block in self.blocks:
            x, y = run_block(block, x, y, recompute=self.recompute)
        return normalise(self.norm_a, x), normalise(self.norm_b, y)
