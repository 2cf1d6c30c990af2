"""Which checkpoints are kept."""

import os
import signal

import pytest
import torch
from lightning import Callback

from fusion_lab.callbacks import REQUEUE, BestCheckpoint, Checkpoints, StopBetweenBatches
from fusion_lab.errors import FusionLabError
from fusion_lab.metrics import Entropy
from tests.tiny import data, make_pairs, module, trainer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=2, mff=2, mef=2)


class Pretend(Callback):
    """Let a metric have chosen values, one a validation."""

    def __init__(self, name, values):
        self.name, self.values = name, iter(values)

    def on_validation_epoch_end(self, trainer, pl_module):
        value = next(self.values)
        pl_module.log_dict = lambda *_, **__: None
        pl_module.log = lambda name, *_, **__: None
        type(pl_module).log(pl_module, self.name, torch.tensor(value))


class SignalInValidation(Callback):
    """What a cluster sends during a validation."""

    def __init__(self, step):
        self.step = step

    def on_validation_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def fit(folder, root, few, *callbacks, steps=5, ckpt=None, **options):
    options = {"val_check_interval": 1, "check_val_every_n_epoch": None, **options}
    run = trainer(folder, max_steps=steps, callbacks=[*callbacks], enable_checkpointing=True, **options)
    run.fit(module(metrics=[Entropy()]), data(root, few), ckpt_path=ckpt, weights_only=True)


def regular(folder):
    return sorted(path.name for path in folder.glob("step=*.ckpt"))


def keeping(folder):
    return Checkpoints(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1, keep=2, save_last=True)


def test_newest_are_kept_also_by_a_run_that_goes_on(root, few, tmp_path):
    fit(tmp_path, root, few, keeping(tmp_path), steps=3)
    assert regular(tmp_path) == ["step=2.ckpt", "step=3.ckpt"]
    fit(tmp_path, root, few, keeping(tmp_path), steps=5, ckpt=tmp_path / "last.ckpt")
    assert regular(tmp_path) == ["step=4.ckpt", "step=5.ckpt"]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 5


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("val/loss", [3.0, 1.0, 2.0, 1.5, 4.0], 2),
        ("val/ivf/loss", [3.0, 2.0, 1.0, 1.5, 0.5], 5),
        ("val/ivf/EN", [3.0, 1.0, 4.0, 1.5, 2.0], 3),
    ],
)
def test_best_is_the_lowest_loss_or_the_highest_score(root, few, tmp_path, metric, values, best):
    fit(tmp_path, root, few, Pretend(metric, values), BestCheckpoint(tmp_path, metric))
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == best
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


class Found(Callback):
    """Remember which checkpoints there are when validation begins."""

    def __init__(self, folder):
        self.folder, self.names = folder, []

    def on_validation_start(self, trainer, pl_module):
        self.names.append(regular(self.folder))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, [[], ["step=1.ckpt"], ["step=1.ckpt", "step=2.ckpt"], ["step=2.ckpt", "step=3.ckpt"]]),
        ({"val_check_interval": None, "check_val_every_n_epoch": 2}, [["step=2.ckpt", "step=3.ckpt"]]),
    ],
    ids=["every step", "every second epoch"],
)
def test_a_step_is_kept_after_its_validation(root, few, tmp_path, options, names):
    """A run resumed from it would leave validation out."""
    found = Found(tmp_path)
    fit(tmp_path, root, few, found, keeping(tmp_path), steps=4, **options)
    assert found.names == names
    assert regular(tmp_path) == ["step=3.ckpt", "step=4.ckpt"]


def best_step(folder):
    return torch.load(folder / "best.ckpt", weights_only=True)["global_step"]


@pytest.mark.parametrize(
    ("metric", "values", "then", "best"),
    [
        ("val/loss", [3.0, 1.0, 2.0], [1.5, 4.0], 2),
        ("val/loss", [3.0, 1.0, 2.0], [1.5, 0.5], 5),
        ("val/ivf/EN", [1.0, 4.0, 2.0], [3.0, 0.5], 2),
        ("val/ivf/EN", [1.0, 4.0, 2.0], [3.0, 5.0], 5),
    ],
)
def test_best_is_that_of_the_whole_run_also_if_it_goes_on(root, few, tmp_path, metric, values, then, best):
    fit(tmp_path, root, few, Pretend(metric, values), BestCheckpoint(tmp_path, metric), keeping(tmp_path), steps=3)
    assert best_step(tmp_path) == 2
    again = [Pretend(metric, then), BestCheckpoint(tmp_path, metric), keeping(tmp_path)]
    fit(tmp_path, root, few, *again, ckpt=tmp_path / "last.ckpt")
    assert best_step(tmp_path) == best


def test_a_run_stopped_in_a_validation_knows_what_it_kept(root, few, tmp_path):
    def callbacks(values):
        return [Pretend("val/ivf/EN", values), BestCheckpoint(tmp_path, "val/ivf/EN"), keeping(tmp_path)]

    stop = [SignalInValidation(2), StopBetweenBatches(tmp_path)]
    with pytest.raises(SystemExit) as end:
        fit(tmp_path, root, few, *callbacks([1.0, 4.0]), *stop)
    assert end.value.code == REQUEUE
    assert best_step(tmp_path) == 2
    assert regular(tmp_path) == ["step=1.ckpt", "step=2.ckpt"]
    fit(tmp_path, root, few, *callbacks([3.0, 2.0, 3.5]), ckpt=tmp_path / "interrupted.ckpt")
    assert best_step(tmp_path) == 2
    assert regular(tmp_path) == ["step=4.ckpt", "step=5.ckpt"]


def test_a_metric_that_there_is_not_is_told_at_the_start(root, few, tmp_path):
    with pytest.raises(FusionLabError, match=r"There is no `val/ivf/Qabf`.*val/ivf/EN, val/ivf/loss"):
        fit(tmp_path, root, few, BestCheckpoint(tmp_path, "val/ivf/Qabf"))


def test_without_validation_there_is_no_best(root, few, tmp_path):
    fit(tmp_path, root, few, BestCheckpoint(tmp_path), limit_val_batches=0, steps=2)
    assert not list(tmp_path.iterdir())
