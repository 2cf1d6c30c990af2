"""Stopping a run by Ctrl-C without losing it."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only


class StopBetweenBatches(Callback):
    """Let Ctrl-C finish the running step, write ``interrupted.ckpt`` and stop; a second Ctrl-C stops at once.

    Under gradient accumulation a step is several batches: the gradients in between are in no checkpoint.

    Args:
        folder: Where the checkpoint goes.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._asked = False
        self._step = 0
        self._previous: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for Ctrl-C."""
        self._asked = False
        self._previous = signal.signal(signal.SIGINT, self._ask)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note where the batch began."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if any rank was asked to: all of them together, or one would wait for the others forever."""
        asked = trainer.strategy.reduce_boolean_decision(self._asked, all=False)
        if asked and trainer.global_step > self._step:
            trainer.save_checkpoint(self.folder / "interrupted.ckpt")
            raise KeyboardInterrupt

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen no more."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Listen no more."""
        self._restore()

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        rank_zero_only(print)("\nStopping after this step; press Ctrl-C again to stop at once.", flush=True)
