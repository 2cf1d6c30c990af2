"""The gradients of one step, task by task: of one batch, or of several that are weighed as if they were one."""

from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn

from fusion_lab.weighting import LossWeighting
from fusion_lab.weighting.ranks import over_ranks

Losses = dict[str, Tensor]
Gradients = list[Tensor | None]


def task_gradient(
    loss: Tensor, parameters: list[nn.Parameter], scale: float = 1.0, retain_graph: bool = False
) -> Gradients:
    """Compute the gradient of a loss for each parameter, None where it has no part.

    Args:
        loss: A scalar.
        parameters: All parameters that are trained now.
        scale: What to multiply the loss by meanwhile, as small gradients vanish in half precision.
        retain_graph: Keep the graph for another loss.
    """
    gradients = torch.autograd.grad(loss * scale, parameters, allow_unused=True, retain_graph=retain_graph)
    if scale == 1:
        return list(gradients)
    return [None if gradient is None else gradient / scale for gradient in gradients]


def loss_scale(trainer: Trainer) -> float:
    """Return the scale of float16 losses, 1 in other precisions; on a GPU this waits for the device."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return scaler.get_scale() if scaler else 1.0


class TaskGradients:
    """The losses and gradients, task by task, of the batches that make one optimizer step.

    Weights such as FAMO's depend on the losses themselves, so that batch by batch they would be others than for all
    batches together. The gradient of each task is therefore kept, one copy of the parameters a task, until the last
    batch, and only then the tasks are weighed. It also lets the graph of one task be freed before the next one is
    built, which takes little more than the memory of one.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._counts: dict[str, int] = {}
        self._values: Losses = {}
        self._gradients: dict[str, Gradients] = {}
        self._parameters: list[nn.Parameter] = []

    def __bool__(self) -> bool:
        return self._batches > 0

    def add(self, losses: Losses, gradients: dict[str, Gradients], parameters: list[nn.Parameter]) -> None:
        """Take in a batch.

        Args:
            losses: The losses, one scalar a task.
            gradients: Of each task, by `task_gradient`.
            parameters: What the gradients belong to, the same in all batches of a step.
        """
        self._batches += 1
        self._parameters = parameters
        for task, loss in losses.items():
            kept = self._gradients.get(task, [None] * len(parameters))
            self._gradients[task] = [_sum(old, new) for old, new in zip(kept, gradients[task], strict=True)]
            self._values[task] = self._values.get(task, 0) + loss.detach()
            self._counts[task] = self._counts.get(task, 0) + 1

    def weigh(self, weighting: LossWeighting) -> tuple[Tensor, Losses]:
        """Weigh the means of the losses, and begin anew.

        Returns:
            The weighted loss, whose gradient is that of all batches, times their number, as sums of gradients are; and
            the means that were weighed.
        """
        used = [
            number
            for number in range(len(self._parameters))
            if any(gradients[number] is not None for gradients in self._gradients.values())
        ]
        flat = torch.cat([self._parameters[number].flatten() for number in used])
        means = {}
        for task, gradients in self._gradients.items():
            parts = [
                torch.zeros_like(self._parameters[number]) if (found := gradients[number]) is None else found
                for number in used
            ]
            gradient = torch.cat([part.flatten() for part in parts]).to(flat.dtype)
            means[task] = _WithGradient.apply(flat, self._values[task], gradient) / self._counts[task]
        batches = self._batches
        self.__init__()  # type: ignore[misc]
        means = over_ranks(means)
        return weighting(means) * batches, means


class _WithGradient(torch.autograd.Function):
    """A number with a given gradient, which may be infinite where a scaler of float16 has yet to find its scale."""

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad * gradient, None, None


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
