"""Ctrl-C loses nothing."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from lightning import Callback

from fusion_lab.callbacks import REQUEUE, StopBetweenBatches
from fusion_lab.errors import FusionLabError
from tests.tiny import data, make_pairs, module, overlay, trainer

STEPS = 16
SECOND = 3
PATIENCE = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    make_pairs(folder / "train", ivf=7, mff=2, mef=3)
    make_pairs(folder / "val", ivf=1, mff=1, mef=1)
    return folder


@pytest.fixture(scope="module")
def command(folder):
    config = overlay(folder, folder / "train", folder / "val")
    config.write_text(
        config.read_text()
        + "  callbacks:\n"
        + "  - {class_path: fusion_lab.callbacks.RepeatableNoise}\n"
        + "  - {class_path: fusion_lab.callbacks.MeasureAgain}\n"
        + "  - class_path: fusion_lab.callbacks.MovingAverage\n"
        + "    init_args: {decay: 0.9}\n"
        + "  - class_path: fusion_lab.callbacks.StopBetweenBatches\n"
        + "    init_args: {folder: '${exp.output}/${exp.name}/checkpoints'}\n"
        + "  - class_path: fusion_lab.callbacks.Checkpoints\n"
        + "    init_args: {dirpath: '${exp.output}/${exp.name}/checkpoints', filename: '{step}', save_last: true,\n"
        + f"      every_n_train_steps: {SECOND}, save_top_k: -1, enable_version_counter: false}}\n"
    )
    start = [sys.executable, "-m", "fusion_lab.cli.main", "fit", "--config", str(config)]
    return [*start, f"--trainer.max_steps={STEPS}", "--data.init_args.num_workers=1"]


def begin(command, folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def load(path):
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def interrupted(folder, command):
    """The folder of a run that was stopped in its first steps, and what the command said."""
    checkpoints = folder / "runs" / "stopped" / "checkpoints"
    process = begin([*command, "--exp.name=stopped"], folder)
    return checkpoints, *stop(process, checkpoints / f"step={SECOND}.ckpt", signal.SIGINT)


def stop(process, file, number):
    """Send a signal once a file is there; gives the exit code and what the command said."""
    try:
        until = time.monotonic() + PATIENCE
        while not file.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.02)
        # As a terminal or a cluster does: to the worker processes too.
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out, err


def test_run_stops_cleanly(interrupted):
    checkpoints, code, out, err = interrupted
    assert code == 130, err
    assert "Traceback" not in err
    assert "Stopping after this step" in out
    assert "--ckpt_path last goes on" in out
    assert SECOND <= load(checkpoints / "interrupted.ckpt")["global_step"] < STEPS


def test_nothing_half_written_is_left(interrupted):
    checkpoints, *_ = interrupted
    found = {path.name for path in checkpoints.iterdir()}
    regular = {name for name in found if name.startswith("step=")}
    assert found == {"interrupted.ckpt", "last.ckpt"} | regular
    for name in found:
        assert load(checkpoints / name)["state_dict"]
    hidden = [path for path in checkpoints.parent.rglob("*") if path.name.startswith((".", "tmp"))]
    assert not hidden


def test_resumed_run_ends_bit_equal(interrupted, command, folder):
    checkpoints, *_ = interrupted
    again = [*command, "--exp.name=stopped", "--ckpt_path", "last"]
    code, out, err = stop(begin(again, folder), checkpoints / f"step={3 * SECOND}.ckpt", signal.SIGTERM)
    assert code == REQUEUE, err
    assert "The run makes room" in out
    assert SECOND < load(checkpoints / "interrupted.ckpt")["global_step"] < STEPS
    runs = [begin(again, folder), begin(command, folder)]
    for process in runs:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
    resumed, whole = load(checkpoints / "last.ckpt"), load(folder / "runs" / "tiny" / "checkpoints" / "last.ckpt")
    assert resumed["global_step"] == whole["global_step"] == STEPS
    for part in ("state_dict", "current_model_state"):
        assert "weighting.logits" in whole[part]
        assert all(torch.equal(resumed[part][name], tensor) for name, tensor in whole[part].items())
    moments = [one["optimizer_states"][0]["state"] for one in (resumed, whole)]
    assert all(torch.equal(moments[0][i][name], moments[1][i][name]) for i in moments[1] for name in moments[1][i])


class PressInFirstBatch(Callback):
    """Ctrl-C while the first batch runs."""

    def __init__(self, times=1):
        self.times = times

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        for _ in range(self.times if trainer.global_step == batch_idx == 0 else 0):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)


def fit(folder, *callbacks, **arguments):
    sgd = partial(torch.optim.SGD, lr=1e-3)
    runner = trainer(
        folder, max_steps=3, callbacks=[*callbacks, StopBetweenBatches(folder)], enable_checkpointing=True, **arguments
    )
    runner.fit(module(optimizer=sgd), data(folder.parent / "train"))
    return runner


@pytest.fixture
def place(folder, request):
    """A folder of its own; afterwards Ctrl-C must be what it was."""
    before = signal.getsignal(signal.SIGINT)
    place = folder / request.node.name
    place.mkdir()
    yield place
    assert signal.getsignal(signal.SIGINT) is before


def test_accumulated_gradients_are_not_lost(place):
    with pytest.raises(SystemExit):
        fit(place, PressInFirstBatch(), accumulate_grad_batches=2)
    stored = load(place / "interrupted.ckpt")
    assert stored["global_step"] == 1
    assert stored["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"] == 2


def test_second_press_stops_at_once(place):
    with pytest.raises(SystemExit):
        fit(place, PressInFirstBatch(times=2))
    assert not (place / "interrupted.ckpt").exists()


def test_undisturbed_run_writes_nothing(place):
    assert fit(place).global_step == 3
    assert not list(place.iterdir())


def test_error_gives_ctrl_c_back(place):
    class Fail(Callback):
        def on_train_batch_end(self, *_):
            raise FusionLabError("Stop.")

    with pytest.raises(FusionLabError):
        fit(place, Fail())


class SignalInFirstBatch(Callback):
    """What a cluster sends while the first batch runs."""

    def __init__(self, number):
        self.number = number

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 0:
            os.kill(os.getpid(), self.number)


class SignalInFirstValidation(SignalInFirstBatch):
    """What a cluster sends while the first pairs are validated."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Not now."""

    def on_validation_batch_start(self, trainer, *_):
        if trainer.global_step == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_preemption_keeps_the_step_and_ends_with_the_code_that_requeues(place, capsys, number):
    with pytest.raises(SystemExit) as end:
        fit(place, SignalInFirstBatch(number))
    assert end.value.code == REQUEUE == 75
    assert load(place / "interrupted.ckpt")["global_step"] == 1
    assert f"asked by signal {number:d}" in capsys.readouterr().out
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_request_to_make_room_stays_one_when_ctrl_c_follows(place):
    """W&B asks twice when it ends a run: the process by SIGTERM, and from inside by SIGINT."""
    with pytest.raises(SystemExit) as end:
        fit(place, SignalInFirstBatch(signal.SIGTERM), PressInFirstBatch())
    assert end.value.code == REQUEUE
    assert load(place / "interrupted.ckpt")["global_step"] == 1


