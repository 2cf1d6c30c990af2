"""The history of a run is one file, whatever happened in between."""

import csv

import pytest
import torch
from lightning import Callback

from fusion_lab.callbacks import Checkpoints, HistoryLogger, KeepHistory, MeasureAgain, MovingAverage, RepeatableNoise
from fusion_lab.weighting import FAMO
from tests.tiny import data, make_pairs, module, trainer

STEPS = 7  # Epochs of 3 steps.


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=3, mff=2, mef=1)


class Break(Callback):
    """The process ends in a hook, at a step."""

    def __init__(self, hook, step):
        self.hook, self.step = hook, step
        setattr(self, hook, self._break)

    def _break(self, trainer, *_):
        if trainer.global_step == self.step:
            raise RuntimeError("killed")


def fit(folder, root, few, *more, ckpt=None, every=2, **options):
    callbacks = [
        KeepHistory(),
        RepeatableNoise(),
        MeasureAgain(),
        MovingAverage(decay=0.5),
        *more,
        Checkpoints(folder, filename="{step}", every_n_train_steps=every, save_top_k=-1, save_last=True),
    ]
    options = {"max_steps": STEPS, "log_every_n_steps": 2, **options}
    # Whatever happened before must not matter.
    torch.manual_seed(1 if ckpt else 0)
    logger = HistoryLogger(folder / "log")
    run = trainer(folder, callbacks=callbacks, enable_checkpointing=True, logger=logger, **options)
    run.fit(module(FAMO()), data(root, few), ckpt_path=ckpt, weights_only=True)


def told(folder):
    return (folder / "log" / "metrics.csv").read_text()


RHYTHMS = {"epochs": {}, "interval": {"val_check_interval": 2}}


@pytest.fixture(scope="module")
def whole(root, few, tmp_path_factory):
    """The history of an uninterrupted run in each rhythm of validation."""
    histories = {}
    for rhythm, options in RHYTHMS.items():
        folder = tmp_path_factory.mktemp(rhythm)
        fit(folder, root, few, every=1, **options)
        histories[rhythm] = told(folder)
    return histories


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize(
    ("hook", "step"),
    [
        ("on_train_batch_start", 2),
        ("on_train_batch_start", 3),
        ("on_validation_start", 2),
        ("on_validation_start", 3),
        ("on_train_batch_end", 5),
        ("on_validation_end", 6),
    ],
)
def test_resumed_after_any_end_it_is_that_of_an_uninterrupted_run(whole, root, few, tmp_path, hook, step, rhythm):
    options = {"every": 1, **RHYTHMS[rhythm]}
    try:
        fit(tmp_path, root, few, Break(hook, step), **options)
    except RuntimeError:
        fit(tmp_path, root, few, ckpt=tmp_path / "last.ckpt", **options)
    assert told(tmp_path) == whole[rhythm]


def test_rows_of_steps_that_are_done_again_are_not_doubled(root, few, tmp_path):
    fit(tmp_path, root, few)
    before = told(tmp_path)
    fit(tmp_path, root, few, ckpt=tmp_path / "step=2.ckpt")
    assert told(tmp_path) == before


def rows(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_new_columns_keep_old_rows(tmp_path):
    logger = HistoryLogger(tmp_path)
    logger.begin()
    logger.log_metrics({"b": 1.5}, step=0)
    logger.log_metrics({"a": 2}, step=1)
    logger.log_metrics({"b": 3}, step=2)
    assert rows(tmp_path / "metrics.csv") == [
        {"step": "0", "a": "", "b": "1.5"},
        {"step": "1", "a": "2", "b": ""},
        {"step": "2", "a": "", "b": "3"},
    ]


def test_a_torn_last_line_is_forgotten(tmp_path):
    logger = HistoryLogger(tmp_path)
    logger.begin()
    logger.log_metrics({"a": 1, "b": 2}, step=0)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1,0.1")
    again = HistoryLogger(tmp_path)
    again.begin(rows=2, last={"step": 1, "a": 3, "b": 4})
    assert [row["a"] for row in rows(tmp_path / "metrics.csv")] == ["1", "3"]


def test_scores_without_training_go_elsewhere(tmp_path):
    HistoryLogger(tmp_path).log_metrics({"test/loss": 1.0}, step=0)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
