"""ADD."""

from typing import ClassVar

from torch import Tensor

from fusion_lab.networks.operations.base import Operation


class Addition(Operation):
    """ADD: ``X + generated operand`` (TITA, OAF)."""

    label: ClassVar[str] = "ADD"
    halo: ClassVar[int | None] = 1

    def forward(self, x: Tensor, compressed: Tensor) -> Tensor:
        """Apply the operation to ``(B, C, H, W)``."""
        return x + self.generator(compressed)
