"""What a job that `Cluster.submit` has sent to a cluster runs, once in each of its tasks."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import submitit
from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from fusion_lab.errors import REQUEUE, FusionLabError


@dataclass
class Fit:
    """Train as ``fusion-lab fit`` does; a job that has to make room goes on later from where it was.

    Args:
        config: The composed configuration.
        options: Further keys as a shell has them.
    """

    config: Path
    options: tuple[str, ...]
    _asked: bool = field(default=False, init=False)

    def __call__(self) -> None:
        """Train.

        Raises:
            SystemExit: It did not end well; the code is that of ``fusion-lab fit``.
        """
        job = submitit.JobEnvironment()
        _name_ranks(job)
        # submitit requeues in the midst of a step, and Slurm then ends what still saves itself.
        requeue = getattr(signal, f"SIG{job.USR_SIG}")
        submitits = signal.signal(requeue, self._make_room)
        code = self._fit()
        signal.signal(requeue, submitits)
        if code == REQUEUE and job.global_rank == 0 and (self._asked or _still_wanted(job)):
            signal.raise_signal(requeue)
        if code:
            raise SystemExit(code)

    def checkpoint(self) -> DelayedSubmission:
        """Return what the requeued job runs: the same, which finds its checkpoint itself."""
        return DelayedSubmission(Fit(self.config, self.options))

    def _fit(self) -> int | str | None:
        try:
            return train(self.config, self.options)
        except SystemExit as error:
            return error.code

    def _make_room(self, number: int, frame: FrameType | None) -> None:
        """End, before training has begun or, as the last thing, after it was saved."""
        self._asked = True
        raise SystemExit(REQUEUE)


def train(config: Path, options: tuple[str, ...]) -> int:
    """Train, and tell how it ended; returns the exit code."""
    # Lightning looks for its rank when it is imported.
    from fusion_lab.runs.compose import compose
    from fusion_lab.runs.memory import keep_freed_memory
    from fusion_lab.runs.run import Run

    keep_freed_memory()
    try:
        print(Run(compose([config]), options, ["fit", str(config), *options]).fit())
    except FusionLabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _name_ranks(job: submitit.JobEnvironment) -> None:
    """Tell Lightning its rank as torchrun does, on every kind of cluster."""
    TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    os.environ["GROUP_RANK"] = str(job.node)
    # By this Lightning knows that the rest is there; its own requeueing on Slurm, which would submit each job a
    # second time, then stays off.
    os.environ["TORCHELASTIC_RUN_ID"] = job.job_id
    if job.num_nodes == 1:
        # The name of a laptop is often unknown to its own network.
        os.environ["MASTER_ADDR"] = "127.0.0.1"


def _still_wanted(job: submitit.JobEnvironment) -> bool:
    """Tell whether a job that was asked by SIGTERM to end is only to make room for another one.

    Slurm takes a job out of the state RUNNING before it tells its processes of `scancel` or of its own requeueing, but
    not at the beginning of the grace time of a preemption, after which it would let the job end.
    """
    if job.cluster != "slurm":
        return False
    asked = ["squeue", "--noheader", f"--jobs={job.job_id}", "--format=%T"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == "RUNNING"
