"""What the package uses of Lightning's own attributes is there, and is what it was when it was read."""

import inspect
import re

import lightning
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.connectors.logger_connector import _LoggerConnector

from fusion_lab.callbacks import MovingAverage
from fusion_lab.callbacks.lightning_internals import READ_AT
from tests.tiny import trainer


def test_this_is_the_version_that_was_read():
    """With another, read anew what `lightning_internals` uses, then change READ_AT."""
    assert lightning.__version__ == READ_AT


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (_TrainingEpochLoop, "_should_check_val_fx"),
        (_TrainingEpochLoop, "_should_accumulate"),
        (_EvaluationLoop, "setup_data"),
        (_LoggerConnector, "should_update_logs"),
    ],
)
def test_methods_are_there(cls, name):
    assert hasattr(cls, name)


def test_attributes_are_there(tmp_path):
    made = trainer(tmp_path, max_steps=1)
    assert isinstance(made.fit_loop, _FitLoop)
    assert hasattr(made.fit_loop, "_data_fetcher")
    assert made.fit_loop.epoch_loop._batches_that_stepped == 0
    assert isinstance(made._logger_connector, _LoggerConnector)
    assert hasattr(type(made), "_results")
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    assert logger._wandb_init["id"] is logger._id is None
    assert DDPStrategy(find_unused_parameters=True)._ddp_kwargs == {"find_unused_parameters": True}


def test_a_regular_checkpoint_depends_on_the_trainer_alone():
    source = inspect.getsource(ModelCheckpoint.on_train_batch_end)
    automatic = source[source.index("# Original logic for automatic optimization") :]
    assert not re.search(r"\b(outputs|batch|batch_idx)\b", re.sub("#.*", "", automatic))


def test_the_average_is_where_it_was():
    assert {"_average_model", "_latest_update_step", "_device"} <= vars(MovingAverage()).keys()
    assert "self._latest_update_step" in inspect.getsource(WeightAveraging.state_dict) + inspect.getsource(
        WeightAveraging.on_train_batch_end
    )
