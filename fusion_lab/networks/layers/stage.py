"""A row of self blocks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fusion_lab.networks.layers.strips import Part, over_windows
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
        return normalise(self.norm, x)


def run_block(block: nn.Module, *streams: Tensor, recompute: bool) -> Any:
    """Call a block: over parts of the streams in strips, or with activations computed again in the backward pass.

    A block that is local to windows says so: ``windows`` holds their side and shift, and its forward pass takes the
    `Part` that it works on. Any other gets whole maps.
    """
    if recompute and torch.is_grad_enabled():
        return checkpoint(block, *streams, use_reentrant=False)
    windows = getattr(block, "windows", None)
    if windows is None:
        return block(*streams)

    def run(part: Part | None, parts: list[Tensor]) -> Sequence[Tensor]:
        new = block(*parts, part) if part else block(*parts)
        return new if isinstance(new, tuple) else (new,)

    new = over_windows(run, streams, *windows)
    return new[0] if len(new) == 1 else tuple(new)


def normalise(norm: nn.Module, x: Tensor) -> Tensor:
    """Normalise each pixel of ``(B, H, W, C)``; in strips, in place."""
    return over_windows(lambda _, parts: [norm(parts[0])], [x], window=1, shift=0)[0]
