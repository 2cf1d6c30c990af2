"""The precision of float32 products on a GPU."""

from typing import Literal

import torch
from lightning import Callback, LightningModule, Trainer


class MatmulPrecision(Callback):
    """Let products of float32 matrices round their factors while a run lasts (`torch.set_float32_matmul_precision`).

    Args:
        precision: ``highest`` is float32 throughout. ``high`` takes TensorFloat-32 on NVIDIA GPUs of 2020 and later,
            with 10 bits of fraction in place of 23. ``medium`` takes bfloat16, with 7. What runs in ``bf16-mixed`` or
            ``16-mixed`` stays as it is.
    """

    def __init__(self, precision: Literal["highest", "high", "medium"] = "high") -> None:
        self.precision = precision
        self._before = "highest"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set the precision."""
        self._before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.precision)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set it back."""
        torch.set_float32_matmul_precision(self._before)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Set it back."""
        torch.set_float32_matmul_precision(self._before)