def test_whoever_listened_before_is_called_with_the_checkpoint_there(place):
    heard = []

    def listen(number, frame):
        heard.append(((place / "interrupted.ckpt").exists(), signal.getsignal(number)))

    before = signal.signal(signal.SIGUSR2, listen)
    try:
        with pytest.raises(SystemExit):
            fit(place, SignalInFirstBatch(signal.SIGUSR2))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard == [(True, listen)]


def stop_with_validation(place, folder, signals, **arguments):
    """Stop a run that validates after every batch; gives its trainer and its checkpoint."""
    callbacks = [StopBetweenBatches(place), signals]
    runner = trainer(
        place, max_steps=3, val_check_interval=1, enable_checkpointing=True, callbacks=callbacks, **arguments
    )
    with pytest.raises(SystemExit):
        runner.fit(module(), data(folder / "train", folder / "val"))
    return runner, load(place / "interrupted.ckpt")


def test_validation_that_comes_next_is_done_first(place, folder):
    """Lightning would leave it out in the resumed run."""
    runner, stored = stop_with_validation(place, folder, SignalInFirstBatch(signal.SIGTERM))
    assert stored["global_step"] == 1
    assert "val/loss" in runner.callback_metrics


def test_a_signal_in_a_validation_lets_the_step_be_finished(place, folder):
    """The gradients of its first batch are in no checkpoint."""
    signals = SignalInFirstValidation(signal.SIGTERM)
    _, stored = stop_with_validation(place, folder, signals, accumulate_grad_batches=2)
    assert stored["global_step"] == 1
    assert stored["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"] == 2
