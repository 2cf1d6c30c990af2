"""Training on compiled code."""

from collections.abc import Iterator

import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn

from fusion_lab.modules import FusionModule

_RECOMPILE_LIMIT = 64


class Compile(Callback):
    """Let `torch.compile` make the parts of a network faster in training; the first steps take a minute or so longer.

    Each part with a forward pass of its own is compiled by itself and in place: checkpoints, averages and whoever
    freezes parts see the same modules and names. Validation, whose images have many sizes, runs the network as it is.

    A graph is made for each part, with and without gradients (FAMO's second pass), and for each new size of batch; one
    counter of PyTorch's counts them all. Its limit is raised from 8, where parts would silently run uncompiled.

    Args:
        backend: What compiles the graphs; ``aot_eager`` only traces them, to look for mistakes.
        mode: How hard inductor tries, such as ``max-autotune``.
    """

    def __init__(self, backend: str = "inductor", mode: str | None = None) -> None:
        self.backend = backend
        self.mode = mode

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compile what will be trained."""
        if stage == "fit" and isinstance(pl_module, FusionModule):
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _RECOMPILE_LIMIT)
            for part in _with_forward(pl_module.network):
                part.compile(backend=self.backend, mode=self.mode)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Run the network as it is."""
        torch.compiler.set_stance("force_eager")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Run the compiled code again."""
        torch.compiler.set_stance("default")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave nothing changed."""
        torch.compiler.set_stance("default")


def _with_forward(module: nn.Module) -> Iterator[nn.Module]:
    """Find the outermost parts that are called, not those that only hold others."""
    for part in module.children():
        if type(part).forward is not nn.Module.forward:
            yield part
        else:
            yield from _with_forward(part)
