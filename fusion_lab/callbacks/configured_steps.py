"""Going on with the optimizer's step as the configuration says now, not as it said when the run began."""

import copy
import warnings
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import LRSchedulerConfig
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fusion_lab.errors import FusionLabError

_PARAMETERS = "params"
_KEY = "configured_steps"
# With these an optimizer keeps more of each parameter than it does without.
_KEEPS_MORE = ("amsgrad", "centered", "momentum")
_WATCHED = ("monitor", "mode")
_SEEN = {"best", "num_bad_epochs", "cooldown_counter", "last_epoch"}


class ConfiguredSteps(Callback):
    """Take the step, its schedule and all other numbers of the optimizer from the configuration when a run goes on.

    Checkpoints hold them too, and PyTorch would restore those: a longer cosine would rise again and a new ``lr`` be
    ignored. The moments and the place in the schedule are kept. A schedule is brought to its place by as many steps as
    have been done, so that an unchanged one goes on bit for bit. One that waits for a plateau keeps what it has seen
    and how far it has come.
    """

    def __init__(self) -> None:
        self._stored: list[dict[str, Any]] | None = None
        self._told: Mapping[str, Any] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note what cannot be changed later, and where the steps began."""
        checkpoint[_KEY] = {
            "optimizers": [_name(optimizer) for optimizer in trainer.optimizers],
            "intervals": [_interval(config) for config in trainer.lr_scheduler_configs],
            "first": [[group["lr"] for group in groups] for groups in self._groups],
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the stored schedules from being restored."""
        if trainer.state.fn == "fit":
            self._stored, checkpoint["lr_schedulers"] = checkpoint.get("lr_schedulers", []), []
            self._told = checkpoint.get(_KEY, {})

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember what the configuration says, before the optimizer is restored.

        Raises:
            FusionLabError: The optimizer is another one than that of the checkpoint.
        """
        names = [_name(optimizer) for optimizer in trainer.optimizers]
        if self._told.get("optimizers", names) != names:
            before = ", ".join(self._told["optimizers"])
            raise FusionLabError(
                f"The run was trained with {before}, whose moments {', '.join(names)} cannot take over: go on with the "
                "same optimizer, or start a run of another --exp.name."
            )
        self._groups = [_numbers(optimizer) for optimizer in trainer.optimizers]
        self._schedules = [copy.deepcopy(config.scheduler.state_dict()) for config in trainer.lr_scheduler_configs]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring what the configuration says to the place that has been reached.

        Raises:
            FusionLabError: The optimizer needs of each parameter what it has not kept so far.
        """
        if self._stored is None:
            return
        reached = {optimizer: [group["lr"] for group in optimizer.param_groups] for optimizer in trainer.optimizers}
        for optimizer, groups in zip(trainer.optimizers, self._groups, strict=True):
            for group, configured in zip(optimizer.param_groups, groups, strict=True):
                _check(optimizer, group, configured)
                group.update(configured)
        for number, (config, fresh) in enumerate(zip(trainer.lr_scheduler_configs, self._schedules, strict=True)):
            stored = self._stored[number] if number < len(self._stored) else {}
            if config.reduce_on_plateau:
                self._go_on_waiting(config.scheduler, stored, reached)
            else:
                config.scheduler.load_state_dict(fresh)
                intervals = self._told.get("intervals", [])
                same = number < len(intervals) and intervals[number] == _interval(config)
                done = trainer.global_step if config.interval == "step" else trainer.current_epoch
                _advance(config.scheduler, _moves(stored) if same else done)
        self._stored = None

    def _go_on_waiting(self, scheduler: Any, stored: dict[str, Any], reached: dict[Optimizer, list[float]]) -> None:
        """Let a schedule keep what it has seen, and the share of its first step that it has come down to."""
        if "num_bad_epochs" not in stored or any(stored.get(key) != getattr(scheduler, key) for key in _WATCHED):
            return
        for key in _SEEN & stored.keys():
            setattr(scheduler, key, stored[key])
        now = reached[scheduler.optimizer]
        first = self._told.get("first", [now])[0]
        for group, step, began in zip(scheduler.optimizer.param_groups, now, first, strict=True):
            # Where nothing is new, no rounding either.
            group["lr"] = step if group["lr"] == began else group["lr"] * step / began if began else group["lr"]
        scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def _interval(config: LRSchedulerConfig) -> str:
    return "validation" if config.reduce_on_plateau else config.interval


def _moves(stored: dict[str, Any]) -> int:
    """Count how often a stored schedule has moved on; one that holds others counts as the first of them."""
    return int(stored["last_epoch"]) if "last_epoch" in stored else _moves(stored["_schedulers"][0])


def _advance(scheduler: LRScheduler, times: int) -> None:
    with warnings.catch_warnings():
        # It moves on without the optimizer, which has moved on before.
        warnings.simplefilter("ignore", UserWarning)
        try:
            for _ in range(times):
                scheduler.step()
        except ValueError as error:
            raise FusionLabError(f"The schedule of the configuration ends before step {times}: {error}.") from None


def _check(optimizer: Optimizer, stored: dict[str, Any], configured: dict[str, Any]) -> None:
    """Refuse what an optimizer would need from the start."""
    # SGD makes its momentum of nothing.
    keys = [] if isinstance(optimizer, SGD) else _KEEPS_MORE
    if new := [key for key in keys if configured.get(key) and not stored.get(key)]:
        raise FusionLabError(
            f"`{new[0]}` of {_name(optimizer)} cannot be switched on in a run that goes on, because it needs what has "
            "not been kept so far: leave it, or start a run of another --exp.name."
        )


def _numbers(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [
        {key: copy.deepcopy(value) for key, value in group.items() if key != _PARAMETERS}
        for group in optimizer.param_groups
    ]


def _name(optimizer: Optimizer) -> str:
    cls = type(getattr(optimizer, "_optimizer", optimizer))
    return f"{cls.__module__}.{cls.__qualname__}"
