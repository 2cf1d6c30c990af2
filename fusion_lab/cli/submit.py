"""``fusion-lab submit``: train on a cluster, one process for each GPU, through submitit."""

import logging
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.compose import compose
from fusion_lab.cli.record import RESULT
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path, make_folder

if TYPE_CHECKING:
    import submitit

HELP = "train on a cluster, one process for each GPU; the job goes on by itself after a preemption"
_OUR_OWN = (
    "--trainer.accelerator",
    "--trainer.devices",
    "--trainer.num_nodes",
    "--exp.auto_resume",
    "--ckpt_path",
    "--config",
    "-c",
)
_SLURM_ONLY = ("partition", "account", "cpus", "sbatch")
_SLURM_MINUTES = 240
_UNLIMITED = 365 * 24 * 60
# A job is requeued at its limit as often as training takes.
_MOST_TIMEOUTS = 10_000
# Seconds for the running step, its validation and a checkpoint; and for what only the first rank does in the end.
_WARNING = 120
_LAST_RANK = 120


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    ours, overrides = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    args = parse(_parser(), ours)
    _check(args, overrides)
    tasks = args.gpus or args.processes
    launch = [
        f"--trainer.num_nodes={args.nodes}",
        f"--trainer.devices={tasks}",
        f"--trainer.accelerator={'gpu' if args.gpus else 'cpu'}",
        "--exp.auto_resume=true",
    ]
    config = compose([Path(file) for file in args.config])
    run, readers = _try_out(config, overrides)
    if (run / RESULT).is_file():
        raise FusionLabError(f"The run {run} has ended: look at {run / RESULT}, or choose another --exp.name.")
    folder = make_folder(run / "submitit")
    _refuse_a_second(folder, args.cluster)

    from fusion_lab.cli.job import Fit

    # Files may be edited while the job waits in the queue.
    frozen = folder / "experiment.yaml"
    with atomic_path(frozen) as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    executor = _local(folder, args, tasks) if args.cluster == "local" else _slurm(folder, args, tasks, readers)
    job = _submit(executor, Fit(("--config", str(frozen), *overrides, *launch)))
    stop = f"kill {job.job_id}" if args.cluster == "local" else f"scancel {job.job_id}"
    print(f"Submitted job {job.job_id}: {args.nodes} x {tasks} processes train in {run}.")
    print(
        f"Watch it with `tail -F {job.paths.stdout}`, stop it with `{stop}`; submitted again, it goes on.", flush=True
    )
    return _wait(job) if args.wait else 0


def _wait(job: "submitit.Job[None]") -> int:
    """Wait for the end of a job; Ctrl-C stops it, and it saves itself."""
    from submitit.core.utils import UncompletedJobError

    try:
        error = job.exception()
    except UncompletedJobError as lost:
        error = lost
    except KeyboardInterrupt:
        job.cancel()
        raise
    if error is None:
        return 0
    raise FusionLabError(f"Job {job.job_id} has failed: {job.paths.stdout} tells why.")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab submit",
        usage="%(prog)s --config C [--config D ...] [options] [-- --KEY=VALUE ...]",
        description=f"{HELP.capitalize()}. What follows `--` overrides keys of the experiment.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", type=str, action="append", metavar="CONFIG", help="as for `fit`")
    parser.add_argument("--nodes", type=PositiveInt, default=1, metavar="N", help="machines")
    parser.add_argument(
        "--gpus", type=NonNegativeInt, default=1, metavar="G", help="GPUs, and processes, of each node; 0 for the CPU"
    )
    parser.add_argument(
        "--processes", type=PositiveInt, default=1, metavar="P", help="processes of each node with --gpus 0"
    )
    parser.add_argument(
        "--cluster", type=Literal["slurm", "local"], default="slurm", help="Slurm, or this machine in the background"
    )
    parser.add_argument(
        "--time",
        type=PositiveInt | None,
        metavar="MIN",
        help=f"limit of the job, which goes on in a new one then ({_SLURM_MINUTES} on Slurm, none here)",
    )
    parser.add_argument("--wait", action="store_true", help="wait for the end of the job")
    parser.add_argument("--partition", type=str | None, metavar="NAME", help="partition of Slurm")
    parser.add_argument("--account", type=str | None, metavar="NAME", help="account of Slurm that is charged")
    parser.add_argument(
        "--cpus", type=PositiveInt | None, metavar="N", help="cores of each process; unless given, `num_workers` + 1"
    )
    parser.add_argument(
        "--sbatch", nargs="+", metavar="KEY=VALUE", help="further options of sbatch, such as qos=long exclusive"
    )
    return parser


