"""Stochastic depth."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a residual branch for whole samples while training (Huang et al., ECCV 2016).

    Each sample's branch is zeroed with probability ``rate``, the survivors are divided by ``1 - rate``; every call
    draws anew. In eval mode it is the identity.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` should lie in [0, 1). Found `rate = {rate}`.")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop samples of ``x`` ``(B, ...)``."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty(x.shape[0], *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * mask.div_(keep)


def drop_path_rates(num_blocks: int, last: float) -> list[float]:
    """Let stochastic depth grow linearly from 0 to ``last``."""
    return [last * i / max(num_blocks - 1, 1) for i in range(num_blocks)]
