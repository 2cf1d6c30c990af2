"""``fusion-lab ablate``: run experiments over several seeds and compare them in one table."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import PositiveInt

from fusion_lab.cli.ablation import Ablation
from fusion_lab.cli.arguments import add_submit_option, submit_options
from fusion_lab.cli.gathered import gather
from fusion_lab.cli.search import Listed
from fusion_lab.cli.sweep import SEED
from fusion_lab.cli.sweep_file import SweepFile, is_sweep, read_sweep
from fusion_lab.cli.trials import Trial, ending_like_ctrl_c
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path, expand_home, in_use, make_folder
from fusion_lab.runs.compose import compose

HELP = "run several experiments over several seeds and compare them in one table"
_OUR_OWN = ("--exp", "--exp.name", "--exp.seed", "--exp.output", "--ckpt_path", "--config", "-c")


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 1 if a trial failed."""
    ours, overrides = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    try:
        args = _parser().parse_args(ours)
    except ArgumentError as error:
        hint = "; keys of the experiments follow ` -- `" if "unrecognized" in str(error).lower() else ""
        raise FusionLabError(" ".join(str(error).split()) + hint) from None
    if taken := [option for option in overrides if option.partition("=")[0] in _OUR_OWN]:
        raise FusionLabError(f"`ablate` itself gives {taken[0].partition('=')[0]} to each trial: leave it out.")
    if bool(args.experiments) == bool(args["from"]):
        raise FusionLabError("Name experiments to run, or runs to compare by --from.")
    made_with: dict[str, str] = {}
    if args["from"]:
        trials = gather(args["from"], args.output)
    else:
        trials, made_with = _plan(
            args.experiments, args["with"], overrides, args.seeds, args.output, scored=not args.metrics
        )
    rows = list(dict.fromkeys(trial.title for trial in trials))
    if args.against and args.against not in rows:
        raise FusionLabError(f"There is no experiment '{args.against}' to compare with: there are {', '.join(rows)}.")
    command = shlex.join(["fusion-lab", "ablate", *argv])
    ablation = Ablation(trials, args.metrics, args.output, command, against=args.against)
    try:
        with in_use(args.output), ending_like_ctrl_c():
            if made_with:
                _keep(trials, made_with, args.output)
            ablation.run(args.jobs, submit_options(args.submit))
    except KeyboardInterrupt:
        print("The same command goes on from here.", file=sys.stderr)
        raise
    return ablation.conclude()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab ablate",
        usage="%(prog)s EXPERIMENT ... [options] [-- --KEY=VALUE ...]",
        description=f"{HELP.capitalize()}. The same command again goes on where it was interrupted, and tries "
        "failed trials again. What follows `--` overrides keys of all experiments.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "experiments",
        type=Path,
        nargs="*",
        metavar="EXPERIMENT",
        help="configurations to compare, or sweeps whose grids name them",
    )
    parser.add_argument(
        "--with", type=Path, nargs="+", default=[], metavar="CONFIG", help="configurations to lay over each of them"
    )
    parser.add_argument("--seeds", type=PositiveInt, default=3, metavar="N", help="runs of each, with the seeds 0..N-1")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the runs and the table"
    )
    parser.add_argument(
        "--from",
        metavar="RUNS",
        help="compare runs that have ended instead: a folder of them, or wandb:ENTITY/PROJECT/SWEEP",
    )
    parser.add_argument(
        "--against", metavar="NAME", help="experiment that the others are compared with (that with all switches on)"
    )
    parser.add_argument(
        "--jobs", type=PositiveInt, default=1, metavar="N", help="runs at a time; they share cores and memory"
    )
    add_submit_option(parser)
    parser.add_argument(
        "--metrics",
        type=str,
        nargs="+",
        metavar="NAME",
        help="columns, such as val/loss; all of validation if not given",
    )
    return parser


