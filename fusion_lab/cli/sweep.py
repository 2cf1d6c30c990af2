"""``fusion-lab sweep``: run a W&B sweep file without a server."""

import csv
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt

from fusion_lab.cli.ablation import Ablation
from fusion_lab.cli.arguments import add_submit_option, parse, submit_options
from fusion_lab.cli.search import search
from fusion_lab.cli.sweep_file import SweepFile, Values, read_sweep
from fusion_lab.cli.sweep_progress import SweepProgress
from fusion_lab.cli.trials import Failure, Trial, ending_like_ctrl_c, run_trials
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path, in_use, make_folder

HELP = "run a sweep file of W&B without a server, and compare its runs in one table"
SEED = "exp.seed"
RUNS = "runs.csv"
_ENDED_EARLY = "ended_early.json"
_OUR_OWN = ("exp.name", "exp.output")


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 1 if a run failed."""
    args = parse(_parser(), argv)
    file = read_sweep(args.file)
    if taken := [one.name for one in file.parameters if one.name in _OUR_OWN]:
        raise FusionLabError(f"`sweep` itself gives {taken[0]} to each run: leave it out of {args.file}.")
    output = args.output or Path("runs") / "sweeps" / args.file.stem
    command = shlex.join(["fusion-lab", "sweep", *argv])
    with in_use(output):
        _begin(file, output, args.resume)
        sweep = Sweep(file, output)
        try:
            with ending_like_ctrl_c():
                sweep.run(args.jobs or max(args.gpus, 1), args.gpus, submit_options(args.submit))
        except KeyboardInterrupt:
            print(f"The command goes on from here with --resume: {command}", file=sys.stderr)
            raise
        return Ablation(sweep.compared(), args.metrics, output, command, sweep.failures).conclude()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fusion-lab sweep", description=f"{HELP.capitalize()}.", exit_on_error=False)
    parser.add_argument("file", type=Path, metavar="FILE", help="a sweep, as experiments/sweeps/ has them")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder of the runs and the table (runs/sweeps/NAME)"
    )
    parser.add_argument("--jobs", type=PositiveInt | None, metavar="N", help="runs at a time (1, or one for each GPU)")
    parser.add_argument("--gpus", type=NonNegativeInt, default=0, metavar="N", help="GPUs, one for each run")
    add_submit_option(parser)
    parser.add_argument("--resume", action="store_true", help="go on with a sweep that was interrupted")
    parser.add_argument(
        "--metrics", type=str, nargs="+", metavar="NAME", help="columns of the table; all of validation if not given"
    )
    return parser


def _begin(file: SweepFile, output: Path, resume: bool) -> None:
    """Keep the file beside its runs, and let no folder mix two sweeps."""
    kept = output / "sweep.yaml"
    if not kept.is_file():
        make_folder(output)
        with atomic_path(kept) as temporary:
            shutil.copy(file.path, temporary)
        return
    if not resume:
        raise FusionLabError(f"The folder {output} holds a sweep: go on with --resume, or name another --output.")
    if kept.read_bytes() != file.path.read_bytes():
        raise FusionLabError(f"The sweep in {output} was begun with another file, {kept}: name another --output.")


class Sweep:
    """The runs of a sweep, as far as they are.

    Args:
        file: The sweep.
        output: The folder of the runs; what is there is not run again, unless it failed.

    Attributes:
        failures: The runs that failed.
    """

    def __init__(self, file: SweepFile, output: Path) -> None:
        self._file = file
        self._output = output
        self._search = search(file, output)
        self._numbers: dict[Trial, int] = {}
        self._values: dict[Trial, Values] = {}
        self.failures: list[Failure] = []

    def run(self, jobs: int, gpus: int, submit: Sequence[str] | None = None) -> None:
        """Run what is not finished, so many at a time; the list of runs is written anew after each.

        Args:
            jobs: How many run at a time.
            gpus: How many GPUs there are for them.
            submit: Options of ``fusion-lab submit``, if they run on a cluster.
        """
        with SweepProgress(self._file) as progress:

            def announce(running: list[Trial]) -> None:
                progress.show(
                    [(_named(trial), self._state(trial, running), self._last(trial)) for trial in self._numbers]
                )

            group = self._output.resolve().name
            with closing(run_trials(self._waiting(), jobs, announce, self._should_stop, gpus, group, submit)) as ended:
                for trial, failure in ended:
                    if failure and not _ended_early(trial):
                        self.failures.append(failure)
                    self._tell(trial)
                    self._write()
                    announce([])
        self._write()

    def compared(self) -> list[Trial]:
        """Give the runs that belong into the table: not those that ended early, whose numbers are of another step."""
        return [trial for trial in self._numbers if not _ended_early(trial)]

    def _waiting(self) -> Iterator[Trial]:
        for number, values in enumerate(self._search):
            trial = self._trial(number, values)
            self._numbers[trial], self._values[trial] = number, values
            if trial.finished or _ended_early(trial):
                self._tell(trial)
            else:
                yield trial

    def _trial(self, number: int, values: Values) -> Trial:
        seed = values.get(SEED)
        given = [f"--{name}={_written(value)}" for name, value in values.items() if name != SEED]
        name = f"{number:04d}"
        options = (*self._file.before, *given, *self._file.after, f"--exp.name={name}")
        row = _row(self._file, values)
        if any(other.title == row and other.seed == seed for other in self._numbers):
            # Drawn before: another run of the same kind is no other seed.
            row += f" ({name})"
        return Trial(name, seed, self._output, options, row)

    def _tell(self, trial: Trial) -> None:
        value = trial.result().metrics.get(self._file.metric or "") if trial.finished else None
        if not _ended_early(trial):
            self._search.told(self._numbers[trial], value)

    def _should_stop(self, trial: Trial) -> bool:
        if self._file.early_termination is None or _ended_early(trial):
            return False
        values = self._history(trial)
        if not self._search.should_stop(self._numbers[trial], values):
            return False
        with atomic_path(trial.run / _ENDED_EARLY) as temporary:
            temporary.write_text(json.dumps({"metric": self._file.metric, "values": values}) + "\n", encoding="utf-8")
        return True

    def _history(self, trial: Trial) -> list[float]:
        """Read the values of the metric that a running trial has logged."""
        file = trial.run / "log" / "metrics.csv"
        # It may just be written.
        with suppress(OSError, ValueError), file.open(newline="", encoding="utf-8") as opened:
            return [float(row[m]) for row in csv.DictReader(opened) if (m := self._file.metric or "") in row and row[m]]
        return []

    def _state(self, trial: Trial, running: list[Trial]) -> str:
        if trial in running:
            return "running"
        if _ended_early(trial):
            return "ended early"
        if trial.finished:
            return "finished"
        return "failed" if any(failure.trial == trial for failure in self.failures) else "waiting"

    def _last(self, trial: Trial) -> float | None:
        values = self._history(trial)
        return values[-1] if values else None

    def _write(self) -> None:
        """Write ``runs.csv``: every run with its values, its state, and its last value of the metric."""
        names = [parameter.name for parameter in self._file.parameters]
        path = self._output / RUNS
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(["run", "title", *names, "state", self._file.metric or "metric"])
            for trial, values in self._values.items():
                writer.writerow(
                    [
                        trial.name,
                        trial.title,
                        *map(_written, values.values()),
                        self._state(trial, []),
                        self._last(trial),
                    ]
                )


def _named(trial: Trial) -> str:
    return trial.title if trial.seed is None else f"{trial.title}, seed {trial.seed}"


def _ended_early(trial: Trial) -> bool:
    return (trial.run / _ENDED_EARLY).is_file()


def _row(file: SweepFile, values: Values) -> str:
    """Name a run by what distinguishes it, without the seed."""
    varied = [one.name for one in file.parameters if len(one.values) != 1 and one.name != SEED]
    told = []
    for name in varied:
        text = _written(values[name])
        if not text.endswith(".yaml"):
            told.append(f"{name.rpartition('.')[2]}={text}")
            continue
        # Overlays are known by their names, and where two have one name, by their folders too.
        [choices] = [one.values for one in file.parameters if one.name == name]
        same = [choice for choice in choices if Path(str(choice)).stem == Path(text).stem]
        told.append(Path(text).stem if len(same) == 1 else str(Path(text).with_suffix("")))
    return ", ".join(told) or "all"


def _written(value: Any) -> str:
    """Write a value as a command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)
