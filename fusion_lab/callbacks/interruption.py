"""Stopping a run by Ctrl-C, or by the signals of a cluster, without losing it."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_only
from torch import distributed

from fusion_lab.callbacks.lightning_internals import amid_step, validation_follows
from fusion_lab.errors import REQUEUE

_PREEMPTION = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class StopBetweenBatches(Checkpoint):
    """Let Ctrl-C finish the running step, write ``interrupted.ckpt`` and stop; a second Ctrl-C stops at once.

    SIGTERM and SIGUSR1, by which clusters tell that they need the machine, do the same and end the process with the
    code `REQUEUE`; so does SIGUSR2 where somebody listens to it. Whoever listened to such a signal before training, as
    submitit does to requeue its jobs, is called once the checkpoint is written.

    Under gradient accumulation a step is several batches: the gradients in between are in no checkpoint. Lightning
    calls it after all that write no checkpoints; name it after those that do, so that nothing of a step is left out.

    Args:
        folder: Where the checkpoint goes.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._asked: int | None = None
        self._interrupted = False
        self._step = 0
        self._listeners: dict[int, Any] = {}
        self._listening = False
        self._hosts: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note who listens to signals already; Lightning itself begins to listen after this."""
        self._listeners = {number: signal.getsignal(number) for number in (signal.SIGINT, *_PREEMPTION)}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to signals."""
        self._asked, self._interrupted = None, False
        if trainer.world_size > 1 and self._hosts is None:
            # Between the hosts: a collective on the devices would make each step wait for its end.
            self._hosts = distributed.new_group(backend="gloo")
        if threading.current_thread() is not threading.main_thread():
            # Python hears signals in no other.
            return
        for number in (signal.SIGINT, *_PREEMPTION):
            if number != signal.SIGUSR2 or callable(self._listeners.get(number)):
                signal.signal(number, self._ask)
        self._listening = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note where the batch began."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if any rank was asked to, after validation where it comes next."""
        asked = self._anybody(self._asked is not None)
        if asked and trainer.global_step > self._step and not validation_follows(trainer):
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if any rank was asked to, unless the step is not done."""
        if self._listening and not amid_step(trainer) and self._anybody(self._asked is not None):
            self._stop(trainer)

    def _anybody(self, asked: bool) -> bool:
        """Ask all ranks: they stop together, or one would wait for the others forever."""
        if self._hosts is None:
            return asked
        answers = torch.tensor(asked)
        distributed.all_reduce(answers, distributed.ReduceOp.MAX, self._hosts)
        return bool(answers)

    def _stop(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / "interrupted.ckpt")
        if self._anybody(self._asked == signal.SIGINT):
            raise KeyboardInterrupt
        self._restore()
        if self._asked is not None and callable(self._listeners[self._asked]):
            signal.raise_signal(self._asked)
        # Launchers end all processes when one ends with an error: only the first one may tell.
        raise SystemExit(REQUEUE if trainer.is_global_zero else 0)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen no more."""
        self._restore()
        self._hosts = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Listen no more."""
        self._restore()

    def _restore(self) -> None:
        if self._listening:
            # Not what was there when training started: Lightning's own listeners, which have gone by now.
            for number, handler in self._listeners.items():
                # None is a listener that Python does not know.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._listening = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._interrupted:
            raise KeyboardInterrupt
        self._interrupted |= number == signal.SIGINT
        # A request to make room stays one: W&B stops a run by SIGTERM to the process and by SIGINT from inside it.
        if number != signal.SIGINT or self._asked is None:
            self._asked = number
        hint = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else f", asked by signal {number}"
        rank_zero_only(print)(f"\nStopping after this step{hint}.", flush=True)
