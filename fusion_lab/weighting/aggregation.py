"""Ways to make one gradient of the gradients of the tasks that TorchJD has."""

from typing import Any

import torch
from torch import Tensor, nn
from torchjd.aggregation import Aggregator

from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.weighting.adapted import AdaptedWeighting
from fusion_lab.weighting.base import require_all
from fusion_lab.weighting.ranks import mean_over_ranks, noise_of_first_rank


class Aggregation(AdaptedWeighting[Aggregator]):
    """Combine the gradients of the tasks by an aggregator of TorchJD, such as PCGrad, CAGrad or UPGrad.

    The loss that is given back has the sum of the losses as value and the combination as gradient, so that clipping and
    schedules work as ever. The gradients are averaged over all ranks before they are combined, and the combination
    draws the same random numbers on all of them. Where every task has its own forward pass, this takes no more backward
    passes than the sum of the losses.

    In half precision (``16-mixed``) the gradients of the tasks are not scaled and may vanish: prefer ``bf16-mixed``.

    Args:
        aggregator: Any aggregator. What it learns is saved with the checkpoint; only the solver of NashMTL starts
            anew.
    """

    def __init__(self, aggregator: Aggregator) -> None:
        # Not inherited: configurations call the argument by this name.
        super().__init__(aggregator)

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Combine the gradients of the losses, one scalar a task.

        Raises:
            FusionLabError: The batch lacks a task, a gradient is not finite, or the aggregator refuses them.
        """
        require_all(losses, self.tasks, self.name)
        values = [losses[task] for task in self.tasks]
        parameters = _leaves(values)
        rows = []
        for loss in values:
            gradients = torch.autograd.grad(
                loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
        jacobian = mean_over_ranks(torch.stack(rows))
        with torch.autocast(jacobian.device.type, enabled=False):
            combined = self._combine(jacobian)
            surrogate = torch.cat([parameter.flatten() for parameter in parameters]) @ combined
            return torch.stack(values).detach().sum() + surrogate - surrogate.detach()

    def _combine(self, jacobian: Tensor) -> Tensor:
        """Combine the gradients of all tasks, ``(tasks, parameters)``."""
        for task, gradient in zip(self.tasks, jacobian, strict=True):
            if not gradient.isfinite().all():
                raise FusionLabError(
                    f"{self.name} cannot combine the gradients of the tasks, that of '{task}' is not finite: "
                    "take smaller steps or clip them, and bf16-mixed in place of 16-mixed."
                )
        # Solvers know no half precision.
        precise = jacobian if jacobian.dtype == torch.float64 else jacobian.float()
        try:
            with noise_of_first_rank(jacobian.device):
                return self.method(precise).to(jacobian.dtype)
        except (ValueError, torch.linalg.LinAlgError) as error:
            reason = one_line(error)
            raise FusionLabError(f"{self.name} refuses the gradients of {', '.join(self.tasks)}: {reason}") from None


def _leaves(losses: list[Tensor]) -> list[nn.Parameter]:
    """Find the parameters that losses depend on, in the order of their graph."""
    found: dict[Any, nn.Parameter] = {}
    seen, waiting = set(), [loss.grad_fn for loss in reversed(losses)]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[node] = node.variable
        waiting.extend(child for child, _ in reversed(node.next_functions))
    return list(found.values())
