"""GIFNet as its release trains it."""

from collections.abc import Iterable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.losses import InformationError, LossTerm, MultiScaleStructure, Objective, SquaredError
from fusion_lab.metrics.base import FusionMetric
from fusion_lab.modules.base import FusionModule, OptimizerFactory, SchedulerFactory
from fusion_lab.networks import GIFNet
from fusion_lab.networks.gifnet import BranchName
from fusion_lab.types import Batch, Sample
from fusion_lab.weighting import Equal, LossWeighting

_BRANCHES: dict[str, BranchName] = {
    "ivf": "multi_modal",
    "mif": "multi_modal",
    "nir": "multi_modal",
    "pan": "multi_modal",
    "mff": "digital_photography",
    "mef": "digital_photography",
}
"""The branch that works for each task."""


class GIFNetModule(FusionModule):
    """`FusionModule` with GIFNet: each task in turn is the main one and has another as its help.

    The loss of a task is its objective (the private loss) and, of what REC makes of the main pair's features, the
    public loss, which compares with the ideal image or else with the first source, the visible one. In a phase, which
    has the name of a branch, only the tasks of that branch have losses; the helping pair is encoded without gradient,
    and none passes through the attention of its branch. Without phases all tasks are trained together with all
    gradients.

    The batch of a task and that of its help need as many pairs of one size, as `JointDataModule` makes them of the
    same scenes. A task whose batch holds none of the other branch helps itself, as in inference.

    Args:
        network: The network; the official GIFNet unless given.
        objectives: The private loss terms of each task; those of the release unless given.
        public: The terms of the public loss; those of the release unless given, none with ``{}``.
        weighting: How the losses of the tasks become one; their plain sum unless given.
        optimizer: Makes the optimizer; Adam with a step of 1e-3 unless given.
        scheduler: Makes a schedule of the step; constant unless given.
        metrics: Scores of the validation and test pairs.
        memory_limit: The memory in GiB that fusing a whole pair may take.
        skip_bad_losses: Leave out a batch with an infinite or undefined loss instead of ending the run.
    """

    network: GIFNet

    separate_tasks: ClassVar[bool] = False

    def __init__(
        self,
        network: GIFNet | None = None,
        objectives: dict[str, dict[str, LossTerm]] | None = None,
        public: dict[str, LossTerm] | None = None,
        weighting: LossWeighting | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        metrics: list[FusionMetric] | None = None,
        memory_limit: float = 6.0,
        skip_bad_losses: bool = False,
    ) -> None:
        super().__init__(
            network or GIFNet(),
            # The release does not train MEF: it has the loss of MFF.
            objectives
            or {
                "ivf": {"information": InformationError()},
                "mff": {"error": SquaredError()},
                "mef": {"error": SquaredError()},
            },
            weighting,
            optimizer or torch.optim.Adam,  # Whose own step is 1e-3.
            scheduler,
            metrics,
            memory_limit,
            skip_bad_losses,
        )
        self.public = Objective(
            {"structure": MultiScaleStructure(), "error": SquaredError()} if public is None else public
        )

    def on_fit_start(self) -> None:
        """Prepare the public loss too."""
        super().on_fit_start()
        self._prepare([self.public])

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """Weigh the losses of the tasks that are trained now.

        Raises:
            FusionLabError: A weighting is to weigh a single task.
        """
        mains = self.tasks_of(batch)
        if len(mains) == 1 < len(batch) and not isinstance(self.weighting, Equal):
            raise FusionLabError(
                f"In the phase `{self.phase}` there is one task, '{mains[0]}', and {type(self.weighting).__name__} has "
                "nothing to weigh it against: take fusion_lab.weighting.Equal, or train all tasks in each step, as "
                "experiments/gifnet/freezing/joint.yaml does."
            )
        return super().training_step(batch, batch_idx)

    def tasks_of(self, batch: Batch) -> list[str]:
        """Name the tasks of a batch that are trained now."""
        return [task for task in batch if self.phase in (None, _branch(task))]

    def task_terms(self, batch: Batch, tasks: Iterable[str] | None = None) -> dict[str, dict[str, Tensor]]:
        """Return every weighted loss term, a scalar, of ``tasks`` in ``batch``; of those trained now unless given.

        Raises:
            FusionLabError: The phase has no task in the batch, or a task is of no branch, or lacks its equal help.
        """
        mains = list(tasks or self.tasks_of(batch))
        if not mains:
            raise FusionLabError(
                f"No task of the batch ({', '.join(batch)}) belongs to the phase `{self.phase}`: name the phases of "
                f"AlternatingFreeze after branches ({', '.join(sorted(set(_BRANCHES.values())))}) that have data."
            )
        helping = {task: self._help(task, batch) for task in mains}
        needed = {*mains, *helping.values()}
        features = {task: self._encode(batch[task], task in mains) for task in batch if task in needed}
        return {task: self._main_terms(task, helping[task], batch, features) for task in mains}

    def _help(self, task: str, batch: Batch) -> str:
        """Name the task that helps another one: the first of the other branch, or itself where there is none."""
        if self.network.fixed_influence == 0:
            return task
        return next((other for other in batch if _branch(other) != _branch(task)), task)

    def _encode(self, sample: Sample, trained: bool) -> Tensor:
        with torch.set_grad_enabled(trained and torch.is_grad_enabled()):
            return self.network.encoder(sample["source_a"], sample["source_b"])

    def _main_terms(self, task: str, helping: str, batch: Batch, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of one task as the main one."""
        branch, sample = _branch(task), batch[task]
        if features[helping].shape != features[task].shape:
            sizes = " and ".join(str(tuple(batch[one]["source_a"].shape)) for one in (task, helping))
            raise FusionLabError(
                f"The tasks '{task}' and '{helping}' help each other, but their batches differ in size ({sizes}): use "
                "JointDataModule, or equal mixing."
            )
        fused = self.network.fuse(features[task], features[helping], branch, detach_auxiliary=self.phase is not None)
        terms = {f"private_{name}": term for name, term in self._terms(task, fused, sample).items()}
        if self.public.terms:
            reference = cast(Sample, {"target": sample["source_a"], **sample})
            public = self._measure(self.public, self.network.reconstruct(features[task]), reference)
            terms |= {f"public_{name}": term for name, term in public.items()}
        return terms


def _branch(task: str) -> BranchName:
    if task not in _BRANCHES:
        raise FusionLabError(f"GIFNet has no branch for the task '{task}': name it one of {', '.join(_BRANCHES)}.")
    return _BRANCHES[task]
