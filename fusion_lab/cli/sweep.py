"""``fusion-lab sweep``: run a W&B sweep file without a server."""

import shlex
import sys
from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from fusion_lab.cli.ablate import add_metrics, conclude
from fusion_lab.cli.arguments import make_parser, parse
from fusion_lab.cli.submit import add_submit_option, submit_launcher
from fusion_lab.studies.launching import Processes
from fusion_lab.studies.progress import Progress
from fusion_lab.studies.study import Study
from fusion_lab.studies.sweep import Sweep
from fusion_lab.studies.sweep_file import read_sweep


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 1 if a run failed."""
    parser = make_parser("sweep")
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="a sweep, as experiments/sweeps/ has them")
    add("-o", "--output", type=Path, metavar="OUT", help="folder of the runs and the table (runs/sweeps/NAME)")
    add("--jobs", type=PositiveInt, metavar="N", help="runs at a time (1, or one for each GPU)")
    add("--gpus", type=NonNegativeInt, default=0, metavar="N", help="GPUs, one for each run")
    add_submit_option(parser)
    add("--resume", action="store_true", help="go on with a sweep that was interrupted")
    add_metrics(parser)
    args = parse(parser, argv)
    file = read_sweep(args.file)
    folder = args.output or Path("runs") / "sweeps" / args.file.stem
    study = Study(folder=folder, metrics=args.metrics, plan=Sweep(file, folder, args.resume))
    study.made_by = shlex.join(["fusion-lab", "sweep", *argv])
    launcher = submit_launcher(args.submit) or Processes(args.gpus)
    try:
        study.run(args.jobs or max(args.gpus, 1), launcher, Progress(args.file.name, file.metric, lines=True))
    except KeyboardInterrupt:
        print(f"The command goes on from here with --resume: {study.made_by}", file=sys.stderr)
        raise
    return conclude(study)
