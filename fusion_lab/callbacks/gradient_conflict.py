"""How far the tasks pull a network in different directions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fusion_lab.callbacks.pictures import show
from fusion_lab.errors import FusionLabError
from fusion_lab.modules import FusionModule
from fusion_lab.modules.accumulation import loss_scale
from fusion_lab.modules.undisturbed import undisturbed
from fusion_lab.reporting.plots import HeatMapRow, heat_map_grid
from fusion_lab.types import Batch

WHOLE = "all"
"""Stands for the whole network among the names of its parts."""


@dataclass(frozen=True)
class Conflict:
    """How the gradients of the tasks lie to each other (Yu et al., Gradient Surgery, NeurIPS 2020).

    Attributes:
        cosine: Of the angle between two tasks' gradients, ``(tasks, tasks)`` in [-1, 1]; they conflict below 0.
        magnitude: The norm of the row's gradient over that of the column's, ``(tasks, tasks)``.

    A gradient that is zero or not finite has no direction: its row and column are NaN.
    """

    cosine: Tensor
    magnitude: Tensor


def measure_conflict(
    gradients: Mapping[str, Sequence[Tensor]], parts: Mapping[str, Iterable[int]]
) -> dict[str, Conflict]:
    """Compare the gradients of tasks, part by part.

    Args:
        gradients: For each task, the gradient with respect to each parameter, of any shape; the same for all tasks.
        parts: For each part, the numbers of its parameters; parts may overlap.

    Returns:
        The conflict in each part, in float64 on the CPU, tasks in the order of ``gradients``.
    """
    products = []
    for same in zip(*gradients.values(), strict=True):
        table = torch.stack([gradient.flatten() for gradient in same]).double()
        products.append((table @ table.T).cpu())
    return {part: _conflict(sum((products[i] for i in own), torch.zeros(()))) for part, own in parts.items()}


def _conflict(products: Tensor) -> Conflict:
    """Turn the inner products of the tasks' gradients, ``(tasks, tasks)``, into angles and ratios."""
    norms = products.diagonal().sqrt()
    norms = norms.where(norms.isfinite() & (norms > 0), torch.nan)
    return Conflict((products / norms.outer(norms)).clamp(-1, 1), norms[:, None] / norms[None, :])


class GradientConflict(Callback):
    """Show every N steps how far the tasks pull the network, and each of its parts, in different directions.

    Logged are the cosine between the gradients of each two tasks, ``conflict/PART/cosine/TASK1_TASK2``, and the ratio
    of their norms, ``conflict/PART/magnitude/TASK1_TASK2``, at the step they belong to, whatever
    ``log_every_n_steps``. PART is a name of `FusionNetwork.parts`, or ``all``. A gradient that is zero or not finite
    has no direction: its numbers are left out. All of it is one picture, ``FOLDER/step=000100.png``, given to loggers
    that take images too; its number is that of the steps done before, as in the names of checkpoints.

    Measured are the losses of the training batch in train mode before the weighting, of the global batch over all
    ranks; under gradient accumulation, those of the first batch of the step. Training goes on as if nothing had
    been measured: neither its random numbers, nor its buffers or gradients are touched. Masks of stochastic depth are
    those of the training step where `RepeatableNoise` comes before.

    One measurement takes about as long as a training step, and the memory of one gradient more for each task.

    Args:
        folder: Where the pictures go.
        every_n_steps: Steps from one measurement to the next, from step 0 on.
    """

    def __init__(self, folder: Path | str, every_n_steps: int = 100) -> None:
        if every_n_steps < 1:
            raise FusionLabError(f"`every_n_steps` should be at least 1. Found `every_n_steps = {every_n_steps}`.")
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self._measured = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Have nothing measured yet."""
        self._measured = -1

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Measure if a step begins whose turn it is."""
        step = trainer.global_step
        if step % self.every_n_steps or step == self._measured:
            return
        self._measured = step
        module = cast(FusionModule, pl_module)
        parameters = [parameter for parameter in module.network.parameters() if parameter.requires_grad]
        gradients = _task_gradients(trainer, module, parameters, batch)
        if trainer.is_global_zero:
            self._tell(trainer, list(batch), measure_conflict(gradients, _parts(module, parameters)))

    def _tell(self, trainer: Trainer, tasks: list[str], conflicts: dict[str, Conflict]) -> None:
        numbers = {
            f"conflict/{part}/{name}/{tasks[i]}_{tasks[j]}": matrix[i, j].item()
            for part, conflict in conflicts.items()
            for name, matrix in (("cosine", conflict.cosine), ("magnitude", conflict.magnitude))
            for i, j in combinations(range(len(tasks)), 2)
            if matrix[i, j].isfinite()
        }
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=trainer.global_step)
        cosines = {part: conflict.cosine.numpy() for part, conflict in conflicts.items()}
        ratios = {part: conflict.magnitude.log2().numpy() for part, conflict in conflicts.items()}
        rows = [
            HeatMapRow("cosine", cosines, limit=1.0),
            HeatMapRow("log2 of |row| / |column|", ratios, colours="PuOr"),
        ]
        title = f"Gradients of the tasks against each other, step {trainer.global_step}"
        show(trainer, heat_map_grid(title, tasks, rows), "conflict", self.folder)


def _parts(module: FusionModule, parameters: Sequence[Tensor]) -> dict[str, list[int]]:
    """Number the parameters of the whole network and of each part that is trained."""
    places = {id(parameter): i for i, parameter in enumerate(parameters)}
    parts = {
        name: [places[id(parameter)] for parameter in part.parameters() if id(parameter) in places]
        for name, part in module.network.parts().items()
    }
    return {WHOLE: list(range(len(parameters))), **{name: own for name, own in parts.items() if own}}


def _task_gradients(
    trainer: Trainer, module: FusionModule, parameters: Sequence[Tensor], batch: Batch
) -> dict[str, list[Tensor]]:
    """Return the gradient of each task in ``batch``, averaged over the ranks, which all have the same tasks."""
    precision: Any = trainer.precision_plugin
    # Small gradients vanish in float16. The scale is only read: `GradScaler.scale` would change its state.
    scale = loss_scale(trainer)
    sizes = [parameter.numel() for parameter in parameters]
    gradients = {}
    with undisturbed(module, module.device), torch.enable_grad():
        # Task by task, so that the activations of one at a time are kept.
        for task in batch:
            with precision.train_step_context():
                (loss,) = module.task_losses(batch, [task]).values()
            # Not `backward`: nothing may reach `.grad`, nor the hooks by which DDP synchronises.
            found = torch.autograd.grad(loss * scale, parameters, materialize_grads=True)
            flat = torch.cat([gradient.flatten() for gradient in found]) / scale
            mean = cast(Tensor, trainer.strategy.reduce(flat, reduce_op="mean"))
            gradients[task] = list(mean.split(sizes))
    return gradients
