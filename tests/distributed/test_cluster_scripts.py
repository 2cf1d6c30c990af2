"""The scripts that users copy: what they ask Slurm for, what they do with exit codes, and torchrun for real."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import REPOSITORY, make_pairs, overlay

FOLDER = REPOSITORY / "experiments" / "cluster"
SCRIPTS = sorted(path for path in FOLDER.iterdir() if path.is_file())
SLURM = sorted(FOLDER.glob("*.sbatch"))
PATIENCE = 200


def named(path):
    return path.name


def test_there_are_scripts():
    assert [path.name for path in SCRIPTS] == ["many_nodes.sbatch", "one_node.sbatch", "torchrun.sh"]


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_bash_understands_it(script):
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SLURM, ids=named)
def test_what_slurm_is_asked_for(script):
    lines = [line.removeprefix("#SBATCH --") for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    asked = dict(line.partition("=")[::2] for line in lines)
    assert len(asked) == len(lines)
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    assert (int(asked["nodes"]) == 1) == (script.name == "one_node.sbatch")
    # The tasks must hear the signal, not the script alone (B:).
    assert asked["signal"] == "USR1@120"
    assert "requeue" in asked
    assert asked["open-mode"] == "append"
    assert {"time", "cpus-per-task", "output"} <= asked.keys()


@pytest.fixture
def slurm(tmp_path):
    """Stand-ins for the commands of Slurm in a job of two nodes; each writes down what it was asked."""
    commands = {"srun": 'exit "$CODE"', "scontrol": "exit 0"}
    for name, script in commands.items():
        path = tmp_path / name
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" > {name}.txt\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "41",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_NTASKS_PER_NODE": "3",
        "SLURM_CPUS_PER_TASK": "5",
    }


@pytest.mark.parametrize("script", SLURM, ids=named)
@pytest.mark.parametrize("code", [0, 1, 75, 143])
def test_only_a_run_that_makes_room_is_requeued(script, code, slurm, tmp_path):
    given = ["-c", "my experiment.yaml", "--exp.name=a"]
    done = subprocess.run(
        ["bash", str(script), *given],
        cwd=tmp_path, env={**slurm, "CODE": str(code)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    started = (tmp_path / "srun.txt").read_text().splitlines()
    options, command = started[: started.index("fusion-lab")], started[started.index("fusion-lab") :]
    assert command[:5] == ["fusion-lab", "fit", *given]
    assert {"--exp.auto_resume=true", "--trainer.num_nodes=2", "--trainer.devices=3"} <= set(command)
    assert "auto_requeue: false" in command[-1]
    assert {"--cpus-per-task=5", "--kill-on-bad-exit=0", "--wait=120"} == set(options)
    requeued = tmp_path / "scontrol.txt"
    assert requeued.is_file() == (code == 75)
    if code == 75:
        assert requeued.read_text().split() == ["requeue", "41"]


def test_torchrun_trains_with_two_processes(tmp_path):
    make_pairs(tmp_path / "train", ivf=4, mff=2, mef=2)
    config = overlay(tmp_path, tmp_path / "train", tmp_path / "train")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "GPUS": "2",
    }
    keys = ["--trainer.accelerator=cpu", "--trainer.max_steps=2", "--trainer.limit_val_batches=0"]
    done = subprocess.run(
        ["bash", str(FOLDER / "torchrun.sh"), "-c", str(config), *keys],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "MEMBER: 2/2" in done.stdout + done.stderr
    result = json.loads((tmp_path / "runs" / "tiny" / "result.json").read_text())
    assert result["steps"] == 2
