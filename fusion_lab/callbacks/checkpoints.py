"""Checkpoints that a run can go on from."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from fusion_lab.callbacks.lightning_internals import count_validation, save_if_due, validation_follows
from fusion_lab.errors import FusionLabError
from fusion_lab.modules import FusionModule


class Checkpoints(ModelCheckpoint):
    """`ModelCheckpoint` whose ``last.ckpt`` is the last step, with all that resuming needs.

    The original leaves ``last.ckpt`` at the last regular checkpoint or, where there was none, writes it after
    training, when `MovingAverage` has put the averaged weights in place of the current ones. Where validation
    follows a step, its checkpoint is written after it: Lightning would leave it out in a run that is resumed between.

    Args:
        args: As for `ModelCheckpoint`.
        keep: How many regular checkpoints are kept, the newest ones; all of them if 0.
        kwargs: As for `ModelCheckpoint`.
    """

    def __init__(self, *args: Any, keep: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keep = keep
        self._kept: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the pairs of validation be counted, as `validation_follows` needs; Lightning does so at its first one."""
        super().on_train_start(trainer, pl_module)
        count_validation(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, and after the last batch."""
        if not validation_follows(trainer):
            self._save(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what was due before validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where the end of the epoch stops the run, as `EarlyStopping` does; what was due has been saved."""
        if trainer.should_stop:
            self._save_last(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save nothing: the weights may have been replaced by now."""

    def state_dict(self) -> dict[str, Any]:
        """Add which checkpoints are kept, the one that is being written included."""
        return {**super().state_dict(), "kept": self._with_newest()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on keeping them."""
        super().load_state_dict(state_dict)
        self._kept = list(state_dict.get("kept", []))

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        save_if_due(self, trainer, pl_module)
        is_last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.should_stop or trainer.global_step == trainer.max_steps or (trainer.is_last_batch and is_last_epoch):
            self._save_last(trainer)
        self._kept = self._with_newest()
        while self.keep and len(self._kept) > self.keep:
            oldest = self._kept.pop(0)
            if Path(oldest).parent == Path(cast(str, self.dirpath)):
                trainer.strategy.remove_checkpoint(oldest)

    def _with_newest(self) -> list[str]:
        # Without a metric, what is called the best is the newest.
        newest = self.best_model_path
        return [*self._kept, newest] if newest and newest not in self._kept else list(self._kept)

    def _save_last(self, trainer: Trainer) -> None:
        if self.save_last and self.dirpath and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(Path(self.dirpath) / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}")


class BestCheckpoint(ModelCheckpoint):
    """Keep ``best.ckpt``, the checkpoint with the best value of a loss or score of validation so far.

    Whether a lower or a higher value is better, the metric itself knows. A run that validates nothing keeps none.

    Args:
        dirpath: Where the file goes.
        metric: What is compared: ``val/loss``, ``val/TASK/loss`` or ``val/TASK/LABEL``, such as ``val/ivf/Qabf``.
    """

    def __init__(self, dirpath: Path | str, metric: str = "val/loss") -> None:
        super().__init__(
            dirpath, "best", monitor=metric, mode="min", save_on_train_epoch_end=False, enable_version_counter=False
        )
        self.metric = metric

    @property
    def state_key(self) -> str:
        """Not by the mode as in the original: it is known only after the state has been restored."""
        return f"{type(self).__qualname__}{ {'monitor': self.monitor}!r}"

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out what is better.

        Raises:
            FusionLabError: Validation has no such metric.
        """
        higher = {f"val/{task}/loss": False for task in cast(FusionModule, pl_module).objectives} | {"val/loss": False}
        for task, metrics in cast(FusionModule, pl_module).metrics.items():
            higher |= {f"val/{task}/{label}": bool(one.higher_is_better) for label, one in metrics.items()}  # type: ignore[operator]
        if self.metric not in higher:
            raise FusionLabError(
                f"There is no `{self.metric}` by which the best checkpoint could be kept: choose one of "
                f"{', '.join(sorted(higher))}."
            )
        if higher[self.metric]:
            self.mode = "max"
            self.kth_value = self.kth_value if self.best_k_models else torch.tensor(-torch.inf)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the checkpoint if it is the best."""
        if self.metric in trainer.callback_metrics:
            super().on_validation_end(trainer, pl_module)
        elif trainer.state.fn == "fit" and not trainer.sanity_checking:
            rank_zero_warn(f"Validation does not give `{self.metric}`, by which the best checkpoint would be kept.")