def _check(args: Namespace, overrides: Sequence[str]) -> None:
    """Refuse what cannot be submitted, before anything slow begins."""
    if not args.config:
        raise FusionLabError("Name an experiment with --config, such as --config experiments/tita/embedded.yaml.")
    if taken := [option for option in overrides if option.partition("=")[0] in _OUR_OWN]:
        raise FusionLabError(f"`submit` itself gives {taken[0].partition('=')[0]} to the job: leave it out after `--`.")
    if args.gpus and args.processes > 1:
        raise FusionLabError("With --gpus there is one process for each GPU: leave --processes out, or give --gpus 0.")
    if args.time is not None and args.time * 60 <= 2 * _WARNING:
        raise FusionLabError(
            f"--time {args.time} is too short, as a job is asked to end {_WARNING} s before: give it more "
            f"than {2 * _WARNING // 60} minutes."
        )
    if args.cluster == "slurm":
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise FusionLabError(
                "There is no sbatch on this machine: submit on a login node of the cluster, or here with "
                "--cluster local."
            )
        return
    if args.nodes > 1:
        raise FusionLabError(f"--cluster local is one machine: leave out --nodes {args.nodes}.")
    if given := [name for name in _SLURM_ONLY if getattr(args, name) is not None]:
        raise FusionLabError(f"--{given[0]} is an option of Slurm: leave it out with --cluster local.")
    if args.gpus:
        from torch.cuda import device_count

        if device_count() < args.gpus:
            raise FusionLabError(
                f"--gpus {args.gpus} needs so many GPUs, but PyTorch finds {device_count()} on this machine: give "
                "--gpus 0 to train on the CPU."
            )


def _try_out(config: dict[str, object], overrides: Sequence[str]) -> tuple[Path, int]:
    """Make all that the experiment needs, as one process on the CPU: a login node has no GPU.

    Returns:
        The folder of the run, and how many processes read data for each process that trains.
    """
    from fusion_lab.cli.trainer import build

    here = ("accelerator=cpu", "devices=1", "num_nodes=1", "strategy=auto")
    with _quietly():
        cli = build("submit", config, [*overrides, *(f"--trainer.{one}" for one in here)])
    return Path(cli.trainer.default_root_dir), int(getattr(cli.datamodule, "num_workers", 0))


@contextmanager
def _quietly() -> Iterator[None]:
    """Let Lightning advise on trainings only where there is one."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _refuse_a_second(folder: Path, cluster: str) -> None:
    """Let no two jobs train in one folder."""
    earlier = {path.name.removesuffix("_submitted.pkl") for path in folder.glob("*_submitted.pkl")}
    if cluster == "slurm":
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


def _slurm(folder: Path, args: Namespace, tasks: int, readers: int) -> "submitit.Executor":
    import submitit

    cpus = args.cpus or readers + 1
    executor = submitit.SlurmExecutor(folder, max_num_timeout=_MOST_TIMEOUTS)
    further = (text.lstrip("-").partition("=") for text in args.sbatch or ())
    named = {key.replace("-", "_"): value if sign else True for key, sign, value in further}
    executor.update_parameters(
        job_name=folder.parent.name,
        nodes=args.nodes,
        ntasks_per_node=tasks,
        # All processes of a node see all its GPUs: each takes that of its own rank.
        gpus_per_node=args.gpus or None,
        cpus_per_task=cpus,
        time=args.time or _SLURM_MINUTES,
        partition=args.partition,
        account=args.account,
        signal_delay_s=_WARNING,
        stderr_to_stdout=True,
        # srun no longer takes the number of cores over from sbatch. A rank that fails must end the others, but not at
        # once: the last one to end may be the one that asks to be requeued.
        srun_args=[f"--cpus-per-task={cpus}", "--kill-on-bad-exit=0", f"--wait={_LAST_RANK}"],
        additional_parameters={"requeue": True, **named},
    )
    return executor


def _local(folder: Path, args: Namespace, tasks: int) -> "submitit.Executor":
    import submitit

    executor = submitit.LocalExecutor(folder, max_num_timeout=_MOST_TIMEOUTS)
    executor.update_parameters(
        tasks_per_node=tasks,
        gpus_per_node=args.gpus,
        visible_gpus=_visible_gpus() if args.gpus else (),
        timeout_min=args.time or _UNLIMITED,
        signal_delay_s=_WARNING,
        stderr_to_stdout=True,
    )
    return executor


def _visible_gpus() -> tuple[int, ...]:
    """Give the GPUs that the user has chosen; none if all may be taken."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    try:
        return tuple(int(number) for number in chosen.split(",") if number.strip())
    except ValueError:
        raise FusionLabError(f"Choose GPUs by their numbers. Found `CUDA_VISIBLE_DEVICES={chosen}`.") from None


def _submit(executor: "submitit.Executor", task: object) -> "submitit.Job[None]":
    from submitit.core.utils import FailedJobError

    try:
        with _silent_children():
            return executor.submit(task)  # type: ignore[arg-type]
    except FailedJobError as error:
        reason = str(error).strip().splitlines()
        raise FusionLabError(f"sbatch refused the job: {reason[-1] if reason else 'without a reason'}.") from None


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
