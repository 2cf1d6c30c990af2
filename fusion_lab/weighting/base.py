"""What every loss weighting promises."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from fusion_lab.errors import FusionLabError


class LossWeighting(nn.Module, ABC):
    """Turn the losses of several tasks into the one that is minimised.

    What it learns beside the network lives in buffers: saved and moved with the module, unseen by the optimizer. What
    the network's own optimizer shall learn lives in parameters.
    """

    measures_again: ClassVar[bool] = False
    """Whether `update` wants the losses of the same batch after the optimizer step."""

    reuse_next_loss: bool = False
    """Whether the losses of the next batch, which are computed anyway, shall stand for those after the step."""

    is_sum: ClassVar[bool] = False
    """Whether the losses are just added, whatever they are, so that those of several batches add up too."""

    parameter_lr: float | None = None
    """The step of its parameters, if it has any; that of the network unless given."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[str] = []

    def setup(self, tasks: list[str]) -> None:
        """Learn the names of the tasks, in order, before training starts."""
        self.tasks = tasks

    @abstractmethod
    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Weigh the losses, one scalar for each task of the batch, to one scalar that gradients flow through."""

    def update(self, before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
        """Learn from the losses of one batch before and after the optimizer step; returns numbers worth logging."""
        return {}

    def end_epoch(self) -> None:
        """Learn from the epoch that has ended, before the first losses of the next."""


def require_all(losses: dict[str, Tensor], tasks: list[str], method: str) -> None:
    """Refuse a batch that lacks a task.

    Raises:
        FusionLabError: It does.
    """
    if missing := [task for task in tasks if task not in losses]:
        raise FusionLabError(
            f"{method} needs every task in each batch, but one has no {', '.join(missing)}: "
            "use fusion_lab.data.mixing.EqualShares or a larger `batch_size`."
        )
