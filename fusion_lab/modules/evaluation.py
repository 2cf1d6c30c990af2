"""Validation, tests and prediction of whole pairs, which all fusion networks share."""

from abc import abstractmethod
from typing import cast

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torchmetrics import MetricCollection

from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.losses import Objective
from fusion_lab.metrics.base import quantise
from fusion_lab.modules.schedules import see_validation
from fusion_lab.networks import FusionNetwork
from fusion_lab.types import Batch, Sample


class EvaluatedModule(LightningModule):
    """Fuses whole pairs and logs their losses and scores, as means over the pairs of all ranks.

    Attributes:
        network: The network.
        objectives: The objective of each task.
        metrics: The scores of each task, a `MetricCollection`; made before the first evaluation.
        memory_limit: The memory in GiB that fusing a whole pair may take.
    """

    network: FusionNetwork
    objectives: nn.ModuleDict
    metrics: nn.ModuleDict
    memory_limit: float

    @abstractmethod
    def _terms(self, task: str, fused: Tensor, sample: Sample) -> dict[str, Tensor]:
        """Return the weighted loss terms of a task."""

    def on_validation_epoch_start(self) -> None:
        """Forget the pairs of the last time."""
        # For each task: the pairs, those that have a loss, and the sum of their losses.
        self._evaluated = torch.zeros(len(self.metrics), 3, dtype=torch.float64, device=self.device)
        for metrics in self.metrics.values():
            cast(MetricCollection, metrics).reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Take in the losses and scores of whole pairs; returns their fused luminance for callbacks."""
        outputs = {}
        for task, sample in batch.items():
            a, b = sample["source_a"], sample["source_b"]
            fused = self._fuse_whole(sample)
            outputs[task] = fused.detach().clamp(0, 1)
            sums = self._evaluated[list(self.metrics).index(task)]
            sums[0] += len(a)
            if self._has_loss(task, sample):
                sums[1] += len(a)
                sums[2] += total(self._terms(task, fused, sample)) * len(a)
            cast(MetricCollection, self.metrics[task]).update(*(quantise(x.double()) for x in (fused, a, b)))
        return outputs

    def on_validation_epoch_end(self) -> None:
        """Log the mean losses and scores."""
        self._log_evaluation("val")
        see_validation(self.trainer)

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Log the mean losses and scores."""
        self._log_evaluation("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the fused luminance of each task, ``(B, 1, H, W)`` in [0, 1]."""
        return {task: self._fuse_whole(sample).clamp(0, 1) for task, sample in batch.items()}

    def _fuse_whole(self, sample: Sample) -> Tensor:
        """Fuse one whole pair of any size just as `fusion_lab.fuse` does."""
        return fuse_luminance(self.network, sample["source_a"], sample["source_b"], self.memory_limit)

    def _has_loss(self, task: str, sample: Sample) -> bool:
        """Tell whether a pair can be compared with what its objective asks for."""
        if task not in self.objectives:
            return False
        return "target" in sample or not cast(Objective, self.objectives[task]).needs_target

    def _log_evaluation(self, stage: str) -> None:
        """Log the means over all ranks, in one order on each, whichever tasks a rank has seen pairs of."""
        sums = cast(Tensor, self.trainer.strategy.reduce(self._evaluated, reduce_op="sum"))
        counts = dict(zip(self.metrics, sums[:, 0], strict=True))
        seen = [task for task, count in counts.items() if count > 0]
        for task in seen:
            scores = cast(MetricCollection, self.metrics[task]).compute()
            self.log_dict({f"{stage}/{task}/{label}": score for label, score in scores.items()}, sync_dist=True)
        if means := {task: loss / n for task, (_, n, loss) in zip(self.metrics, sums, strict=True) if n > 0}:
            for task, mean in means.items():
                self.log(f"{stage}/{task}/loss", mean, sync_dist=True)
            self.log(f"{stage}/loss", total(means), sync_dist=True, prog_bar=True)


def total(terms: dict[str, Tensor]) -> Tensor:
    """Sum loss terms, each a scalar."""
    return torch.stack(list(terms.values())).sum()
