"""FAMO, fast adaptive multitask optimization."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.adam import adam

from fusion_lab.errors import FusionLabError
from fusion_lab.weighting.base import LossWeighting

_EPSILON = 1e-8


class FAMO(LossWeighting):
    """Weigh tasks so that their losses fall at the same rate (Liu et al., NeurIPS 2023), as TITA trains with it.

    With logits ``xi``, ``z = softmax(xi)`` and ``D_i = loss_i + 1e-8``, the minimised loss is ``sum_i (z_i / c) ln
    D_i`` with ``c = sum_i z_i / D_i`` held constant: gradient weights ``(z_i / D_i) / c`` that sum to 1. After the step
    the logits follow ``J_softmax^T (ln D_before - ln D_after)`` by an Adam of their own. Tasks that a batch does not
    have take no part in its softmax.

    The papers write plain gradient descent with decay; both releases use Adam with the decay added to the gradient.

    Args:
        lr: Step of the logits.
        weight_decay: Decay of the logits, gamma: 1e-3 as TITA trains, 1e-5 in FAMO's release.
        reuse_next_loss: Take the losses of the next batch, which are computed anyway, for those after the step. This
            saves the second pass, about a quarter of the time of a step; but the logits learn one step late, and from
            two different batches, whose difference drowns what the step changed.
    """

    measures_again: ClassVar[bool] = True

    logits: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    steps: Tensor

    def __init__(self, lr: float = 0.025, weight_decay: float = 1e-3, reuse_next_loss: bool = False) -> None:
        super().__init__()
        self.lr = lr
        self.weight_decay = weight_decay
        self.reuse_next_loss = reuse_next_loss

    def setup(self, tasks: list[str]) -> None:
        """Start all tasks at equal weight, unless they were set up already."""
        if self.tasks == tasks:
            return
        super().setup(tasks)
        for name in ("logits", "exp_avg", "exp_avg_sq"):
            self.register_buffer(name, torch.zeros(len(tasks)))
        self.register_buffer("steps", torch.zeros(()))

    def task_weights(self) -> Tensor:
        """Return ``softmax(logits)``, ``(tasks,)``."""
        return self.logits.softmax(dim=0)

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Weigh the losses, one positive scalar a task.

        Raises:
            FusionLabError: A loss is not positive and finite, so that its logarithm says nothing.
        """
        present = self._present(losses)
        stacked = self._stack(losses, present)
        _require_positive(stacked, present)
        shifted = stacked + _EPSILON
        weights = self._of(self.logits, present).softmax(dim=0).to(shifted.dtype)
        constant = (weights / shifted.detach()).sum()
        return (weights / constant * shifted.log()).sum()

    @torch.no_grad()
    def update(self, before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
        """Move the logits by one Adam step; returns the new weight and logit of each task.

        Raises:
            FusionLabError: A loss is not positive and finite: it would poison the logits for good.
        """
        present = self._present(before)
        both = torch.stack([self._stack(losses, present) for losses in (before, after)]).to(self.logits.dtype)
        _require_positive(both, present)
        log_before, log_after = both.add(_EPSILON).log()
        weights, fall = self._of(self.logits, present).softmax(dim=0), log_before - log_after
        slopes = dict(zip(present, weights * (fall - (weights * fall).sum()), strict=True))
        zero = torch.zeros_like(fall[0])
        gradient = torch.stack([slopes.get(task, zero) for task in self.tasks])
        adam(
            [self.logits], [gradient], [self.exp_avg], [self.exp_avg_sq], [], [self.steps],
            # The number of steps lies on the device; only there it can be read without waiting for it.
            capturable=self.logits.device.type not in ("cpu", "mps"),
            amsgrad=False, beta1=0.9, beta2=0.999, lr=self.lr, weight_decay=self.weight_decay, eps=1e-8, maximize=False,
        )  # fmt: skip
        weights = self.task_weights()
        return {
            **{f"weight/{task}": weight for task, weight in zip(self.tasks, weights, strict=True)},
            **{f"logit/{task}": logit for task, logit in zip(self.tasks, self.logits, strict=True)},
        }

    def _present(self, losses: dict[str, Tensor]) -> list[str]:
        return [task for task in self.tasks if task in losses]

    def _of(self, values: Tensor, present: list[str]) -> Tensor:
        """Take the values of some tasks: views, since an index made of a list would be copied to the device."""
        if len(present) == len(self.tasks):
            return values
        return torch.stack([values[index] for index, task in enumerate(self.tasks) if task in present])

    def _stack(self, losses: dict[str, Tensor], present: list[str]) -> Tensor:
        return torch.stack([losses[task] for task in present])


def _require_positive(losses: Tensor, tasks: list[str]) -> None:
    """Refuse losses ``(..., tasks)`` that have no logarithm, by one look at the device."""
    fine = (losses > 0) & (losses < torch.inf)
    if fine.all():
        return
    for row in losses.detach().reshape(-1, len(tasks)).tolist():
        for task, loss in zip(tasks, row, strict=True):
            if not 0 < loss < torch.inf:
                cure = (
                    "add a constant to its objective or choose another weighting"
                    if loss <= 0
                    else "training has diverged, take smaller steps or clip the gradients"
                )
                raise FusionLabError(f"FAMO needs positive losses, but that of task '{task}' is {loss:.6g}: {cure}.")
