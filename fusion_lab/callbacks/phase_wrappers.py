"""What DDP has to know about training in phases."""

from typing import Any, cast

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from fusion_lab.modules import FusionModule
from fusion_lab.modules.undisturbed import undisturbed
from fusion_lab.types import Batch


class PhaseWrappers:
    """One DDP wrapper for each set of parameters that are trained together.

    A wrapper knows the parameters that can be trained when it is made: it neither waits for gradients of others nor
    sends them. Those of other phases, on the same parameters, rest as long as no forward pass goes through them.

    Args:
        strategy: The strategy, which has made the wrapper of the whole module.
    """

    def __init__(self, strategy: DDPStrategy) -> None:
        self._strategy = strategy
        self._whole = strategy.model
        self._made: dict[tuple[str, ...], tuple[Any, list[nn.Parameter]]] = {}

    def use(self, key: tuple[str, ...], module: FusionModule, batch: Batch) -> list[nn.Parameter]:
        """Let gradients go through the wrapper of a phase; all ranks call it at the same time.

        Args:
            key: What tells this set of parameters from others.
            module: The module, in the phase, with the parameters frozen that the phase names.
            batch: The batch that is trained on next, of the same tasks on all ranks.

        Returns:
            Parameters that the losses do not depend on: they must be frozen too.
        """
        if key not in self._made:
            unused = _unused(module, batch)
            for parameter in unused:
                parameter.requires_grad_(False)
            self._strategy.model = module
            self._strategy.configure_ddp()
            self._made[key] = (self._strategy.model, unused)
        self._strategy.model, unused = self._made[key]
        return unused

    def rest(self) -> None:
        """Use the wrapper of the whole module again."""
        self._strategy.model = self._whole


def _unused(module: FusionModule, batch: Batch) -> list[nn.Parameter]:
    """Find the parameters that can be trained and that the losses of a batch do not depend on."""
    candidates = [parameter for parameter in module.network.parameters() if parameter.requires_grad]
    precision: Any = module.trainer.precision_plugin
    with undisturbed(cast(nn.Module, module), module.device), torch.enable_grad(), precision.train_step_context():
        losses = list(module.task_losses(batch).values())
        found = torch.autograd.grad(
            losses, candidates, torch.ones_like(torch.stack(losses)).unbind(), allow_unused=True
        )
    return [parameter for parameter, gradient in zip(candidates, found, strict=True) if gradient is None]
