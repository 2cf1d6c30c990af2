"""An exponential moving average of the weights, on the device of the weights."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """Average the weights over training: ``average = decay average + (1 - decay) weights`` after each step.

    Validation, tests and checkpoints have the average, which begins with the weights after the first step; buffers are
    not averaged. Lightning's `EMAWeightAveraging` makes the average before the module moves to its device, so that each
    step copies every parameter to the CPU by itself; here it lies beside them, and all are averaged at once.

    Args:
        decay: What is left of the average after a step, in [0, 1).
    """

    def __init__(self, decay: float = 0.999) -> None:
        self._average = get_ema_multi_avg_fn(decay)
        super().__init__(use_buffers=False, multi_avg_fn=self._average)

    @property
    def state_key(self) -> str:
        """The name in checkpoints, that of Lightning's class, with which runs began before."""
        return "EMAWeightAveraging"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the average where the module will be."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the precision of the weights, which ``64-true`` changes after `setup`."""
        for average, current in zip(self._averaged.parameters(), pl_module.parameters(), strict=True):
            average.data = average.data.to(current.dtype)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average if the optimizer stepped."""
        if trainer.global_step <= self._latest_update_step:
            return
        average: list[Tensor] = list(self._averaged.parameters())
        current: list[Tensor] = list(pl_module.parameters())
        # `AveragedModel.update_parameters` asks the device how often it has been called.
        if self._latest_update_step == 0:
            torch._foreach_copy_(average, current)
        else:
            self._average(average, current, None)
        # What is learnt beside the weights, such as FAMO's logits, is no average.
        for kept, buffer in zip(self._averaged.buffers(), pl_module.buffers(), strict=True):
            kept.copy_(buffer)
        assert self._average_model is not None
        self._average_model.n_averaged += 1
        self._latest_update_step = trainer.global_step

    @property
    def _averaged(self) -> nn.Module:
        assert self._average_model is not None
        return self._average_model.module
