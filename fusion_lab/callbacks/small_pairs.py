"""Telling pairs that are smaller than the crop before the first step, not after an hour."""

from lightning import Callback, LightningModule, Trainer

from fusion_lab.data import MultiTaskDataModule


class TellSmallPairs(Callback):
    """Look at the sizes of all training pairs when a run starts, as `MultiTaskDataModule.refuse_small_pairs` does."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at them.

        Raises:
            FusionLabError: A pair is too small, and bad samples are to end the run; or there are too many.
        """
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, MultiTaskDataModule):
            data.refuse_small_pairs()
