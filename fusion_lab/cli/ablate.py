"""``fusion-lab ablate``: `fusion_lab.Study` from the command line."""

import shlex
import sys
from pathlib import Path

from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import make_parser, overrides_apart, parse
from fusion_lab.cli.submit import add_submit_option, submit_launcher
from fusion_lab.errors import FusionLabError
from fusion_lab.studies import Plan, Study
from fusion_lab.studies.gathered import Gathered, gather
from fusion_lab.studies.grid import Grid
from fusion_lab.studies.trial import read_options

_OWN = ("exp", "exp.name", "exp.seed", "exp.output", "ckpt_path", "config", "c")


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 1 if a trial failed."""
    ours, overrides = overrides_apart(argv, "ablate", _OWN)
    try:
        args = parse(_parser(), ours)
    except FusionLabError as error:
        hint = "; keys of the experiments follow ` -- `" if "unrecognized" in str(error).lower() else ""
        raise FusionLabError(f"{error}{hint}") from None
    if bool(args.experiments) == bool(args["from"]):
        raise FusionLabError("Name experiments to run, or runs to compare by --from.")
    plan: Plan
    if args["from"]:
        plan = Gathered(gather(args["from"], args.output))
    else:
        layers, options = args["with"], read_options(overrides)
        seeds, scored = range(args.seeds), not args.metrics
        plan = Grid(args.experiments, args.output, seeds=seeds, layers=layers, scored=scored, options=options)
    study = Study(folder=args.output, metrics=args.metrics, plan=plan)
    study.made_by = shlex.join(["fusion-lab", "ablate", *argv])
    study.check_row(args.against)
    try:
        study.run(args.jobs, submit_launcher(args.submit))
    except KeyboardInterrupt:
        print("The same command goes on from here.", file=sys.stderr)
        raise
    return conclude(study, args.against)


def conclude(study: Study, against: str | None = None) -> int:
    """Write and print the table of a study, and what failed; returns the exit code."""
    from rich.console import Console

    from fusion_lab.reporting import differences
    from fusion_lab.reporting.tables import terminal_tables

    if any(trial.finished for trial in study.trials):
        # In a file or a pipe a line may be as long as it needs.
        console = Console(width=None if sys.stdout.isatty() else 1000)
        table, compared = study.write(against)
        for one in terminal_tables(table):
            console.print(one)
        if compared:
            console.print(differences.grid(compared).terminal("differences, seed by seed, with 95 % intervals"))
        print(f"Written to {study.folder}: table.md, .csv and .tex, and sources.csv, which names every run.")
    if told := study.told_failures():
        print("\n".join(["", *told]), file=sys.stderr)
    return 1 if told else 0


def add_metrics(parser: ArgumentParser) -> None:
    """Let the user choose the columns of the table."""
    columns = "columns of the table, such as val/loss; all of validation if not given"
    parser.add_argument("--metrics", type=str, nargs="+", metavar="NAME", help=columns)


def _parser() -> ArgumentParser:
    details = (
        ". The same command again goes on where it was interrupted, and tries failed trials again. What follows `--` "
        "overrides keys of all experiments"
    )
    parser = make_parser("ablate", details, usage="%(prog)s EXPERIMENT ... [options] [-- --KEY=VALUE ...]")
    add = parser.add_argument
    experiments = "configurations to compare, or sweeps whose grids name them"
    add("experiments", type=Path, nargs="*", metavar="EXPERIMENT", help=experiments)
    add("--with", type=Path, nargs="+", default=[], metavar="CONFIG", help="configurations to lay over each of them")
    add("--seeds", type=PositiveInt, default=3, metavar="N", help="runs of each, with the seeds 0..N-1")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the runs and the table")
    runs = "runs that have ended: a folder, wandb:ENTITY/PROJECT/SWEEP, or wandb:ENTITY/PROJECT?group=NAME, ?tag="
    add("--from", metavar="RUNS", help=runs)
    add("--against", metavar="NAME", help="what the others are compared with (the experiment with all switches on)")
    add("--jobs", type=PositiveInt, default=1, metavar="N", help="runs at a time; they share cores and memory")
    add_submit_option(parser)
    add_metrics(parser)
    return parser
