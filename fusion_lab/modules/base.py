"""The training step that all fusion networks share."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Adam, Optimizer
from torchmetrics import MetricCollection

from fusion_lab.errors import FusionLabError
from fusion_lab.losses import LossTerm, Objective
from fusion_lab.metrics.base import FusionMetric
from fusion_lab.modules.accumulation import Gradients, TaskGradients, loss_scale, task_gradient
from fusion_lab.modules.bad_losses import BadLosses
from fusion_lab.modules.evaluation import EvaluatedModule, total
from fusion_lab.modules.schedules import Factory, ScheduleFactory, schedule_config
from fusion_lab.networks import FusionNetwork
from fusion_lab.networks.layers.strips import WHOLE_MAPS, in_strips
from fusion_lab.types import Batch, Sample
from fusion_lab.weighting import Equal, LossWeighting
from fusion_lab.weighting.ranks import over_ranks

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = ScheduleFactory


class FusionModule(EvaluatedModule):
    """A fusion network, an objective for each task, and how the tasks are weighed against each other.

    Args:
        network: The network.
        objectives: The loss terms of each task, by name.
        weighting: How the losses of the tasks become one.
        optimizer: Makes the optimizer from the parameters; Adam with a step of 2e-5 unless given.
        scheduler: Makes a schedule of the step from the optimizer, advanced every step unless it says otherwise
            (`fusion_lab.modules.schedules`); constant unless given.
        metrics: Scores of the validation and test pairs, each logged as ``val/TASK/LABEL``; tasks that have no
            objective, such as those that TITA never trains on, are scored too.
        memory_limit: The memory in GiB that fusing a whole pair may take; what needs more is fused in tiles.
        skip_bad_losses: Leave out a batch with an infinite or undefined loss instead of ending the run.
        joint_pass: Fuse the sources of all tasks of a step together, if their patches have one size. A third of the
            kernels that a GPU is given, but the memory of all tasks at once, which otherwise go one after the other.
            The same step but for the draws of stochastic depth; networks with batch statistics would mix the tasks.

    Attributes:
        phase: What is trained now, where training has phases (`AlternatingFreeze` says so); None for everything.
        measured_again: Whether a callback tells the weighting the losses after each step (`MeasureAgain` says so).
    """

    phase: str | None = None
    measured_again: bool = False

    separate_tasks: ClassVar[bool] = True
    """Whether the loss of a task needs nothing that is computed for another one."""

    def __init__(
        self,
        network: FusionNetwork,
        objectives: dict[str, dict[str, LossTerm]],
        weighting: LossWeighting | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        metrics: list[FusionMetric] | None = None,
        memory_limit: float = 6.0,
        skip_bad_losses: bool = False,
        joint_pass: bool = False,
    ) -> None:
        super().__init__()
        self.joint_pass = joint_pass
        self.memory_limit = memory_limit
        self.skip_bad_losses = skip_bad_losses
        self.network = network
        self.objectives = nn.ModuleDict({task: Objective(terms) for task, terms in objectives.items()})
        self.weighting = weighting or Equal()
        self._make_optimizer = Factory(optimizer) if optimizer else None
        self._make_scheduler = Factory(scheduler) if scheduler else None
        labels = [metric.label for metric in metrics or []]
        if twice := {label for label in labels if labels.count(label) > 1}:
            raise FusionLabError(f"`metrics` has several metrics called {', '.join(sorted(twice))}: keep one of each.")
        # No compute groups: torchmetrics would merge metrics whose first values happen to be equal.
        self._metrics = MetricCollection(dict(zip(labels, metrics or [], strict=True)), compute_groups=False)
        self.metrics = nn.ModuleDict()

    def setup(self, stage: str) -> None:
        """Refuse a device that cannot score: metrics are computed in float64, as the field's programs do.

        Raises:
            FusionLabError: The device is Apple's MPS.
        """
        if self.trainer.strategy.root_device.type == "mps":
            raise FusionLabError(
                "Apple's MPS has no float64, in which metrics are computed: set `trainer.accelerator: cpu`."
            )

    def configure_model(self) -> None:
        """Tell the weighting which tasks are trained on, and give every task metrics of its own.

        Raises:
            FusionLabError: A task has no objective.
        """
        data = getattr(self._run, "datamodule", None)
        for task in getattr(data, "all_tasks", list(self.objectives)):
            if task not in self.metrics:
                self.metrics[task] = self._metrics.clone()
        tasks = getattr(data, "tasks", None) or list(self.objectives)
        if missing := [task for task in tasks if task not in self.objectives]:
            raise FusionLabError(
                f"The data has tasks without an objective ({', '.join(missing)}): add them to "
                f"`model.init_args.objectives`, which has {', '.join(self.objectives)}."
            )
        self.weighting.setup(tasks)
        self._gradients = TaskGradients()
        self._bad_losses = BadLosses(self.skip_bad_losses)
        # Tables never change and what weightings learn is the same everywhere: DDP need not send them at every step.
        still = [
            f"{prefix}.{name}".lstrip(".")
            for prefix, part in self.named_modules()
            if not hasattr(part, "running_mean")
            for name, _ in part.named_buffers(recurse=False)
        ]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, still)

    @property
    def _run(self) -> Trainer | None:
        """The trainer; None where a checkpoint is loaded by itself."""
        try:
            return self.trainer
        except RuntimeError:
            return None

    def on_fit_start(self) -> None:
        """Prepare the losses, and refuse a weighting that would never learn."""
        self._prepare([cast(Objective, objective) for objective in self.objectives.values()])
        if self.weighting.measures_again and not self.measured_again:
            raise FusionLabError(
                f"The weighting {type(self.weighting).__name__} learns from the losses after each step, which nothing "
                "measures: add fusion_lab.callbacks.MeasureAgain to `trainer.callbacks`."
            )

    def _prepare(self, objectives: list[Objective]) -> None:
        """Let objectives fetch what they need: the first process, then one on each other node, then the rest."""
        turn = 0 if self.global_rank == 0 else 1 if self.local_rank == 0 else 2
        for now in range(3 if self.trainer.world_size > 1 else 1):
            if now == turn:
                for objective in objectives:
                    objective.prepare()
            self.trainer.strategy.barrier()

    def configure_optimizers(self) -> Any:
        """Make the optimizer and, if there is one, its schedule."""
        parameters: list[Any] = list(self.network.parameters())
        if learnt := list(self.weighting.parameters()):
            lr = self.weighting.parameter_lr
            parameters = [{"params": parameters}, {"params": learnt, **({} if lr is None else {"lr": lr})}]
        try:
            optimizer = self._make_optimizer(parameters) if self._make_optimizer else Adam(parameters, lr=2e-5)
            if self._make_scheduler is None:
                return optimizer
            scheduler = self._make_scheduler(optimizer)
        except ValueError as error:
            raise FusionLabError(f"`optimizer` or `scheduler` has a wrong argument: {error}.") from None
        except ZeroDivisionError:
            raise FusionLabError(
                "The `scheduler` has a part of no steps, such as a warm-up of a short run: train longer, or give that "
                "part a larger share."
            ) from None
        return {"optimizer": optimizer, "lr_scheduler": schedule_config(scheduler)}

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        return self.network(source_a, source_b)

    def task_terms(self, batch: Batch, tasks: Iterable[str] | None = None) -> dict[str, dict[str, Tensor]]:
        """Return every weighted loss term, a scalar, of ``tasks`` in ``batch``; of those trained now unless given."""
        chosen = {task: batch[task] for task in tasks or batch}
        return {task: self._terms(task, fused, chosen[task]) for task, fused in self._fuse_all(chosen).items()}

    def _fuse_all(self, batch: Batch) -> dict[str, Tensor]:
        """Fuse the sources of each task: all tasks in one pass where that is wished and their sizes allow it."""
        shapes = {sample["source_a"].shape[1:] for sample in batch.values()}
        if not self.joint_pass or len(batch) == 1 or len(shapes) > 1:
            return {task: self.network(sample["source_a"], sample["source_b"]) for task, sample in batch.items()}
        a, b = (torch.cat([sample[source] for sample in batch.values()]) for source in ("source_a", "source_b"))
        fused = self.network(a, b).split([len(sample["source_a"]) for sample in batch.values()])
        return dict(zip(batch, fused, strict=True))

    def tasks_of(self, batch: Batch) -> list[str]:
        """Name the tasks of a batch that are trained now."""
        return list(batch)

    def _terms(self, task: str, fused: Tensor, sample: Sample) -> dict[str, Tensor]:
        """Return the weighted loss terms of a task."""
        return self._measure(self.objectives[task], fused, sample)

    @staticmethod
    def _measure(objective: nn.Module, image: Tensor, sample: Sample) -> dict[str, Tensor]:
        """Return weighted loss terms in float32 at least: SSIM's variances cancel in half precision."""
        if image.dtype in (torch.float16, torch.bfloat16):
            image = image.float()
        with torch.autocast(image.device.type, enabled=False):
            return objective(image, sample)

    def task_losses(self, batch: Batch, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the loss, a scalar, of ``tasks`` in ``batch``; of those trained now unless given."""
        # Without gradients networks are faster part by part; in one part, stochastic depth draws as in training.
        with in_strips(WHOLE_MAPS):
            return {task: total(terms) for task, terms in self.task_terms(batch, tasks).items()}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """Weigh the task losses; ``task_losses`` of the result are those before the step, without gradients.

        Returns:
            None where the batch is left out, unless batches before it make a step.

        Raises:
            FusionLabError: A loss is infinite or undefined; the batch is kept in ``bad_batches`` of the run.
        """
        if self._begins_another_epoch():
            self.weighting.end_epoch()
        terms, gradients = self._terms_and_gradients(batch)
        losses = over_ranks({task: total(parts) for task, parts in terms.items()})
        if self._bad_losses.leave_out(losses, batch, self.trainer, batch_idx):
            losses = {}
        loss, weighed = self._step_loss(losses, gradients, batch_idx)
        if losses and loss is not None:
            self._log_step(loss, weighed, losses, terms)
        if loss is None and self.trainer.world_size == 1:
            return None
        if loss is None:
            # DDP reduces at the last batch of a step, whatever it is.
            loss = torch.stack([(parameter * 0).sum() for parameter in self._trained]).sum()
        return {"loss": loss, "task_losses": {task: value.detach() for task, value in losses.items()}}

    def _terms_and_gradients(self, batch: Batch) -> tuple[dict[str, dict[str, Tensor]], dict[str, Gradients]]:
        """Compute the loss terms, and the gradient of each task where they are kept task by task until the step."""
        tasks = self.tasks_of(batch)
        several = len(tasks) > 1 and not self.joint_pass and self.separate_tasks
        accumulates = self.trainer.accumulate_grad_batches > 1 and not self.weighting.is_sum
        if not several and not accumulates:
            return self.task_terms(batch), {}
        trained, scale = self._trained, loss_scale(self.trainer)
        terms: dict[str, dict[str, Tensor]] = {}
        gradients: dict[str, Gradients] = {}
        groups = [[task] for task in tasks] if several else [tasks]
        for group in groups:
            found = self.task_terms(batch, group)
            for task in group:
                # Tasks of one pass share a part of their graphs.
                kept = task != group[-1]
                gradients[task] = task_gradient(total(found[task]), trained, scale, retain_graph=kept)
                terms[task] = {name: term.detach() for name, term in found[task].items()}
        return terms, gradients

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Let a step on nothing change nothing, whatever moments the optimizer has."""
        if self._bad_losses.whole_step:
            optimizer.zero_grad()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, also for a fused optimizer, which Lightning refuses in mixed precision for its scaler's sake.

        Raises:
            FusionLabError: There is such a scaler.
        """
        if not gradient_clip_val or not any(group.get("fused") for group in optimizer.param_groups):
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif getattr(self.trainer.precision_plugin, "scaler", None) is not None:
            raise FusionLabError(
                "In 16-mixed precision gradients are not clipped for a fused optimizer: take bf16-mixed."
            )
        else:
            by_value = gradient_clip_algorithm == "value"
            clip = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
            clip([parameter for group in optimizer.param_groups for parameter in group["params"]], gradient_clip_val)

    def _step_loss(
        self, losses: dict[str, Tensor], gradients: dict[str, Gradients], batch_idx: int
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Return the loss whose gradient goes to the optimizer, None if there is nothing to step on, and its parts."""
        if not gradients:
            return (self.weighting(losses) if losses else None), losses
        if losses:
            self._gradients.add(losses, gradients, self._trained)
        accumulated: int = self.trainer.accumulate_grad_batches
        if self.weighting.is_sum or (batch_idx + 1) % accumulated == 0 or self.trainer.is_last_batch:
            return self._gradients.weigh(self.weighting) if self._gradients else (None, {})
        # A number that no parameter has a part in: the gradients are kept.
        return (total(losses).detach().requires_grad_() if losses else None), {}

    def _log_step(
        self,
        loss: Tensor,
        weighed: dict[str, Tensor],
        losses: dict[str, Tensor],
        terms: dict[str, dict[str, Tensor]],
    ) -> None:
        """Log the weight, the loss and the terms of each task."""
        if weighed and (self.trainer.accumulate_grad_batches == 1 or self.weighting.is_sum):
            weights = torch.autograd.grad(loss, list(weighed.values()), retain_graph=True, allow_unused=True)
            for task, weight in zip(weighed, weights, strict=True):
                # Aggregations of gradients give the losses themselves no weight.
                if weight is not None:
                    self.log(f"train/{task}/weight", weight)
        for task, parts in terms.items():
            self.log(f"train/{task}/loss", losses[task].detach())
            self.log_dict({f"train/{task}/{name}": part.detach() for name, part in parts.items()})
        whole = total(losses).detach()
        self.log("train/loss", whole)
        bar = self.trainer.progress_bar_callback
        if bar is not None and self.trainer.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            # Logged with `prog_bar`, it would be taken from the device at every step.
            self.trainer.progress_bar_metrics["train/loss"] = whole.item()

    @property
    def _trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def _begins_another_epoch(self) -> bool:
        """Tell it from the number of batches: Lightning's own hook is left out where a run resumes at its time."""
        done: int = self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        return done > 0 and done % int(self.trainer.num_training_batches) == 0

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the weighting from the checkpoint only to train on: evaluation may go with any other."""
        if self._run is None or self._run.state.fn != "fit":
            own = {f"weighting.{name}": value for name, value in self.weighting.state_dict().items()}
            kept = {k: v for k, v in checkpoint["state_dict"].items() if not k.startswith("weighting.")}
            checkpoint["state_dict"] = {**kept, **own}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how the network was built, so that the checkpoint alone is enough to fuse with."""
        checkpoint["network"] = self.network.description
