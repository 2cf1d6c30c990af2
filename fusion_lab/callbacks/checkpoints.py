"""Checkpoints that a run can go on from."""

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class Checkpoints(ModelCheckpoint):
    """`ModelCheckpoint` whose ``last.ckpt`` is the last step, with all that resuming needs.

    The original leaves ``last.ckpt`` at the last regular checkpoint or, where there was none, writes it after
    training, when `EMAWeightAveraging` has put the averaged weights in place of the current ones.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, and after the last batch."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        is_last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.should_stop or trainer.global_step == trainer.max_steps or (trainer.is_last_batch and is_last_epoch):
            self._save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where it is time, and where training stops early."""
        super().on_validation_end(trainer, pl_module)
        if trainer.should_stop:
            self._save_last(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save nothing: the weights may have been replaced by now."""

    def _save_last(self, trainer: Trainer) -> None:
        if self.save_last and self.dirpath:
            trainer.save_checkpoint(Path(self.dirpath) / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}")
