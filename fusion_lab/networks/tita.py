"""TITA: task-invariant interaction and task-specific adaptation (Hu et al., ICCV 2025)."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fusion_lab.networks.attention.ipa import IPA
from fusion_lab.networks.attention.pixel import PixelAttention
from fusion_lab.networks.attention.window import WindowAttention
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.layers.drop_path import DropPath
from fusion_lab.networks.layers.linear import multi_layer_perceptron
from fusion_lab.networks.layers.padding import pad_to_multiple
from fusion_lab.networks.layers.swin import SelfBlock
from fusion_lab.networks.operations.adaptive_fusion import AdaptiveFusion
from fusion_lab.networks.operations.addition import Addition
from fusion_lab.networks.operations.base import Operation
from fusion_lab.networks.operations.high_pass import HighPass
from fusion_lab.networks.operations.multiplication import Multiplication


class SelfStage(nn.Module):
    """A row of self blocks with alternating shift, closed by a LayerNorm."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        mlp_ratio: float,
        drop_path: Sequence[float],
        recompute: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                SelfBlock(dim, num_heads, window_size, window_size // 2 * (i % 2), mlp_ratio, rate)
                for i, rate in enumerate(drop_path)
            ]
        )
        self.norm = nn.LayerNorm(dim)
        self.recompute = recompute

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, H, W, C)`` to ``(B, H, W, C)``."""
        for block in self.blocks:
            x = run_block(block, x, recompute=self.recompute)
        return self.norm(x)


class CrossBlock(nn.Module):
    """Inter-domain fusion: each stream attends to the other in windows, then pixel by pixel, then an MLP.

    ``x + DropPath(x'')`` with ``x', y' = window cross-attention(LN(x), LN(y))`` and ``x'', y'' = pixel attention(x',
    y')``: the pixel attention stands before the residual.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        shift: int,
        mlp_ratio: float,
        drop_path: float,
        pixel_attention: type[PixelAttention],
    ) -> None:
        super().__init__()

        def pair(make: Callable[[], nn.Module]) -> nn.ModuleList:
            return nn.ModuleList([make(), make()])

        self.norm1 = pair(lambda: nn.LayerNorm(dim))
        self.attention = pair(lambda: WindowAttention(dim, num_heads, window_size, shift))
        self.pixel_attention = pixel_attention(dim, num_heads)
        self.norm2 = pair(lambda: nn.LayerNorm(dim))
        self.mlp = pair(lambda: multi_layer_perceptron(dim, int(dim * mlp_ratio), dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map the streams ``x`` and ``y``, ``(B, H, W, C)`` each, to a new pair."""
        normed_x, normed_y = self.norm1[0](x), self.norm1[1](y)
        from_x = self.attention[0](normed_x, normed_y)
        from_y = self.attention[1](normed_y, normed_x)
        from_x, from_y = self.pixel_attention(from_x, from_y)
        x = x + self.drop_path(from_x)
        y = y + self.drop_path(from_y)
        x = x + self.drop_path(self.mlp[0](self.norm2[0](x)))
        y = y + self.drop_path(self.mlp[1](self.norm2[1](y)))
        return x, y


class InteractionStage(nn.Module):
    """Task-invariant interaction: a row of cross blocks with alternating shift, closed by a LayerNorm a stream."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        mlp_ratio: float,
        drop_path: Sequence[float],
        recompute: bool,
        pixel_attention: type[PixelAttention],
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.blocks = nn.ModuleList(
            [
                CrossBlock(dim, num_heads, window_size, window_size // 2 * (i % 2), mlp_ratio, rate, pixel_attention)
                for i, rate in enumerate(drop_path)
            ]
        )
        self.norm_a = nn.LayerNorm(dim)
        self.norm_b = nn.LayerNorm(dim)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map the streams ``x`` and ``y``, ``(B, H, W, C)`` each, to a new pair."""
        for block in self.blocks:
            x, y = run_block(block, x, y, recompute=self.recompute)
        return self.norm_a(x), self.norm_b(y)


def run_block(block: nn.Module, *streams: Tensor, recompute: bool) -> Any:
    """Call a block, with its activations dropped and computed again in the backward pass if so wished."""
    if recompute and torch.is_grad_enabled():
        return checkpoint(block, *streams, use_reentrant=False)
    return block(*streams)


class TITA(FusionNetwork):
    """The unified fusion network of TITA; the defaults are the official network.

    Shallow convolutions and a LayerNorm that both sources share, self-attention of its own for each source, cross
    blocks with IPA, OAF, self-attention and convolutions back to an image. Sides that are no multiples of the window
    are mirrored up and cropped back. The output has no activation and no skip from the sources.

    1,378,435 parameters. The official checkpoints hold 8,430 more that their code never uses, which makes the
    1.39 M of the paper.

    Args:
        embed_dim: Channels C of all features.
        num_heads: Heads of every attention.
        window_size: Side of the attention windows in pixels.
        num_extraction_blocks: Self blocks for each source.
        num_interaction_blocks: Cross blocks.
        num_reconstruction_blocks: Self blocks after the fusion.
        mlp_ratio: Hidden width of the MLPs in units of ``embed_dim``.
        drop_path: Stochastic depth of the last block of a stage; it grows linearly from 0.
        pixel_attention: The pixel attention inside the cross blocks.
        operations: The operation branches of OAF.
        recompute: Compute the activations inside the blocks again in the backward pass instead of keeping them:
            about half the memory for about a third more time, and the same gradients.
    """

    test_padding: ClassVar[int] = 8

    def __init__(
        self,
        embed_dim: int = 60,
        num_heads: int = 6,
        window_size: int = 8,
        num_extraction_blocks: int = 4,
        num_interaction_blocks: int = 8,
        num_reconstruction_blocks: int = 4,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
        pixel_attention: type[PixelAttention] = IPA,
        operations: Sequence[type[Operation]] = (HighPass, Addition, Multiplication),
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"`embed_dim` should be a multiple of `num_heads`. Found {embed_dim} and {num_heads}.")
        self.window_size = window_size
        # Measured with the official width; features and attention maps grow with it.
        self.bytes_per_pixel = 14_500 * max(embed_dim, 60) // 60

        def rates(num_blocks: int) -> list[float]:
            return torch.linspace(0, drop_path, num_blocks, dtype=torch.float64).tolist()

        def self_stage(num_blocks: int) -> SelfStage:
            return SelfStage(embed_dim, num_heads, window_size, mlp_ratio, rates(num_blocks), recompute)

        half, quarter = embed_dim // 2, embed_dim // 4
        self.shallow = nn.Sequential(
            nn.Conv2d(1, half, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, embed_dim, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.embed_norm = nn.LayerNorm(embed_dim)
        self.extraction_a = self_stage(num_extraction_blocks)
        self.extraction_b = self_stage(num_extraction_blocks)
        self.interaction = InteractionStage(
            embed_dim, num_heads, window_size, mlp_ratio, rates(num_interaction_blocks), recompute, pixel_attention
        )
        self.adaptation = AdaptiveFusion(embed_dim, operations)
        self.reconstruction = self_stage(num_reconstruction_blocks)
        self.head = nn.Sequential(
            nn.Conv2d(embed_dim, half, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, 1, 3, padding=1),
        )

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` to ``(B, 1, H, W)``; H and W are 8 or more."""
        height, width = source_a.shape[-2:]
        x = self.extraction_a(self._embed(source_a))
        y = self.extraction_b(self._embed(source_b))
        x, y = self.interaction(self.embed_norm(x), self.embed_norm(y))
        fused = self.adaptation(x.permute(0, 3, 1, 2), y.permute(0, 3, 1, 2))
        fused = self.reconstruction(self.embed_norm(fused.permute(0, 2, 3, 1)))
        return self.head(fused.permute(0, 3, 1, 2))[..., :height, :width]

    def _embed(self, source: Tensor) -> Tensor:
        """Turn a source ``(B, 1, H, W)`` into features ``(B, H', W', C)`` with sides of whole windows."""
        features = self.shallow(pad_to_multiple(source, self.window_size))
        return self.embed_norm(features.permute(0, 2, 3, 1))
