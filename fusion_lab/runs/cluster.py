"""Training on a cluster, or in the background of this machine, through submitit."""

import logging
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder, write_text
from fusion_lab.runs.command import fit_options
from fusion_lab.runs.compose import Config
from fusion_lab.runs.result import RESULT

if TYPE_CHECKING:
    import submitit

SLURM_MINUTES = 240
"""The limit of a job on Slurm, which goes on in a new one then."""

_SLURM_ONLY = ("partition", "account", "cpus", "sbatch")
_UNLIMITED = 365 * 24 * 60
# A job is requeued at its limit as often as training takes.
_MOST_TIMEOUTS = 10_000
# Seconds for the running step, its validation and a checkpoint; and for what only the first rank does in the end.
_WARNING = 120
_LAST_RANK = 120


@dataclass(frozen=True)
class Job:
    """A training that waits or runs.

    Attributes:
        run: The folder of the run.
        stop: The command that stops it.
    """

    run: Path
    stop: str
    _job: "submitit.Job[None]"

    @property
    def id(self) -> str:
        """Its number on the cluster, or that of its process."""
        return self._job.job_id

    @property
    def log(self) -> Path:
        """The file with all that it prints."""
        return self._job.paths.stdout

    @property
    def ended(self) -> bool:
        """Whether it has ended, well or not."""
        return self._job.done()

    def cancel(self) -> None:
        """Stop it; it saves itself."""
        self._job.cancel()

    def wait(self) -> None:
        """Wait for its end; Ctrl-C stops it.

        Raises:
            FusionLabError: It has failed.
        """
        from submitit.core.utils import UncompletedJobError

        try:
            error = self._job.exception()
        except UncompletedJobError as lost:
            error = lost
        except KeyboardInterrupt:
            self.cancel()
            raise
        if error is not None:
            raise FusionLabError(f"Job {self.id} has failed: {self.log} tells why.")


@dataclass(frozen=True)
class Cluster:
    """What a job needs, and where it runs: one process for each GPU, on Slurm or in the background of this machine.

    Args:
        kind: ``slurm``, or ``local`` for this machine.
        nodes: Machines.
        gpus: GPUs, and processes, of each node; 0 for the CPU.
        processes: Processes of each node without GPUs.
        time: Minutes after which a job ends and goes on in a new one; 240 on Slurm and no limit here unless given.
        partition: Partition of Slurm.
        account: Account of Slurm that is charged.
        cpus: Cores of each process; ``num_workers`` + 1 unless given.
        sbatch: Further options of sbatch, such as ``qos=long``.
    """

    kind: Literal["slurm", "local"] = "slurm"
    nodes: int = 1
    gpus: int = 1
    processes: int = 1
    time: int | None = None
    partition: str | None = None
    account: str | None = None
    cpus: int | None = None
    sbatch: tuple[str, ...] = ()

    @property
    def tasks(self) -> int:
        """The processes of each node."""
        return self.gpus or self.processes

    def check(self) -> None:
        """Refuse what cannot be submitted, before anything slow begins.

        Raises:
            FusionLabError: Options do not go together, or there is no Slurm or too few GPUs.
        """
        if self.gpus and self.processes > 1:
            raise FusionLabError(
                "With --gpus there is one process for each GPU: leave --processes out, or give --gpus 0."
            )
        if self.time is not None and self.time * 60 <= 2 * _WARNING:
            raise FusionLabError(
                f"--time {self.time} is too short, as a job is asked to end {_WARNING} s before: give it more "
                f"than {2 * _WARNING // 60} minutes."
            )
        if self.kind == "slurm":
            if shutil.which("sbatch") is None or shutil.which("srun") is None:
                raise FusionLabError(
                    "There is no sbatch on this machine: submit on a login node of the cluster, or here with "
                    "--cluster local."
                )
            return
        if self.nodes > 1:
            raise FusionLabError(f"--cluster local is one machine: leave out --nodes {self.nodes}.")
        if given := [name for name in _SLURM_ONLY if getattr(self, name)]:
            raise FusionLabError(f"--{given[0]} is an option of Slurm: leave it out with --cluster local.")
        if self.gpus:
            from torch.cuda import device_count

            if device_count() < self.gpus:
                raise FusionLabError(
                    f"--gpus {self.gpus} needs so many GPUs, but PyTorch finds {device_count()} on this machine: give "
                    "--gpus 0 to train on the CPU."
                )

    def submit(self, config: Config, options: Sequence[str] = ()) -> Job:
        """Send a training to the cluster; a job of the same run goes on from its newest checkpoint.

        Args:
            config: A composed configuration.
            options: Further keys as a shell has them, such as ``--trainer.max_steps=3``.

        Raises:
            FusionLabError: The configuration is wrong, the run has ended or trains already, or Slurm refuses the job.
        """
        run, readers = _try_out(config, options)
        if (run / RESULT).is_file():
            raise FusionLabError(f"The run {run} has ended: look at {run / RESULT}, or choose another --exp.name.")
        folder = make_folder(run / "submitit")
        _refuse_a_second(folder, self.kind)

        from submitit.core.utils import FailedJobError

        from fusion_lab.runs.job import Fit

        # Files may be edited while the job waits in the queue.
        frozen = folder / "experiment.yaml"
        write_text(frozen, yaml.safe_dump(config, sort_keys=False))
        place: dict[str, Any] = {
            "trainer.num_nodes": self.nodes,
            "trainer.devices": self.tasks,
            "trainer.accelerator": "gpu" if self.gpus else "cpu",
            "exp.auto_resume": "true",
        }
        executor = _local(folder, self) if self.kind == "local" else _slurm(folder, self, readers)
        fit = Fit(frozen, (*options, *fit_options(place)))
        try:
            with _silent_children():
                job = executor.submit(fit)
        except FailedJobError as error:
            reason = str(error).strip().splitlines()
            raise FusionLabError(f"sbatch refused the job: {reason[-1] if reason else 'without a reason'}.") from None
        return Job(run, f"{'kill' if self.kind == 'local' else 'scancel'} {job.job_id}", job)


