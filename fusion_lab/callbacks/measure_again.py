"""Measuring a batch again after the optimizer step, for weightings that learn from the difference."""

from typing import Any, cast

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from fusion_lab.modules import FusionModule, UpdatesWeighting
from fusion_lab.types import Batch


class MeasureAgain(UpdatesWeighting):
    """Give a weighting such as FAMO the task losses before and after each optimizer step.

    Under gradient accumulation the batches of one step are kept and measured together. The second pass runs in train
    mode and precision of the first, without gradients, on the bare module, so that no gradients are synchronised; the
    losses are averaged over all ranks. A weighting that does not learn this way costs nothing.
    """

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._before: list[dict[str, Tensor]] = []
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting from where training starts."""
        self._step = trainer.global_step
        self._batches, self._before = [], []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Update the weighting if the optimizer stepped."""
        module = cast(FusionModule, pl_module)
        if not module.weighting.measures_again:
            return
        self._batches.append(batch)
        self._before.append(outputs["task_losses"])
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        with torch.no_grad(), trainer.precision_plugin.train_step_context():
            after = [module.task_losses(one) for one in self._batches]
        numbers = module.weighting.update(_mean(trainer, self._before), _mean(trainer, after))
        module.log_dict({f"weighting/{name}": value for name, value in numbers.items()})
        self._batches, self._before = [], []


def _mean(trainer: Trainer, losses: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Average task losses over batches and ranks."""
    tasks = list(losses[0])
    table = torch.stack([torch.stack([one[task] for task in tasks]) for one in losses]).mean(dim=0)
    return dict(zip(tasks, trainer.strategy.reduce(table, reduce_op="mean"), strict=True))
