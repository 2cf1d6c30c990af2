"""Try all that uses Slurm on a real one: ``python tests/distributed/slurm/try_slurm.py``; eight minutes on two cores.

Needs Linux and the Debian packages slurm-wlm and munge; starts and stops a cluster of its own. It is no test of the
suite, because most machines lack the packages.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.distributed.slurm.cluster import cluster
from tests.tiny import REPOSITORY, make_pairs, overlay

SCRIPTS = REPOSITORY / "experiments" / "cluster"
STEPS = 24
# Slurm signals all processes of a task, so that those that read the data must bear it.
KEYS = (f"--trainer.max_steps={STEPS}", "--data.init_args.num_workers=1")
PATIENCE = 200


class Trial:
    """The commands of a user of the cluster.

    Args:
        folder: Where jobs are submitted, with an experiment ``tiny.yaml``.
        environment: That of the commands of Slurm.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def run(self, *command: str) -> str:
        """Run a command and give what it prints."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def script(self, name: str, experiment: str, *options: str) -> str:
        """Submit one of the scripts with two CPU processes; returns the number of the job."""
        shape = ("--nodes=2", "--ntasks-per-node=1") if name.startswith("many") else ("--ntasks-per-node=2",)
        sbatch = ("sbatch", "--parsable", "--gpus-per-node=0", "--cpus-per-task=1", *shape, *options)
        keys = ("-c", "tiny.yaml", f"--exp.name={experiment}", "--trainer.accelerator=cpu", *KEYS)
        return self.run(*sbatch, str(SCRIPTS / name), *keys).strip()

    def submit(self, experiment: str, *options: str) -> str:
        """Submit with `fusion-lab submit`; returns the number of the job."""
        command = ("fusion-lab", "submit", "-c", "tiny.yaml", "--gpus", "0", "--processes", "2", *options)
        told = re.search(r"job (\d+)", self.run(*command, "--", f"--exp.name={experiment}", *KEYS))
        assert told
        return told[1]

    def wait_for_step(self, experiment: str, step: int) -> None:
        """Wait until a run has trained for so many steps."""
        table = self.folder / "runs" / experiment / "log" / "metrics.csv"
        self._wait(lambda: table.is_file() and f"\n{step}," in table.read_text(), f"step {step} of {experiment}")

    def wait_for_end(self, job: str, experiment: str) -> tuple[str, int]:
        """Wait until a job has ended; returns its state and how often it was requeued."""
        self._wait(lambda: job not in self.run("squeue", "--noheader", "--format=%A").split(), f"end of {experiment}")
        told = dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "show", "job", job)))
        return told["JobState"], int(told["Restarts"])

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} does not come"
            time.sleep(0.3)

    def weights(self, experiment: str) -> dict[str, torch.Tensor]:
        """Read what a run that has ended has learnt, after a look at what it says of itself."""
        run = self.folder / "runs" / experiment
        assert json.loads((run / "result.json").read_text())["steps"] == STEPS
        return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def try_all(trial: Trial) -> None:
    """Let jobs end, be stopped, run out of time and be preempted."""
    job = trial.script("many_nodes.sbatch", "whole")
    assert trial.wait_for_end(job, "whole") == ("COMPLETED", 0)
    whole = trial.weights("whole")
    print("two nodes: trained to the end", flush=True)

    def same(experiment: str, what: str) -> None:
        learnt = trial.weights(experiment)
        assert all(torch.equal(learnt[name], tensor) for name, tensor in whole.items())
        print(f"{what}: ended bit-equal to the undisturbed run", flush=True)

    def preempt(job: str) -> None:
        urgent = ("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=urgent.log", "--wrap=sleep 1")
        trial.run(*urgent)

    for name, begin, number in (
        ("script", lambda *options: trial.script("one_node.sbatch", "script", *options), "USR1"),
        ("submit", lambda *options: trial.submit("submit", *("--sbatch", *options) if options else ()), "USR2"),
    ):
        job = begin()
        trial.wait_for_step(name, 3)
        trial.run("scancel", f"--signal={number}", job)
        trial.wait_for_step(name, 9)
        trial.run("scontrol", "requeue", job)
        trial.wait_for_step(name, 15)
        preempt(job)
        assert trial.wait_for_end(job, name) == ("COMPLETED", 3)
        same(name, f"{name}: SIG{number}, scontrol requeue and a preemption")

        for file in sorted((trial.folder / "runs" / name).rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        job = begin("--partition=graceful" if name == "script" else "partition=graceful")
        trial.wait_for_step(name, 5)
        preempt(job)
        assert trial.wait_for_end(job, name) == ("COMPLETED", 1)
        same(name, f"{name}: a preemption with a time of grace")

    # One after the other: the second would train to its end while the first is looked at.
    for name, begin in (
        ("stopped", lambda: trial.script("one_node.sbatch", "stopped")),
        ("ended", lambda: trial.submit("ended")),
    ):
        job = begin()
        trial.wait_for_step(name, 3)
        trial.run("scancel", job)
        assert trial.wait_for_end(job, name)[0] == "CANCELLED"
        time.sleep(10)
        assert trial.wait_for_end(job, name) == ("CANCELLED", 0)
        assert (trial.folder / "runs" / name / "checkpoints" / "interrupted.ckpt").is_file()
        print(f"{name}: scancel ends it for good, and it has saved itself", flush=True)


def main() -> None:
    """Start a cluster, try everything, and keep the folder where something goes wrong."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    print(f"logs: {folder}", flush=True)
    make_pairs(folder / "train", ivf=7, mff=2, mef=3)
    make_pairs(folder / "val", ivf=2, mff=2, mef=2)
    overlay(folder, folder / "train", folder / "val")
    (folder / "slurm").mkdir()
    with cluster(folder / "slurm") as environment:
        path = f"{Path(sys.executable).parent}:{environment['PATH']}"
        try_all(Trial(folder, {**environment, "PATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}))


if __name__ == "__main__":
    main()
