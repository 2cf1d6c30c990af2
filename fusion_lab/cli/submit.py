"""``fusion-lab submit``: train on a cluster, one process for each GPU."""

from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from fusion_lab.cli.arguments import after_dashes, parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.errors import FusionLabError
from fusion_lab.runs.cluster import SLURM_MINUTES, Cluster
from fusion_lab.runs.compose import compose
from fusion_lab.runs.run import NO_EXPERIMENT

HELP = COMMANDS["submit"]
OWN_KEYS = ("exp.auto_resume", "ckpt_path", "config", "trainer.accelerator", "trainer.devices", "trainer.num_nodes")


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    ours, overrides = after_dashes(argv)
    parser = ArgumentParser(
        prog="fusion-lab submit",
        usage="%(prog)s --config C [--config D ...] [options] [-- --KEY=VALUE ...]",
        description=f"{HELP.capitalize()}. What follows `--` overrides keys of the experiment.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", type=str, action="append", metavar="CONFIG", help="as for `fit`")
    add_cluster_options(parser)
    parser.add_argument("--wait", action="store_true", help="wait for the end of the job")
    args = parse(parser, ours)
    if not args.config:
        raise FusionLabError(NO_EXPERIMENT)
    cluster = chosen_cluster(args)
    if taken := [option for option in overrides if option.partition("=")[0].lstrip("-") in (*OWN_KEYS, "c")]:
        raise FusionLabError(f"`submit` itself gives {taken[0].partition('=')[0]} to the job: leave it out after `--`.")
    cluster.check()
    job = cluster.submit(compose([Path(file) for file in args.config]), overrides)
    print(f"Submitted job {job.id}: {cluster.nodes} x {cluster.tasks} processes train in {job.run}.")
    print(f"Watch it with `tail -F {job.log}`, stop it with `{job.stop}`; submitted again, it goes on.", flush=True)
    if args.wait:
        job.wait()
    return 0


def add_cluster_options(parser: ArgumentParser) -> None:
    """Let the user say what a job needs."""
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
        help=f"limit of the job, which goes on in a new one then ({SLURM_MINUTES} on Slurm, none here)",
    )
    parser.add_argument("--partition", type=str | None, metavar="NAME", help="partition of Slurm")
    parser.add_argument("--account", type=str | None, metavar="NAME", help="account of Slurm that is charged")
    parser.add_argument(
        "--cpus", type=PositiveInt | None, metavar="N", help="cores of each process; unless given, `num_workers` + 1"
    )
    parser.add_argument(
        "--sbatch", nargs="+", metavar="KEY=VALUE", help="further options of sbatch, such as qos=long exclusive"
    )


def chosen_cluster(args: Namespace) -> Cluster:
    """Return the cluster that the options describe."""
    names = ("nodes", "gpus", "processes", "time", "partition", "account", "cpus")
    options: dict[str, Any] = {name: getattr(args, name) for name in names}
    return Cluster(kind=args.cluster, sbatch=tuple(args.sbatch or ()), **options)


def read_cluster(words: list[str]) -> Cluster:
    """Read the options of ``--submit``."""
    parser = ArgumentParser(prog="--submit", exit_on_error=False, allow_abbrev=False)
    add_cluster_options(parser)
    return chosen_cluster(parse(parser, words))
