"""Stopping a run by Ctrl-C without losing it."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer


class StopBetweenBatches(Callback):
    """Let Ctrl-C finish the running batch, write ``interrupted.ckpt`` and stop; a second Ctrl-C stops at once.

    Args:
        folder: Where the checkpoint goes.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._asked = False
        self._previous: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for Ctrl-C."""
        self._asked = False
        self._previous = signal.signal(signal.SIGINT, self._ask)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if asked to."""
        if self._asked:
            trainer.save_checkpoint(self.folder / "interrupted.ckpt")
            raise KeyboardInterrupt

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen no more."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print("\nStopping after this batch; press Ctrl-C again to stop at once.", flush=True)
