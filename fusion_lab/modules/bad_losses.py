"""What happens to a batch whose loss is infinite or undefined."""

from collections.abc import Mapping
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path
from fusion_lab.types import Batch

FOLDER = "bad_batches"
_SHOWN = 3


class BadLosses:
    """Ends the run at a batch with a bad loss, or leaves it out of its optimizer step.

    Args:
        skip: Leave such batches out.

    Attributes:
        whole_step: Whether all batches of the step, so far, were left out.
    """

    def __init__(self, skip: bool) -> None:
        self.skip = skip
        self.whole_step = False

    def leave_out(self, losses: Mapping[str, Tensor], batch: Batch, trainer: Trainer, batch_idx: int) -> bool:
        """Tell whether a batch is to be left out, with a warning.

        It is kept in ``bad_batches/step=000012-rank=0.pt`` below the folder of the run, for ``torch.load``.

        Args:
            losses: The loss of each task, a scalar, the same on all ranks, which so decide alike.
            batch: What they are of.
            trainer: Of the run.
            batch_idx: The number of the batch.

        Raises:
            FusionLabError: A loss is bad, and no batch may be left out.
        """
        bad = not torch.stack([loss.detach() for loss in losses.values()]).isfinite().all()
        begins = batch_idx % trainer.accumulate_grad_batches == 0
        if bad:
            what = _kept(losses, batch, trainer)
            if not self.skip:
                raise FusionLabError(
                    f"{what}: lower the step of the optimizer, clip gradients, or set "
                    "`model.init_args.skip_bad_losses`."
                )
            rank_zero_warn(f"{what}, and is left out.")
        self.whole_step = bad and (self.whole_step or begins)
        return bad


def _kept(losses: Mapping[str, Tensor], batch: Batch, trainer: Trainer) -> str:
    """Keep a batch in a file and say what is wrong with it."""
    file = Path(trainer.default_root_dir) / FOLDER / f"step={trainer.global_step:06d}-rank={trainer.global_rank}.pt"
    with atomic_path(file) as temporary:
        torch.save(dict(batch), temporary)
    bad = {task: loss.item() for task, loss in losses.items() if not loss.isfinite()}
    told = "; ".join(
        f"'{task}' is {value} for {', '.join(batch[task]['file_a'][:_SHOWN])}"
        f"{', ...' if len(batch[task]['file_a']) > _SHOWN else ''}"
        for task, value in bad.items()
    )
    return f"At step {trainer.global_step} the loss of {told}; the batch is in {file}"
