"""MUL."""

from typing import ClassVar

from torch import Tensor

from fusion_lab.networks.operations.base import Operation


class Multiplication(Operation):
    """MUL: ``X * generated operand``, element by element (TITA, OAF)."""

    label: ClassVar[str] = "MUL"
    halo: ClassVar[int | None] = 1

    def forward(self, x: Tensor, compressed: Tensor) -> Tensor:
        """Apply the operation to ``(B, C, H, W)``."""
        return x * self.generator(compressed)