def _try_out(config: Config, options: Sequence[str]) -> tuple[Path, int]:
    """Make all that the experiment needs, as one process on the CPU: a login node has no GPU.

    Returns:
        The folder of the run, and how many processes read data for each process that trains.
    """
    from fusion_lab.runs.build import build

    here = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto"}
    given = fit_options({f"trainer.{name}": value for name, value in here.items()})
    # Let Lightning advise on trainings only where there is one.
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            parts = build("submit", config, [*options, *given])
    finally:
        logging.disable(logging.NOTSET)
    return Path(parts.trainer.default_root_dir), int(getattr(parts.datamodule, "num_workers", 0))


def _refuse_a_second(folder: Path, kind: str) -> None:
    """Let no two jobs train in one folder."""
    earlier = {path.name.removesuffix("_submitted.pkl") for path in folder.glob("*_submitted.pkl")}
    if kind == "slurm":
        told = subprocess.run(["squeue", "--noheader", "--me", "--format=%A"], capture_output=True, text=True)
        alive = earlier & set(told.stdout.split())
    else:
        # The number of a process may by now be that of another one.
        ours = os.fsencode(folder.absolute())
        alive = {one for one in earlier if (p := Path("/proc", one, "cmdline")).is_file() and ours in p.read_bytes()}
    if alive:
        raise FusionLabError(
            f"Job {min(alive)} waits or trains in {folder.parent} already: let it end, stop it, or choose another "
            "--exp.name."
        )


def _slurm(folder: Path, asked: Cluster, readers: int) -> "submitit.Executor":
    import submitit

    cpus = asked.cpus or readers + 1
    executor = submitit.SlurmExecutor(folder, max_num_timeout=_MOST_TIMEOUTS)
    further = (text.lstrip("-").partition("=") for text in asked.sbatch)
    named = {key.replace("-", "_"): value if sign else True for key, sign, value in further}
    executor.update_parameters(
        job_name=folder.parent.name,
        nodes=asked.nodes,
        ntasks_per_node=asked.tasks,
        # All processes of a node see all its GPUs: each takes that of its own rank.
        gpus_per_node=asked.gpus or None,
        cpus_per_task=cpus,
        time=asked.time or SLURM_MINUTES,
        partition=asked.partition,
        account=asked.account,
        signal_delay_s=_WARNING,
        stderr_to_stdout=True,
        # srun no longer takes the number of cores over from sbatch. A rank that fails must end the others, but not at
        # once: the last one to end may be the one that asks to be requeued.
        srun_args=[f"--cpus-per-task={cpus}", "--kill-on-bad-exit=0", f"--wait={_LAST_RANK}"],
        additional_parameters={"requeue": True, **named},
    )
    return executor


def _local(folder: Path, asked: Cluster) -> "submitit.Executor":
    import submitit

    executor = submitit.LocalExecutor(folder, max_num_timeout=_MOST_TIMEOUTS)
    executor.update_parameters(
        tasks_per_node=asked.tasks,
        gpus_per_node=asked.gpus,
        visible_gpus=_visible_gpus() if asked.gpus else (),
        timeout_min=asked.time or _UNLIMITED,
        signal_delay_s=_WARNING,
        stderr_to_stdout=True,
    )
    return executor


def _visible_gpus() -> tuple[int, ...]:
    """Return the GPUs that the user has chosen; none if all may be taken."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    try:
        return tuple(int(number) for number in chosen.split(",") if number.strip())
    except ValueError:
        raise FusionLabError(f"Choose GPUs by their numbers. Found `CUDA_VISIBLE_DEVICES={chosen}`.") from None


@contextmanager
def _silent_children() -> Iterator[None]:
    """Let what is started here in the background not keep the output of this command open."""
    kept = {number: os.dup(number) for number in (1, 2)}
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(silence, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(silence)
