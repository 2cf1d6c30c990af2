"""Schedules of the optimizer's step that a configuration can name with others inside, and when they move on."""

import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from lightning import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, ReduceLROnPlateau, SequentialLR

from fusion_lab.errors import FusionLabError

ScheduleFactory = Callable[[Optimizer], LRScheduler]
Interval = Literal["step", "epoch"]
_NEVER = sys.maxsize

BY_FACTORIES = {
    "torch.optim.lr_scheduler.SequentialLR": "fusion_lab.modules.schedules.InTurn",
    "torch.optim.lr_scheduler.ChainedScheduler": "fusion_lab.modules.schedules.Together",
}
"""What a configuration gets where it names schedules of PyTorch that hold others: those want an optimizer first."""


class Factory:
    """What makes an optimizer or a schedule, shared by copies of the module, such as the average of its weights.

    What a configuration makes knows the trainer with its processes, which cannot be copied.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, made_for: Any) -> Any:
        """Make it for parameters, or for an optimizer."""
        return self._make(made_for)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Factory":
        return self


class InTurn(SequentialLR):
    """Schedules one after another, such as a warm-up and then a cosine.

    Args:
        optimizer: The optimizer.
        schedulers: What makes each of them.
        milestones: After how many steps, or epochs, each but the first begins.
        interval: Whether they move on every ``step`` or every ``epoch``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[ScheduleFactory],
        milestones: list[int],
        interval: Interval = "step",
    ) -> None:
        self.interval = interval
        super().__init__(optimizer, [make(optimizer) for make in schedulers], milestones)


class Together(ChainedScheduler):
    """Schedules at the same time, whose factors multiply; a single one where it moves on every epoch.

    Args:
        optimizer: The optimizer.
        schedulers: What makes each of them.
        interval: Whether they move on every ``step`` or every ``epoch``.
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[ScheduleFactory], interval: Interval = "step") -> None:
        self.interval = interval
        super().__init__([make(optimizer) for make in schedulers], optimizer)


def schedule_config(scheduler: LRScheduler) -> dict[str, Any]:
    """Tell Lightning when a schedule moves on: every step, or every epoch where its ``interval`` says so.

    One that waits for a plateau moves on after each validation, by `see_validation`.

    Raises:
        FusionLabError: It waits for a plateau of it knows not what, or a cosine has no length.
    """
    if any(getattr(one, "T_max", 1) <= 0 for one in _parts(scheduler)):
        raise FusionLabError("`T_max` of a schedule should be above 0: set `trainer.max_steps`, or a number of steps.")
    if not isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": getattr(scheduler, "interval", "step")}
    monitor = getattr(scheduler, "monitor", None)
    if monitor is None:
        raise FusionLabError(
            "The schedule ReduceLROnPlateau does not know what to watch: name lightning.pytorch.cli.ReduceLROnPlateau, "
            "with `monitor`, such as val/loss."
        )
    return {"scheduler": scheduler, "interval": "step", "frequency": _NEVER, "monitor": monitor, "strict": False}


def _parts(scheduler: LRScheduler) -> Iterator[LRScheduler]:
    """Return a schedule and those inside it."""
    yield scheduler
    for one in getattr(scheduler, "_schedulers", ()):
        yield from _parts(one)


def see_validation(trainer: Trainer) -> None:
    """Let a schedule that waits for a plateau see what validation gave.

    Raises:
        FusionLabError: Validation does not give what it watches.
    """
    if trainer.sanity_checking or trainer.state.fn != "fit":
        return
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau:
            value = trainer.callback_metrics.get(str(config.monitor))
            if value is None:
                known = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val/")))
                raise FusionLabError(
                    f"There is no `{config.monitor}` that a schedule could watch: choose one of {known}."
                )
            cast(ReduceLROnPlateau, config.scheduler).step(value)
