"""Training parts of a network in turn."""

from typing import Literal, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.optim import Optimizer

from fusion_lab.callbacks.lightning_internals import finds_unused_parameters
from fusion_lab.callbacks.phase_wrappers import PhaseWrappers
from fusion_lab.errors import FusionLabError
from fusion_lab.modules import FusionModule
from fusion_lab.types import Batch


class AlternatingFreeze(Callback):
    """Train in phases that follow each other over and over, each with some groups of parameters frozen.

    Every phase lasts ``every`` optimizer steps or epochs. Its number follows from the trainer's step or epoch alone, so
    that gradient accumulation keeps to it and a resumed run goes on in the phase in which it was. The module learns
    the name of the phase as `FusionModule.phase`; for GIFNet it is the name of the branch whose tasks are trained.

    A frozen parameter has no gradient: no optimizer moves it, whatever its moments, and clipping does not count it.
    Normalisation layers in a frozen group keep their running statistics. An average of the weights goes on averaging
    what is there. Nothing is frozen before the first batch, and nothing after the last one, so that optimizers know all
    parameters.

    Under DDP each phase has a wrapper of its own (`PhaseWrappers`), of the parameters that its losses depend on: the
    gradients of others are neither waited for nor sent. Where ``find_unused_parameters`` is set, which is not needed,
    one wrapper does it all.

    Args:
        phases: The groups that are frozen in each phase, in order. A group is a part of the network or the beginning of
            the dotted name of its parameters, such as ``multi_modal`` or ``multi_modal.blocks.0``.
        every: How long a phase lasts.
        unit: What ``every`` counts.
        drift: Give a parameter that has been moved before a gradient of zero where its phase leaves it none, as
            PyTorch did up to 1.13: Adam then moves it on by its moments, also where it should be frozen.

    Raises:
        FusionLabError: A group names no parameters, or there is another AlternatingFreeze.
    """

    def __init__(
        self,
        phases: dict[str, list[str]],
        every: int = 1,
        unit: Literal["step", "epoch"] = "step",
        drift: bool = False,
    ) -> None:
        if not phases:
            raise FusionLabError("`phases` of AlternatingFreeze is empty: name the frozen groups of each phase.")
        if every < 1:
            raise FusionLabError(f"`every` of AlternatingFreeze should be at least 1. Found `every = {every}`.")
        self.phases = phases
        self.every = every
        self.unit = unit
        self.drift = drift
        self._frozen: list[nn.Parameter] = []
        self._still: list[nn.Module] = []
        self._key: tuple[str, ...] = ()
        self._wrappers: PhaseWrappers | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the groups, and that nobody else freezes."""
        if sum(isinstance(callback, AlternatingFreeze) for callback in trainer.callbacks) > 1:  # type: ignore[attr-defined]
            raise FusionLabError(
                "`trainer.callbacks` has several AlternatingFreeze, which would undo each other: begin with an "
                "experiment that has none, such as experiments/gifnet/freezing/joint.yaml, and add one."
            )
        network = cast(FusionModule, pl_module).network
        names = [name for name, _ in network.named_parameters()]
        for group in (group for groups in self.phases.values() for group in groups):
            if not any(_belongs(name, group) for name in names):
                raise FusionLabError(
                    f"AlternatingFreeze cannot freeze `{group}`: {type(network).__name__} has the parts "
                    f"{', '.join(network.parts())}, and parts of those such as {names[0].rpartition('.')[0]}."
                )
        strategy = trainer.strategy
        separate = isinstance(strategy, DDPStrategy) and not finds_unused_parameters(strategy)
        self._wrappers = PhaseWrappers(cast(DDPStrategy, strategy)) if separate else None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Begin the phase that the step or the epoch belongs to."""
        module = cast(FusionModule, pl_module)
        done = trainer.global_step if self.unit == "step" else trainer.current_epoch
        phase = list(self.phases)[done // self.every % len(self.phases)]
        # What a phase trains may depend on which tasks there are; within a step it must not change.
        begins = batch_idx % trainer.accumulate_grad_batches == 0
        if begins and (key := (phase, *batch)) != self._key:
            self._release(module)
            module.phase, self._key = phase, key
            self._freeze(module.network, self.phases[phase])
            if self._wrappers:
                self._frozen += self._wrappers.use(key, module, batch)
                for parameter in self._frozen:
                    parameter.requires_grad_(False)
                    parameter.grad = None

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Let parameters without gradient drift, if they shall."""
        if self.drift:
            for parameter in optimizer.state:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let go of everything."""
        self._release(cast(FusionModule, pl_module))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let go of everything."""
        self._release(cast(FusionModule, pl_module))

    def _freeze(self, network: nn.Module, groups: list[str]) -> None:
        for name, parameter in network.named_parameters():
            if parameter.requires_grad and any(_belongs(name, group) for group in groups):
                parameter.requires_grad_(False)
                parameter.grad = None
                self._frozen.append(parameter)
        for name, layer in network.named_modules():
            # Layers with running statistics, of any kind.
            if hasattr(layer, "running_mean") and layer.training and any(_belongs(name, group) for group in groups):
                layer.eval()
                self._still.append(layer)

    def _release(self, module: FusionModule) -> None:
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        for layer in self._still:
            layer.train()
        self._frozen, self._still, self._key, module.phase = [], [], (), None
        if self._wrappers:
            self._wrappers.rest()


def _belongs(name: str, group: str) -> bool:
    return name == group or name.startswith(f"{group}.")
