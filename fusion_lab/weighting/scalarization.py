"""Ways to make one loss of many that TorchJD has."""

import torch
import torchjd.scalarization
from torch import Tensor
from torchjd.scalarization import Scalarizer

from fusion_lab.errors import FusionLabError
from fusion_lab.weighting.adapted import AdaptedWeighting
from fusion_lab.weighting.base import require_all
from fusion_lab.weighting.ranks import noise_of_first_rank


class Scalarization(AdaptedWeighting[Scalarizer]):
    """Combine the losses by a scalarizer of TorchJD, such as DWA, UW or STCH.

    What a scalarizer learns by gradients (UW, IMTLL) is learnt by the network's optimizer; what it averages over
    epochs (DWA) is saved with the checkpoint. Random weights are the same on all ranks.

    Args:
        scalarizer: Any scalarizer but FAMO, which is `fusion_lab.weighting.FAMO` here: TorchJD's does not save its
            moments.
        lr: The step of what is learnt by gradients; the network's own unless given, which is small for a number that
            has to move by units. Schedules that set the step themselves, such as OneCycleLR, set this one too.
    """

    def __init__(self, scalarizer: Scalarizer, lr: float | None = None) -> None:
        if isinstance(scalarizer, torchjd.scalarization.FAMO):
            raise FusionLabError("FAMO of TorchJD does not resume exactly: use fusion_lab.weighting.FAMO.")
        super().__init__(scalarizer)
        # The optimizer, the device and the checkpoint find its parameters here.
        self.learnt = torch.nn.ParameterDict({n.replace(".", "_"): p for n, p in scalarizer.named_parameters()})
        self.parameter_lr = lr

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Combine the losses, one scalar a task.

        Raises:
            FusionLabError: The batch lacks a task, or the scalarizer refuses the losses.
        """
        require_all(losses, self.tasks, self.name)
        values = torch.stack([losses[task] for task in self.tasks])
        try:
            with noise_of_first_rank(values.device):
                return self.method(values)
        except ValueError as error:
            raise FusionLabError(f"{self.name} refuses the losses of {', '.join(self.tasks)}: {error}") from None

    def end_epoch(self) -> None:
        """Let DWA compare the mean losses of epochs."""
        if isinstance(self.method, torchjd.scalarization.DWA):
            self.method.step()
