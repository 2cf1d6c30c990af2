"""A row of self blocks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fusion_lab.networks.layers.swin import SelfBlock


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


def run_block(block: nn.Module, *streams: Tensor, recompute: bool) -> Any:
    """Call a block, with its activations dropped and computed again in the backward pass if so wished."""
    if recompute and torch.is_grad_enabled():
        return checkpoint(block, *streams, use_reentrant=False)
    return block(*streams)
