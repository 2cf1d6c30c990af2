"""``fusion-lab submit``: what is refused, what Slurm is asked for, how a job ends, and a job on this machine."""

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest
import submitit

from fusion_lab.callbacks.interruption import REQUEUE
from fusion_lab.cli.main import main
from fusion_lab.runs import job
from tests.tiny import make_pairs, overlay

PATIENCE = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    make_pairs(folder / "train", ivf=2, mff=2, mef=2)
    overlay(folder, folder / "train", folder / "train")
    return folder


@pytest.fixture
def submit(folder, monkeypatch, capfd):
    """Run the command in the folder; returns its exit code, what it printed and what it complained about."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        code = main(["submit", "-c", "tiny.yaml", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for the commands of Slurm: sbatch keeps the script, squeue knows the jobs of a file."""
    commands = {
        "srun": "exit 0",
        "sbatch": 'cp "$1" sbatch.sh; [ ! -e full ] || { echo "sbatch: error: no room" >&2; exit 1; }; '
        'echo "Submitted batch job 41"',
        "squeue": 'cat "$JOBS" 2>/dev/null; exit 0',
    }
    for name, script in commands.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--nodes", 0), "nodes"),
        (("--gpus", -1), "gpus"),
        (("--cluster", "moon"), "cluster"),
        (("--gpus", 2, "--processes", 2), "one process for each GPU"),
        (("--time", 4), "more than 4 minutes"),
        (("--cluster", "local", "--nodes", 2), "one machine"),
        (("--cluster", "local", "--partition", "long"), "--partition is an option of Slurm"),
        (("--cluster", "local", "--gpus", 64), "--gpus 64 needs so many GPUs"),
        (("--", "--trainer.devices=2"), "itself gives --trainer.devices"),
        (("--", "--ckpt_path=last"), "itself gives --ckpt_path"),
        (("-c", "missing.yaml", "--cluster", "local", "--gpus", 0), "missing.yaml does not exist"),
        (("--cluster", "local", "--gpus", 0, "--", "--trainer.max_step=2"), "did you mean 'max_steps'"),
        (("--cluster", "local", "--gpus", 0, "--", "--data.init_args.batch_size=0"), "`batch_size` should be"),
    ],
)
def test_a_mistake_is_told_before_anything_is_submitted(submit, folder, arguments, told):
    code, _, err = submit(*arguments)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1, err
    assert not (folder / "runs").exists()


def test_without_slurm(submit, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "There is no sbatch on this machine" in submit()[2]


def test_without_an_experiment(capsys):
    assert main(["submit"]) == 2
    assert "Name an experiment" in capsys.readouterr().err


def wanted(script):
    """The #SBATCH lines of a script."""
    lines = (line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH"))
    return dict(line.partition("=")[::2] for line in lines)


def test_what_slurm_is_asked_for(submit, slurm, folder):
    options = ("--nodes", 2, "--gpus", 4, "--partition", "long", "--account", "lab", "--sbatch", "qos=low", "exclusive")
    code, out, err = submit(*options, "--", "--exp.name=asked", "--data.init_args.num_workers=2", "--exp.seed=3")
    assert code == 0, err
    run = folder / "runs" / "asked"
    log = run / "submitit" / "41_0_log.out"
    assert "Submitted job 41: 2 x 4 processes" in out
    assert f"tail -F {log}" in out
    script = (folder / "sbatch.sh").read_text()
    asked = wanted(script)
    assert {name: asked[name] for name in ("nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task")} == {
        "nodes": "2",
        "ntasks-per-node": "4",
        "gpus-per-node": "4",
        "cpus-per-task": "3",
    }
    assert asked["signal"] == "USR2@120"
    assert asked["output"].endswith("runs/asked/submitit/%j_0_log.out")
    assert {"requeue", "exclusive"} <= asked.keys()
    assert (asked["partition"], asked["account"], asked["qos"], asked["job-name"]) == ("long", "lab", "low", "asked")
    assert "--kill-on-bad-exit=0 --wait=120" in script
    assert "--cpus-per-task=3" in script.split("# command")[1]

    sent = submitit.core.utils.DelayedSubmission.load(run / "submitit" / "41_submitted.pkl").function
    assert isinstance(sent, job.Fit)
    assert sent.config == run / "submitit" / "experiment.yaml"
    assert sent.options == (
        *("--exp.name=asked", "--data.init_args.num_workers=2", "--exp.seed=3"),
        *("--trainer.num_nodes=2", "--trainer.devices=4", "--trainer.accelerator=gpu", "--exp.auto_resume=true"),
    )
    again = sent.checkpoint().function
    assert again == sent

    # No second job in the same folder.
    (slurm / "jobs").write_text("12\n41\n")
    assert "Job 41 waits or trains" in submit("--", "--exp.name=asked")[2]
    (slurm / "jobs").write_text("12\n")
    assert submit("--", "--exp.name=asked")[0] == 0


def test_slurm_refuses(submit, slurm, folder):
    (folder / "full").touch()
    code, _, err = submit("--", "--exp.name=refused")
    (folder / "full").unlink()
    assert code == 2
    assert "sbatch refused the job: " in err
    assert "no room" in err


@pytest.fixture
def task(monkeypatch, tmp_path):
    """Stand in a task of a job on Slurm, where submitit listens to SIGUSR2."""
    heard = []
    told = {"JOB_ID": "9", "NTASKS": "4", "JOB_NUM_NODES": "2", "NODEID": "1", "PROCID": "0", "LOCALID": "1"}
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "gpu[07-08]")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "TORCHELASTIC_RUN_ID"):
        # So that they are gone afterwards.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    before = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGUSR2, before)


