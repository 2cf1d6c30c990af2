"""The same random numbers in each batch, whether a run was resumed or not."""

import torch
from lightning import Callback, LightningModule, Trainer


class RepeatableNoise(Callback):
    """Seed PyTorch before every training batch from the seed, the rank and the number of the batch.

    Stochastic depth then draws the same masks in a resumed run as in an uninterrupted one, with nothing to save.

    Args:
        seed: The seed of the run.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Seed the batch."""
        done = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        # Odd multipliers spread the three numbers over 64 bits; equal sums of two of them do not meet.
        mixed = self.seed * 0x9E3779B97F4A7C15 + done * 0xBF58476D1CE4E5B9 + trainer.global_rank * 0x94D049BB133111EB
        torch.manual_seed(mixed % 2**63)
