"""Every touch of what Lightning keeps to itself, as read in its version `READ_AT`.

Nothing else in the package uses an attribute of Lightning whose name begins with an underscore
(``tests/test_architecture.py``); ``tests/callbacks/test_lightning_internals.py`` fails first when one moves.
"""

from typing import Any, cast

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.strategies import DDPStrategy

READ_AT = "2.6.6"


def count_validation(trainer: Trainer) -> None:
    """Let the pairs of validation be counted before the first one, as `validation_follows` needs.

    `EvaluationLoop.setup_data` makes the loader of the stage that the trainer is in.
    """
    if trainer.enable_validation:
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.setup_data()
        trainer.training = True


def validation_follows(trainer: Trainer) -> bool:
    """Tell after a training batch whether validation comes next."""
    loop: Any = trainer.fit_loop
    # Lightning also thinks of validating without any pairs, and then does not.
    batches: Any = trainer.num_val_batches
    return sum(batches) > 0 and bool(loop.epoch_loop._should_check_val_fx(loop._data_fetcher))


def amid_step(trainer: Trainer) -> bool:
    """Tell after a training batch whether its optimizer step wants more batches."""
    return bool(trainer.fit_loop.epoch_loop._should_accumulate())


def save_if_due(callback: ModelCheckpoint, trainer: Trainer, module: LightningModule) -> None:
    """Save a regular checkpoint if it is time.

    `ModelCheckpoint.on_train_batch_end` looks at the trainer alone, where the optimization is automatic: at neither the
    outputs, nor the batch, nor its number.
    """
    ModelCheckpoint.on_train_batch_end(callback, trainer, module, None, None, 0)


def row_due(trainer: Trainer) -> dict[str, Any] | None:
    """Return the row of the step that has just been done, unless it is logged already or its turn has not come."""
    connector: Any = trainer._logger_connector
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    is_logged = batches.completed == batches.processed
    if not trainer.training or is_logged or not connector.should_update_logs or trainer._results is None:
        return None
    numbers = {name: float(value) for name, value in trainer._results.metrics(on_step=True)["log"].items()}
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    return {"step": step, **numbers, "epoch": trainer.current_epoch} if numbers else None


def finds_unused_parameters(strategy: DDPStrategy) -> bool:
    """Tell whether DDP looks for parameters without gradient at every step."""
    return bool(cast(Any, strategy)._ddp_kwargs.get("find_unused_parameters"))


def name_wandb_run(logger: WandbLogger, name: str) -> None:
    """Let a logger go on with the run of an id, unless it has one; W&B looks at the environment once a process."""
    if logger._id is None:
        logger._wandb_init["id"] = logger._id = name


def set_progress(trainer: Trainer, steps: int, epochs: int) -> None:
    """Let a trainer that only evaluates a checkpoint tell the steps and epochs of it, which Lightning leaves at 0."""
    loop, epochs_done = trainer.fit_loop.epoch_loop, cast(Any, trainer.fit_loop.epoch_progress.current)
    loop.automatic_optimization.optim_progress.optimizer.step.total.completed = steps
    loop._batches_that_stepped = steps
    epochs_done.processed = epochs
