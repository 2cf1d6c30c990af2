"""How a run ends when it does not come to its end: in one sentence, and with all of its processes."""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from fusion_lab.errors import REQUEUE, FusionLabError, one_line
from fusion_lab.runs.mistakes import explain

_SCHEDULE_ENDED = re.compile(r"Tried to step \d+ times\. The specified number of total steps is (\d+)")


@contextmanager
def in_sentences(trainer: Trainer, checkpoint: Path | None) -> Iterator[None]:
    """Tell in one sentence what may go wrong while Lightning runs, and let no other process wait for this one.

    Args:
        trainer: The trainer.
        checkpoint: What it goes on from, if that is anything.

    Raises:
        FusionLabError: Something went wrong that has a sentence.
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: The run was asked to make room.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        # So Lightning ends after Ctrl-C; our own code is of a run that makes room.
        if error.code in (0, REQUEUE) or not trainer.interrupted:
            raise
        folder = Path(trainer.default_root_dir)
        if (folder / "checkpoints" / "interrupted.ckpt").is_file():
            print(f"\nThe same command with --ckpt_path last goes on from {folder}.")
        raise KeyboardInterrupt from None
    except Exception as error:
        _end_children(trainer)
        if sentence := _sentence(error, trainer, checkpoint):
            raise FusionLabError(sentence) from error
        raise
    finally:
        # After a Ctrl-C before the first step Lightning leaves it ignored.
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) == signal.SIG_IGN != before:
            signal.signal(signal.SIGINT, before or signal.default_int_handler)


def _end_children(trainer: Trainer) -> None:
    """End the processes that Lightning has started beside this one: NCCL would let them wait for it."""
    launcher: Any = trainer.strategy.launcher
    if trainer.is_global_zero and hasattr(launcher, "kill"):
        launcher.kill(signal.SIGKILL)


def _sentence(error: Exception, trainer: Trainer, checkpoint: Path | None) -> str | None:
    """Find the sentence for an error that is none of ours yet."""
    if isinstance(error, FusionLabError):
        return None
    if isinstance(error, MisconfigurationException):
        return explain(str(error), {}, {})
    reason = one_line(error)
    if "finished reduction in the prior iteration" in reason:
        return (
            "Some parameters have no part in the losses, and the processes wait for their gradients: set "
            "`trainer.strategy` to ddp_find_unused_parameters_true."
        )
    if "Connection closed by peer" in reason:
        return "Another process of the run has ended: what went wrong there is told above."
    if match := _SCHEDULE_ENDED.search(reason):
        return (
            f"The schedule of the optimizer has an end after {match[1]} steps and the run has more: set its "
            "`total_steps` to ${trainer.max_steps}."
        )
    # Before training reads data, it takes over the checkpoint.
    taking_over = trainer.state.fn == "fit" and trainer.train_dataloader is None
    if checkpoint is not None and (taking_over or "loading state_dict" in reason):
        return f"The checkpoint {checkpoint} does not fit the configuration: {reason}."
    return None
