"""A run that was interrupted anywhere ends as if it had not been."""

from functools import partial

import pytest
import torch
from lightning import Callback

from fusion_lab.callbacks import Checkpoints, MeasureAgain, MovingAverage, RepeatableNoise
from fusion_lab.weighting import FAMO
from tests.tiny import Names, data, make_pairs, module, trainer

STEPS = 7  # Epochs of 3 steps.
EPOCH = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=3, mff=2, mef=1)


class Validated(Callback):
    """Remember after how many batches validation came."""

    def __init__(self):
        self.batches = []

    def on_validation_end(self, trainer, pl_module):
        self.batches.append(trainer.fit_loop.epoch_loop.batch_progress.total.processed)


class Run:
    """One run, kept with everything that it ends with."""

    def __init__(self, folder, root, few, ckpt=None, workers=0, schedule=True, every=1, reuse=False, **arguments):
        # Whatever happened before must not matter.
        torch.manual_seed(1 if ckpt else 0)
        one_cycle = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2, total_steps=STEPS)
        trained = module(
            FAMO(reuse_next_loss=reuse),
            drop_path=0.5,
            optimizer=partial(torch.optim.Adam, lr=1e-3),
            scheduler=one_cycle if schedule else None,
        )
        self.names, validated = Names(), Validated()
        callbacks = [
            RepeatableNoise(3),
            MeasureAgain(),
            MovingAverage(decay=0.8),
            self.names,
            validated,
            Checkpoints(folder, filename="{step}", every_n_train_steps=every, save_top_k=-1, save_last=True),
        ]
        options = {"max_steps": STEPS, "callbacks": callbacks, "enable_checkpointing": True, **arguments}
        fit = trainer(folder, **options)
        fit.fit(trained, data(root, few, num_workers=workers), ckpt_path=ckpt, weights_only=True)
        self.end = torch.load(folder / "last.ckpt", weights_only=True)
        assert fit.global_step == self.end["global_step"]
        self.epoch = fit.current_epoch
        self.validated = validated.batches


def load(folder, step):
    return torch.load(folder / f"step={step}.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, root, few):
    folder = tmp_path_factory.mktemp("whole")
    return folder, Run(folder, root, few)


def assert_equal_ends(resumed, whole):
    """The averaged weights, the logits and the current weights are bit-equal, and the state of both Adams."""
    for part in ("state_dict", "current_model_state"):
        assert resumed[part].keys() == whole[part].keys()
        assert "weighting.logits" in resumed[part]
        for name, tensor in whole[part].items():
            assert torch.equal(resumed[part][name], tensor), (part, name)
    [one], [other] = resumed["optimizer_states"], whole["optimizer_states"]
    assert one["param_groups"] == other["param_groups"]
    assert one["state"].keys() == other["state"].keys()
    for number, state in other["state"].items():
        assert all(torch.equal(one["state"][number][name], tensor) for name, tensor in state.items())
    assert resumed["lr_schedulers"] == whole["lr_schedulers"]
    assert resumed["MultiTaskDataModule"] == whole["MultiTaskDataModule"]


def test_what_is_compared_differs_from_step_to_step(whole):
    folder, run = whole
    before = load(folder, STEPS - 1)
    for part in ("state_dict", "current_model_state"):
        for name in ("network.head.0.weight", "weighting.logits"):
            assert not torch.equal(before[part][name], run.end[part][name])
    assert len(set(run.names.seen)) == STEPS


@pytest.mark.parametrize("step", range(1, STEPS))
def test_run_resumed_after_any_step_ends_bit_equal(whole, root, few, tmp_path, step):
    folder, run = whole
    resumed = Run(tmp_path, root, few, ckpt=folder / f"step={step}.ckpt")
    assert resumed.names.seen == run.names.seen[step:]
    assert_equal_ends(resumed.end, run.end)
    assert resumed.epoch == run.epoch


@pytest.mark.parametrize("step", [2, EPOCH])
def test_resumed_twice(whole, root, few, tmp_path, step):
    folder, run = whole
    first = Run(tmp_path / "first", root, few, ckpt=folder / f"step={step}.ckpt")
    second = Run(tmp_path / "second", root, few, ckpt=tmp_path / "first" / f"step={step + 2}.ckpt")
    assert first.names.seen[:2] + second.names.seen == run.names.seen[step:]
    assert_equal_ends(second.end, run.end)


@pytest.mark.parametrize("step", [1, EPOCH])
def test_worker_processes_change_nothing(whole, root, few, tmp_path, step):
    folder, run = whole
    resumed = Run(tmp_path, root, few, ckpt=folder / f"step={step}.ckpt", workers=2)
    assert resumed.names.seen == run.names.seen[step:]
    assert_equal_ends(resumed.end, run.end)


@pytest.mark.parametrize(
    "arguments",
    [
        {"val_check_interval": 2},
        {"limit_train_batches": 2},
        {"accumulate_grad_batches": 2},
        {"accumulate_grad_batches": 2, "val_check_interval": 1},
        {"check_val_every_n_epoch": 2},
        {"limit_val_batches": 0},
        {"reuse": True},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_other_rhythms(root, few, tmp_path, arguments):
    run = Run(tmp_path / "whole", root, few, schedule=False, **arguments)
    for step in (2, 3):
        ckpt = tmp_path / "whole" / f"step={step}.ckpt"
        resumed = Run(tmp_path / f"{step}", root, few, ckpt=ckpt, schedule=False, **arguments)
        batches = [step, 2, 3, 5][step] if "accumulate_grad_batches" in arguments else step
        assert resumed.names.seen == run.names.seen[batches:]
        assert_equal_ends(resumed.end, run.end)
        # What was due after the step of the checkpoint was done before it was written.
        assert resumed.validated == [one for one in run.validated if one > batches]


@pytest.mark.parametrize("every", [100, 2])
@pytest.mark.parametrize("ends", [{"max_steps": 5}, {"max_epochs": 2, "max_steps": -1}], ids=["steps", "epochs"])
def test_finished_run_can_be_made_longer(whole, root, few, tmp_path, every, ends):
    """After training the network holds the averaged weights, which are not those to go on from."""
    folder, run = whole
    Run(tmp_path, root, few, every=every, **ends)
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    step = last["global_step"]
    assert step == {5: 5, -1: 2 * EPOCH}[ends["max_steps"]]
    then = load(folder, step)
    assert all(torch.equal(last["current_model_state"][k], v) for k, v in then["current_model_state"].items())
    resumed = Run(tmp_path / "longer", root, few, ckpt=tmp_path / "last.ckpt")
    assert_equal_ends(resumed.end, run.end)


def test_run_that_stops_early_keeps_its_last_step(root, few, tmp_path):
    class StopAtOnce(Callback):
        def on_validation_end(self, trainer, pl_module):
            trainer.should_stop = True

    fit = trainer(
        tmp_path,
        max_epochs=5,
        callbacks=[StopAtOnce(), Checkpoints(tmp_path, every_n_train_steps=2, save_last=True)],
        enable_checkpointing=True,
    )
    fit.fit(module(), data(root, few))
    assert fit.global_step == torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == EPOCH
