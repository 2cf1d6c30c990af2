"""Which operations OAF chooses for which task, as training goes on."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fusion_lab.callbacks.pictures import show
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.operation_weights import OperationWeightsReader
from fusion_lab.modules import FusionModule
from fusion_lab.reporting.plots import SOURCES, TaskWeights, operation_bars
from fusion_lab.types import Batch


class OperationWeights(Callback):
    """Show the OAF weights of each task at every validation, the mean over all validation pairs.

    Logged as ``operation_weights/TASK/SOURCE/OPERATION``, such as ``operation_weights/ivf/a/HPF``, and drawn as bars
    with the deviation over the pairs as whiskers, ``FOLDER/step=000100.png``, given to loggers that take images too.
    They are read while validation fuses the pairs, which costs next to nothing; of a pair fused in tiles, it is the
    mean over the tiles. Outside validation nothing is read.

    Args:
        folder: Where the pictures go.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._reader: OperationWeightsReader | None = None
        self._sums = torch.zeros(0)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a network without OAF before anything starts."""
        OperationWeightsReader(cast(FusionModule, pl_module).network)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen, with nothing counted."""
        self._stop()
        module = cast(FusionModule, pl_module)
        self._reader = OperationWeightsReader(module.network).__enter__()
        # For each task: the count, the sum and the sum of squares of its pairs.
        shape = (len(module.metrics), 3, len(SOURCES), len(self._reader.operations))
        self._sums = torch.zeros(shape, dtype=torch.float64, device=module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the pairs of the batch."""
        assert self._reader is not None
        if not batch:
            # This rank has no pair.
            return
        if len(batch) != 1:
            raise FusionLabError(
                f"OperationWeights cannot tell the tasks of one validation batch apart ({', '.join(batch)}): give "
                "batches of one task each, as MultiTaskDataModule does."
            )
        weights = self._reader.take()
        if weights is not None:
            task = list(cast(FusionModule, pl_module).metrics).index(next(iter(batch)))
            self._sums[task] += torch.stack([torch.ones_like(weights), weights, weights**2]).sum(dim=1)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log and draw the means over all ranks, tasks in one order on each, whichever a rank has seen pairs of."""
        assert self._reader is not None
        operations = self._reader.operations
        self._stop()
        sums = cast(Tensor, trainer.strategy.reduce(self._sums, reduce_op="sum")).cpu()
        if trainer.sanity_checking:
            return
        rows = [
            _task_weights(task, *own) for task, own in zip(cast(FusionModule, pl_module).metrics, sums, strict=True)
            if own[0].any()
        ]  # fmt: skip
        for row in rows:
            mean = torch.as_tensor(row.mean, device=pl_module.device)
            pl_module.log_dict(
                {
                    f"operation_weights/{row.task}/{source}/{operation}": mean[i, j]
                    for i, source in enumerate(SOURCES)
                    for j, operation in enumerate(operations)
                },
                sync_dist=True,
            )
        if rows and trainer.is_global_zero:
            title = f"OAF weights of the validation pairs, step {trainer.global_step}"
            show(trainer, operation_bars(title, operations, rows), "operation_weights", self.folder)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen no more."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Listen no more."""
        self._stop()

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _task_weights(task: str, counts: Tensor, sums: Tensor, squares: Tensor) -> TaskWeights:
    mean = sums / counts
    deviation = (squares / counts - mean**2).clamp(min=0).sqrt()
    return TaskWeights(task, int(counts[0, 0].item()), mean.numpy(), deviation.numpy())
