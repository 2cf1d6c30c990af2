"""How checkpoints are written and read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path
from fusion_lab.seal import check_seal, seal


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints with a checksum that are never found half-written, and from which no code is ever loaded.

    A plugin of the trainer. The file is written under a temporary name beside its place, sealed (`fusion_lab.seal`),
    brought to the disk and renamed.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            FusionLabError: It cannot be written, for example because the disk is full; what was there stays.
        """
        target = Path(path)
        try:
            with atomic_path(target) as temporary:
                torch.save(checkpoint, temporary)
                seal(temporary)
                _bring_to_disk(temporary)
        # PyTorch turns the error of the system into a RuntimeError of its own.
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()).split("):")[0]
            raise FusionLabError(
                f"The checkpoint {target} cannot be written ({reason}): is the disk full? The run can go on from the "
                "checkpoint before it, with --ckpt_path last."
            ) from error

    def load_checkpoint(
        self,
        path: Path | str,
        map_location: Callable[..., Any] | None = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint: tensors and plain data only, whatever ``weights_only`` says.

        Raises:
            FusionLabError: It is damaged.
        """
        check_seal(Path(path))
        return super().load_checkpoint(path, map_location, weights_only=True)


def _bring_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
