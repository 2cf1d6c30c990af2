"""The training step that all fusion networks share."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MetricCollection

from fusion_lab.errors import FusionLabError
from fusion_lab.losses import LossTerm, Objective
from fusion_lab.metrics.base import FusionMetric, quantise
from fusion_lab.networks import FusionNetwork
from fusion_lab.types import Batch
from fusion_lab.weighting import Equal, LossWeighting

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


class FusionModule(LightningModule):
    """A fusion network, an objective for each task, and how the tasks are weighed against each other.

    Args:
        network: The network.
        objectives: The loss terms of each task, by name.
        weighting: How the losses of the tasks become one.
        optimizer: Makes the optimizer from the parameters; Adam with a step of 2e-5 unless given.
        scheduler: Makes a schedule of the step from the optimizer, advanced every step; constant unless given.
        metrics: Scores of the validation and test pairs, each logged as ``val/TASK/LABEL``.
    """

    def __init__(
        self,
        network: FusionNetwork,
        objectives: dict[str, dict[str, LossTerm]],
        weighting: LossWeighting | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        metrics: list[FusionMetric] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.objectives = nn.ModuleDict({task: Objective(terms) for task, terms in objectives.items()})
        self.weighting = weighting or Equal()
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self.metrics = nn.ModuleDict(
            {task: MetricCollection({m.label: m.clone() for m in metrics or []}) for task in objectives}
        )

    def configure_model(self) -> None:
        """Tell the weighting which tasks there are."""
        data_tasks = getattr(getattr(self._trainer, "datamodule", None), "tasks", None)
        tasks = data_tasks or list(self.objectives)
        if missing := [task for task in tasks if task not in self.objectives]:
            raise FusionLabError(
                f"The data has tasks without an objective ({', '.join(missing)}): add them to "
                f"`model.init_args.objectives`, which has {', '.join(self.objectives)}."
            )
        self.weighting.setup(tasks)

    def configure_optimizers(self) -> Any:
        """Make the optimizer and, if there is one, its schedule."""
        parameters = list(self.network.parameters())
        optimizer = self._make_optimizer(parameters) if self._make_optimizer else Adam(parameters, lr=2e-5)
        if self._make_scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self._make_scheduler(optimizer), "interval": "step"},
        }

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        return self.network(source_a, source_b)

    def task_terms(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """Give every weighted loss term, a scalar, of every task in ``batch``."""
        return {
            task: self.objectives[task](self.network(sample["source_a"], sample["source_b"]), sample)
            for task, sample in batch.items()
        }

    def task_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Give the loss, a scalar, of every task in ``batch``."""
        return {task: total(terms) for task, terms in self.task_terms(batch).items()}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Weigh the task losses; ``task_losses`` of the result are those before the step, without gradients."""
        terms = self.task_terms(batch)
        losses = {task: total(parts) for task, parts in terms.items()}
        loss = self.weighting(losses)
        for task, parts in terms.items():
            self.log(f"train/{task}/loss", losses[task].detach(), prog_bar=True)
            self.log_dict({f"train/{task}/{name}": part.detach() for name, part in parts.items()})
        self.log("train/loss", loss.detach())
        return {"loss": loss, "task_losses": {task: value.detach() for task, value in losses.items()}}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses and scores of whole pairs."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses and scores of whole pairs."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Give the fused luminance of each task, ``(B, 1, H, W)`` in [0, 1]."""
        return {task: self(s["source_a"], s["source_b"]).clamp(0, 1) for task, s in batch.items()}

    def _evaluate(self, batch: Batch, stage: str) -> None:
        for task, sample in batch.items():
            a, b = sample["source_a"], sample["source_b"]
            fused = self(a, b)
            loss = total(self.objectives[task](fused, sample))
            size = len(a)
            self.log(f"{stage}/{task}/loss", loss, batch_size=size, on_epoch=True, sync_dist=True)
            self.log(f"{stage}/loss", loss, batch_size=size, on_epoch=True, sync_dist=True, prog_bar=True)
            metrics = self.metrics[task]
            metrics.update(*(quantise(x.double()) for x in (fused, a, b)))
            self.log_dict({f"{stage}/{task}/{label}": m for label, m in metrics.items()}, on_epoch=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how the network was built, so that the checkpoint alone is enough to fuse with."""
        checkpoint["network"] = self.network.description


def total(terms: dict[str, Tensor]) -> Tensor:
    """Sum loss terms, each a scalar."""
    return torch.stack(list(terms.values())).sum()
