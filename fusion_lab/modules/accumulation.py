"""One step on several batches, weighed as if they were one."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fusion_lab.weighting import LossWeighting

Losses = dict[str, Tensor]


class Window:
    """The losses and gradients of the batches that make one optimizer step.

    Weights such as FAMO's depend on the losses themselves, so that batch by batch they would be others than for all
    batches together. The gradient of each task is therefore kept, one copy of the parameters a task, until the last
    batch, and only then the tasks are weighed. A plain sum needs none of this.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._counts: dict[str, int] = {}
        self._values: Losses = {}
        self._gradients: dict[str, list[Tensor]] = {}
        self._parameters: list[nn.Parameter] = []

    def __bool__(self) -> bool:
        return self._batches > 0

    def add(self, losses: Losses, parameters: list[nn.Parameter], scale: float = 1.0) -> None:
        """Take in the losses of a batch, one scalar a task, and their gradients.

        Args:
            losses: The losses.
            parameters: All parameters that are trained now.
            scale: What to multiply losses by while gradients are computed, as small ones vanish in half precision.
        """
        self._batches += 1
        self._parameters = parameters
        for task, loss in losses.items():
            # Tasks may share a part of their graphs.
            found = torch.autograd.grad(loss * scale, parameters, retain_graph=True, materialize_grads=True)
            kept = self._gradients.get(task) or [torch.zeros_like(gradient) for gradient in found]
            self._gradients[task] = [old.add_(new, alpha=1 / scale) for old, new in zip(kept, found, strict=True)]
            self._values[task] = self._values.get(task, 0) + loss.detach()
            self._counts[task] = self._counts.get(task, 0) + 1

    def weigh(self, weighting: LossWeighting, over_ranks: Callable[[Losses], Losses]) -> Tensor:
        """Weigh the means of the losses, and begin anew.

        Returns:
            The weighted loss, whose gradient is that of all batches, times their number, as sums of gradients are.
        """
        means = {}
        for task, gradients in self._gradients.items():
            inner = torch.stack([(p * g).sum() for p, g in zip(self._parameters, gradients, strict=True)]).sum()
            means[task] = (self._values[task] + (inner - inner.detach())) / self._counts[task]
        batches = self._batches
        self.__init__()  # type: ignore[misc]
        return weighting(over_ranks(means)) * batches
