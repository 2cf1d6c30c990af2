"""What the network makes of the pairs, as training goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fusion_lab.callbacks.pictures import show
from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.pictures import picture_grid
from fusion_lab.types import Batch

Row = dict[str, npt.NDArray[np.uint8]]


class FusedPictures(Callback):
    """Show at every validation, and at the test, the first pairs of each task beside what is fused of them.

    One picture a task, ``FOLDER/val/TASK/step=000100.png``, given to loggers that take images as ``val/TASK/fused`` (or
    ``test``): a row a pair, both sources and the fused luminance. They are fused anyway; nothing is computed twice.
    With several devices they are the first pairs of the first one.

    Args:
        folder: Where the pictures go.
        pairs: Pairs of each task.
        every_n_validations: Show them at the first validation and at each so many-th after it.
    """

    def __init__(self, folder: Path | str, pairs: int = 2, every_n_validations: int = 1) -> None:
        for name, value in (("pairs", pairs), ("every_n_validations", every_n_validations)):
            if value < 1:
                raise FusionLabError(f"`{name}` of FusedPictures should be at least 1. Found `{name} = {value}`.")
        self.folder = Path(folder)
        self.pairs = pairs
        self.every_n_validations = every_n_validations
        self._validations = 0
        self._rows: dict[str, list[Row]] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with nothing to show."""
        self._rows = {}

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int, *_: Any
    ) -> None:
        """Keep the first pairs of each task."""
        if self._validations % self.every_n_validations == 0:
            self._keep(trainer, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw them."""
        if not trainer.sanity_checking:
            self._validations += 1
            self._draw(trainer, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with nothing to show."""
        self._rows = {}

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int, *_: Any
    ) -> None:
        """Keep the first pairs of each task."""
        self._keep(trainer, outputs, batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw them."""
        self._draw(trainer, "test")

    def state_dict(self) -> dict[str, Any]:
        """Return how many validations there were."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from there."""
        self._validations = state_dict["validations"]

    def _keep(self, trainer: Trainer, fused: dict[str, Tensor], batch: Batch) -> None:
        if not trainer.is_global_zero:
            return
        for task, sample in batch.items():
            rows = self._rows.setdefault(task, [])
            for name, a, b, f in zip(sample["name"], sample["source_a"], sample["source_b"], fused[task], strict=True):
                if len(rows) < self.pairs:
                    rows.append({name: _levels(a), "source B": _levels(b), "fused": _levels(f)})

    def _draw(self, trainer: Trainer, stage: str) -> None:
        for task, rows in self._rows.items():
            show(trainer, picture_grid(rows), f"{stage}/{task}/fused", self.folder / stage / task)
        self._rows = {}


def _levels(luminance: Tensor) -> npt.NDArray[np.uint8]:
    """Turn ``(1, H, W)`` in [0, 1] into an image of 8 bits, ``(H, W)``."""
    return (luminance[0].float() * 255).round().byte().cpu().numpy()
