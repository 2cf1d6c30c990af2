"""What happens to a batch whose loss is infinite or undefined."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path
from fusion_lab.types import Batch

FOLDER = "bad_batches"
_SHOWN = 3


class Skips(Protocol):
    """A module that may leave out bad batches."""

    trainer: Trainer
    skip_bad_losses: bool


def refuse_batch(module: Skips, losses: Mapping[str, Tensor], batch: Batch) -> None:
    """Keep a batch in a file and say what is wrong with it: as a warning if it may be left out.

    The file is ``bad_batches/step=000012-rank=0.pt`` below the folder of the run, for ``torch.load``.

    Args:
        module: The module, in training.
        losses: The loss of each task, a scalar, some of them infinite or undefined.
        batch: What they are of.

    Raises:
        FusionLabError: Bad batches may not be left out.
    """
    trainer = module.trainer
    file = Path(trainer.default_root_dir) / FOLDER / f"step={trainer.global_step:06d}-rank={trainer.global_rank}.pt"
    with atomic_path(file) as temporary:
        torch.save(dict(batch), temporary)
    bad = {task: loss.item() for task, loss in losses.items() if not loss.isfinite()}
    told = "; ".join(
        f"'{task}' is {value} for {', '.join(batch[task]['file_a'][:_SHOWN])}"
        f"{', ...' if len(batch[task]['file_a']) > _SHOWN else ''}"
        for task, value in bad.items()
    )
    what = f"At step {trainer.global_step} the loss of {told}; the batch is in {file}"
    if not module.skip_bad_losses:
        raise FusionLabError(
            f"{what}: lower the step of the optimizer, clip gradients, or set `model.init_args.skip_bad_losses`."
        )
    rank_zero_warn(f"{what}, and is left out.")
