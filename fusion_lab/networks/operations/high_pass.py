"""HPF."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.networks.operations.base import Operation


class HighPass(Operation):
    """HPF: ``X`` minus its low-pass by a 3x3 kernel of its own at every pixel (TITA, OAF, after FreqFusion).

    The kernel is a softmax over nine generated logits times the Hamming window ``outer([.08, 1, .08], [.08, 1, .08])``,
    normalised to sum 1; all channels of a pixel share it. Beyond the border the map is mirrored.
    """

    label: ClassVar[str] = "HPF"
    padding: ClassVar[str] = "reflect"
    halo: ClassVar[int | None] = 1

    hamming: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim, 9)
        taps = torch.tensor([0.08, 1.0, 0.08])
        self.register_buffer("hamming", torch.outer(taps, taps).view(1, 9, 1, 1), persistent=False)

    def kernels(self, compressed: Tensor) -> Tensor:
        """Return the low-pass kernels ``(B, 9, H, W)``, taps in row-major order."""
        kernels = self.generator(compressed).softmax(dim=1) * self.hamming
        return kernels / kernels.sum(dim=1, keepdim=True)

    def forward(self, x: Tensor, compressed: Tensor) -> Tensor:
        """Apply the operation to ``(B, C, H, W)``."""
        height, width = x.shape[-2:]
        kernels = self.kernels(compressed)
        padded = F.pad(x, (1, 1, 1, 1), mode=self.padding)
        low = torch.zeros_like(x)
        for tap in range(9):
            row, column = divmod(tap, 3)
            moved = padded[..., row : row + height, column : column + width]
            low = torch.addcmul(low, kernels[:, tap : tap + 1], moved)
        return x - low


class HighPassZeroPadded(HighPass):
    """HPF with zeros beyond the border: what the official code computes where mmcv's CUDA operator is installed."""

    parameter_name: ClassVar[str] = "HighPass"
    label: ClassVar[str] = "HPF"
    padding: ClassVar[str] = "constant"
    halo: ClassVar[int | None] = 1
