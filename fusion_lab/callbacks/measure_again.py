"""Measuring the losses again after the optimizer step, for weightings that learn from the difference."""

from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fusion_lab.modules import FusionModule
from fusion_lab.modules.accumulation import loss_scale
from fusion_lab.types import Batch
from fusion_lab.weighting.ranks import over_ranks

Losses = dict[str, Tensor]


class MeasureAgain(Callback):
    """Tell a weighting such as FAMO the task losses before and after each optimizer step.

    Under gradient accumulation the batches of one step are kept and measured together. The second pass runs in train
    mode and precision of the first, without gradients, on the bare module, so that no gradients are synchronised; the
    losses are averaged over all ranks. A step that the scaler of float16 leaves out, which Lightning counts, is none. A
    weighting that does not learn this way costs nothing; one that asks for the
    losses of the next batch (`LossWeighting.reuse_next_loss`) gets them, one step late.
    """

    _batches: list[Batch]
    _before: list[Losses]
    _last: Losses
    _step: int
    _scale: float

    def __init__(self) -> None:
        self._forget()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin with nothing measured; what a checkpoint knows comes afterwards."""
        self._forget()
        cast(FusionModule, pl_module).measured_again = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Measure no more."""
        cast(FusionModule, pl_module).measured_again = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting from where training starts."""
        self._step = trainer.global_step
        self._scale = loss_scale(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Update the weighting if the optimizer stepped."""
        module = cast(FusionModule, pl_module)
        if not module.weighting.measures_again:
            return
        # A batch may be left out for its losses.
        if outputs and outputs["task_losses"]:
            self._before.append(outputs["task_losses"])
            if not module.weighting.reuse_next_loss:
                self._batches.append(batch)
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        # The scaler lowers its scale exactly where it leaves a step out.
        scale, self._scale = self._scale, loss_scale(trainer)
        if self._scale < scale:
            self._batches, self._before = [], []
        if not self._before:
            return
        # These are means over ranks already.
        before = _mean(self._before)
        if module.weighting.reuse_next_loss:
            if self._last:
                self._update(module, self._last, before)
            self._last = before
        else:
            with torch.no_grad(), trainer.precision_plugin.train_step_context():
                after = [module.task_losses(one) for one in self._batches]
            self._update(module, before, over_ranks(_mean(after)))
        self._batches, self._before = [], []

    def state_dict(self) -> dict[str, Any]:
        """Return the losses that the next batch is compared with."""
        return {"last": self._last} if self._last else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare the next batch with those losses."""
        self._last = state_dict["last"]

    def _forget(self) -> None:
        self._batches, self._before, self._last, self._step, self._scale = [], [], {}, 0, 1.0

    def _update(self, module: FusionModule, before: Losses, after: Losses) -> None:
        """Tell the weighting about the tasks that were measured both times."""
        both = [task for task in before if task in after]
        if not both:
            return
        device = module.device
        numbers = module.weighting.update(
            {task: before[task].to(device) for task in both}, {task: after[task].to(device) for task in both}
        )
        module.log_dict({f"weighting/{name}": value for name, value in numbers.items()})


def _mean(losses: list[Losses]) -> Losses:
    """Average the losses of each task over the batches that have it."""
    tasks = dict.fromkeys(task for one in losses for task in one)
    return {task: torch.stack([one[task] for one in losses if task in one]).mean() for task in tasks}
