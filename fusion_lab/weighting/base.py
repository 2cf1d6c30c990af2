"""What every loss weighting promises."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class LossWeighting(nn.Module, ABC):
    """Turn the losses of several tasks into the one that is minimised.

    Whatever it learns lives in buffers, not in parameters: it is saved and moved with the module, and the network's
    optimizer does not see it.
    """

    measures_again: ClassVar[bool] = False
    """Whether `update` wants the losses of the same batch after the optimizer step."""

    def setup(self, tasks: list[str]) -> None:
        """Learn the names of the tasks, in order, before training starts."""

    @abstractmethod
    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Weigh the losses, one scalar a task, to one scalar that gradients flow through."""

    def update(self, before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
        """Learn from the losses of one batch before and after the optimizer step; returns numbers worth logging."""
        return {}