def fit(monkeypatch, result):
    """Let a task run something in place of training; returns its exit code."""
    monkeypatch.setattr(job, "train", lambda *given: result() if callable(result) else result)
    try:
        job.Fit(Path("a.yaml"), ("--exp.name=a",))()
    except SystemExit as error:
        return error.code
    return 0


def test_ranks_have_the_names_of_torchrun(task, monkeypatch):
    assert fit(monkeypatch, 0) == 0
    names = ("MASTER_ADDR", "RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "TORCHELASTIC_RUN_ID")
    assert [os.environ[name] for name in names] == ["gpu07", "0", "4", "1", "1", "9"]
    assert int(os.environ["MASTER_PORT"]) > 1023
    assert task == []


def test_a_job_that_has_to_make_room_is_requeued_after_training(task, monkeypatch):
    during = []

    def asked():
        try:
            signal.raise_signal(signal.SIGUSR2)
        finally:
            during.extend(task)

    assert fit(monkeypatch, asked) == job.REQUEUE
    assert during == []
    assert task == [signal.SIGUSR2]


def test_the_first_rank_requeues_for_all(task, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert fit(monkeypatch, lambda: signal.raise_signal(signal.SIGUSR2)) == job.REQUEUE
    assert task == []


@pytest.mark.parametrize(("state", "requeued"), [("RUNNING", True), ("COMPLETING", False), ("", False)])
def test_sigterm_requeues_unless_the_job_was_ended(task, monkeypatch, slurm, state, requeued):
    (slurm / "jobs").write_text(f"{state}\n")
    assert fit(monkeypatch, job.REQUEUE) == job.REQUEUE
    assert task == [signal.SIGUSR2] * requeued


def test_there_is_one_code_of_making_room():
    assert job.REQUEUE == REQUEUE


def test_a_failure_is_not_requeued(task, monkeypatch):
    assert fit(monkeypatch, 2) == 2
    assert task == []


def test_a_job_on_this_machine(submit, folder):
    """It trains in the background, and neither a second time nor once more."""
    keys = ("--exp.name=here", "--trainer.max_steps=2", "--trainer.limit_val_batches=0")
    options = ("--cluster", "local", "--gpus", 0, "--", *keys)
    code, out, err = submit(*options)
    assert code == 0, err
    number = int(out.partition("Submitted job ")[2].partition(":")[0])
    if sys.platform == "linux":
        assert f"Job {number} waits or trains" in submit(*options)[2]
    run = folder / "runs" / "here"
    waited = time.monotonic()
    while not list(run.glob("submitit/*_result.pkl")) and time.monotonic() - waited < PATIENCE:
        time.sleep(0.2)
    log = (run / "submitit" / f"{number}_0_log.out").read_text()
    assert (run / "result.json").is_file(), log
    assert json.loads((run / "result.json").read_text())["steps"] == 2
    assert "Trained for 2 steps" in log
    os.waitpid(number, 0)
    assert "has ended" in submit(*options)[2]