def _plan(
    experiments: Sequence[Path],
    layers: Sequence[Path],
    overrides: Sequence[str],
    seeds: int,
    output: Path,
    scored: bool,
) -> tuple[list[Trial], dict[str, str]]:
    """Compose all experiments and list their trials, seed by seed: what is done first is a whole table.

    What each experiment is made with is given too, by its name.

    Where they are to be ``scored`` on validation pairs, all need some.
    """
    files: dict[str, tuple[Path, ...]] = {}
    made_with: dict[str, str] = {}
    switches: dict[str, tuple[tuple[str, bool], ...]] = {}
    for several in (configs for file in experiments for configs in _configurations(file)):
        config = compose([*several, *layers])
        file = several[0]
        shared_keys = config.get("exp") or {}
        name = str(shared_keys.get("name", "")) if isinstance(shared_keys, dict) else ""
        if not name or Path(name).name != name or "$" in name:
            raise FusionLabError(f"The experiment {file} should have a plain `exp.name`. Found '{name}'.")
        if name in files:
            raise FusionLabError(f"{files[name][0]} and {file} have the same `exp.name`, {name}: rename one of them.")
        if scored and not (_validation_pairs(config) or any("init_args.val" in option for option in overrides)):
            raise FusionLabError(
                f"The experiment {file} validates nothing, so that there is nothing to compare: lay data with `val` "
                "over it, such as --with configs/data/embedded.yaml, or name other --metrics."
            )
        files[name] = several
        switches[name] = tuple((shared_keys.get("switches") or {}).items())
        made_with[name] = yaml.safe_dump({"overrides": list(overrides), "config": config}, sort_keys=False)
    shared = [text for layer in layers for text in ("-c", str(layer))]
    trials = [
        Trial(
            name,
            seed,
            output / f"seed{seed}",
            (*(text for file in several for text in ("-c", str(file))), *shared, *overrides),
            switches=switches[name],
        )
        for seed in range(seeds)
        for name, several in files.items()
    ]
    return trials, made_with


def _configurations(file: Path) -> list[tuple[Path, ...]]:
    """Give the configurations of an experiment, or of each in the grid of a sweep; seeds are ours to give.

    Raises:
        FusionLabError: The sweep varies more than configurations.
    """
    # What is no YAML, or missing, is told where it is composed.
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        if is_sweep(yaml.safe_load(file.read_text(encoding="utf-8"))):
            return _grid(read_sweep(file))
    return [(file,)]


def _grid(sweep: SweepFile) -> list[tuple[Path, ...]]:
    others = [one.name for one in sweep.parameters if one.name.partition(".")[0] != "config" and one.name != SEED]
    if sweep.method != "grid" or others:
        what = f"varies `{others[0]}`" if others else f"is a {sweep.method} search"
        raise FusionLabError(
            f"The sweep {sweep.path} {what}, but `ablate` compares configurations: run it by `fusion-lab sweep`."
        )
    known = ("--config=", "--config.", "--exp.output=")
    if odd := [word for word in (*sweep.before, *sweep.after) if not word.startswith(known)]:
        raise FusionLabError(
            f"The sweep {sweep.path} gives `{odd[0]}` to its runs, which `ablate` would leave out: write "
            "configurations as --config=FILE, and overrides after ` -- `."
        )
    grid = []
    for values in Listed(sweep):
        given = [f"--{name}={value}" for name, value in values.items() if name != SEED]
        words = [word.partition("=") for word in (*sweep.before, *given, *sweep.after)]
        grid.append(tuple(Path(expand_home(value)) for key, _, value in words if key.startswith("--config")))
    return list(dict.fromkeys(grid))


def _validation_pairs(config: dict[str, Any]) -> bool:
    """Tell whether a configuration has validation pairs; data of another kind is trusted to have some."""
    arguments = (config.get("data") or {}).get("init_args") or {}
    return bool(arguments.get("val")) or "train" not in arguments


def _keep(trials: Sequence[Trial], made_with: dict[str, str], output: Path) -> None:
    """Keep what the experiments are made with beside their runs; let no table mix runs of different configurations."""
    for trial in trials:
        earlier = output / f"{trial.name}.yaml"
        if not earlier.is_file() or not (trial.begun or trial.finished):
            continue
        if earlier.read_text(encoding="utf-8") != made_with[trial.name]:
            raise FusionLabError(
                f"The run {trial.run} was made with another configuration or other overrides, kept in {earlier}: "
                "name another --output, or delete the runs of this experiment."
            )
    for name, text in made_with.items():
        with atomic_path(make_folder(output) / f"{name}.yaml") as temporary:
            temporary.write_text(text, encoding="utf-8")
