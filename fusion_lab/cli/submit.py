"""``fusion-lab submit``: train on a cluster, one process for each GPU."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from fusion_lab.cli.arguments import chosen, make_parser, overrides_apart, parse
from fusion_lab.errors import FusionLabError
from fusion_lab.runs.cluster import SLURM_MINUTES, Cluster
from fusion_lab.runs.compose import compose
from fusion_lab.runs.run import NO_EXPERIMENT

if TYPE_CHECKING:
    from fusion_lab.studies.launching import Jobs

_OWN = ("exp.auto_resume", "ckpt_path", "config", "c", "trainer.accelerator", "trainer.devices", "trainer.num_nodes")


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    ours, overrides = overrides_apart(argv, "submit", _OWN)
    usage = "%(prog)s --config C [--config D ...] [options] [-- --KEY=VALUE ...]"
    parser = make_parser("submit", ". What follows `--` overrides keys of the experiment", usage=usage)
    parser.add_argument("-c", "--config", type=str, action="append", metavar="CONFIG", help="as for `fit`")
    _add_cluster_options(parser)
    parser.add_argument("--wait", action="store_true", help="wait for the end of the job")
    args = parse(parser, ours)
    if not args.config:
        raise FusionLabError(NO_EXPERIMENT)
    cluster = _cluster(args)
    job = cluster.submit(compose([Path(file) for file in args.config]), overrides)
    print(f"Submitted job {job.id}: {cluster.nodes} x {cluster.tasks} processes train in {job.run}.")
    print(f"Watch it with `tail -F {job.log}`, stop it with `{job.stop}`; submitted again, it goes on.", flush=True)
    if args.wait:
        job.wait()
    return 0


def add_submit_option(parser: ArgumentParser) -> None:
    """Let the user have every run of many on a cluster."""
    what = "run each as a job of a cluster, --jobs at a time; options of `fusion-lab submit`, such as '--gpus 1'"
    parser.add_argument("--submit", type=str, metavar="OPTIONS", help=what)


def submit_launcher(given: str | None) -> "Jobs | None":
    """Return what launches the trials as the options of ``--submit`` say; None where nothing is submitted.

    Raises:
        FusionLabError: A quotation mark is missing, or an option is wrong.
    """
    if given is None:
        return None
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise FusionLabError(f"--submit cannot be read ({error}): put it in quotation marks as a whole.") from None

    from fusion_lab.studies.launching import Jobs

    parser = ArgumentParser(prog="--submit", exit_on_error=False, allow_abbrev=False)
    _add_cluster_options(parser)
    return Jobs(_cluster(parse(parser, words)))


def _add_cluster_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--nodes", type=PositiveInt, default=1, metavar="N", help="machines")
    add("--gpus", type=NonNegativeInt, default=1, metavar="G", help="GPUs, and processes, of each node; 0 for the CPU")
    add("--processes", type=PositiveInt, default=1, metavar="P", help="processes of each node with --gpus 0")
    kind = "Slurm, or this machine in the background"
    add("--cluster", type=Literal["slurm", "local"], default="slurm", help=kind)
    time = f"limit of the job, which goes on in a new one then ({SLURM_MINUTES} on Slurm, none here)"
    add("--time", type=PositiveInt, metavar="MIN", help=time)
    add("--partition", type=str, metavar="NAME", help="partition of Slurm")
    add("--account", type=str, metavar="NAME", help="account of Slurm that is charged")
    add("--cpus", type=PositiveInt, metavar="N", help="cores of each process; unless given, `num_workers` + 1")
    add("--sbatch", nargs="+", metavar="KEY=VALUE", help="further options of sbatch, such as qos=long exclusive")


def _cluster(args: Namespace) -> Cluster:
    """Return the cluster that the options describe, checked before anything slow begins."""
    options = chosen(args, "nodes", "gpus", "processes", "time", "partition", "account", "cpus")
    cluster = Cluster(kind=args.cluster, sbatch=tuple(args.sbatch or ()), **options)
    cluster.check()
    return cluster
