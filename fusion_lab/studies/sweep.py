"""The trials of a W&B sweep file, without a server."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path, make_folder, write_rows, write_text
from fusion_lab.studies.plan import Plan
from fusion_lab.studies.progress import last_value, logged_values
from fusion_lab.studies.search import SEED, Search, search
from fusion_lab.studies.sweep_file import SweepFile, Values
from fusion_lab.studies.trial import ENDED_EARLY, Trial, written

RUNS = "runs.csv"
_OUR_OWN = ("exp.name", "exp.output")


class Sweep(Plan):
    """The trials of a sweep, as far as they were proposed; ``runs.csv`` lists them.

    Args:
        file: The sweep.
        folder: The folder of the runs; what is there is not run again, unless it failed.
        resume: Whether to go on with a sweep that the folder holds.

    Raises:
        FusionLabError: The sweep varies what a study gives to each run.
    """

    def __init__(self, file: SweepFile, folder: Path, resume: bool = False) -> None:
        if taken := [one.name for one in file.parameters if one.name in _OUR_OWN]:
            raise FusionLabError(f"`sweep` itself gives {taken[0]} to each run: leave it out of {file.path}.")
        self._file = file
        self._folder = folder
        self._resume = resume
        self._search: Search | None = None
        self._numbers: dict[Trial, int] = {}
        self._values: dict[Trial, Values] = {}
        self._seen: dict[Trial, tuple[int, int]] = {}

    def begin(self, folder: Path) -> None:
        """Keep the file beside its runs, and let no folder mix two sweeps."""
        kept = folder / "sweep.yaml"
        if not kept.is_file():
            make_folder(folder)
            with atomic_path(kept) as temporary:
                shutil.copy(self._file.path, temporary)
        elif not self._resume:
            raise FusionLabError(f"The folder {folder} holds a sweep: go on with --resume, or name another --output.")
        elif kept.read_bytes() != self._file.path.read_bytes():
            raise FusionLabError(f"The sweep in {folder} was begun with another file, {kept}: name another --output.")
        self._search = search(self._file, folder)
        self._resume = True

    def known(self) -> Sequence[Trial]:
        """Return the trials that were proposed so far."""
        return list(self._numbers)

    def __iter__(self) -> Iterator[Trial]:
        self._numbers.clear()
        self._values.clear()
        for number, values in enumerate(self._search or ()):
            trial = self._trial(number, values)
            self._numbers[trial], self._values[trial] = number, values
            yield trial
        self._write()

    def _trial(self, number: int, values: Values) -> Trial:
        seed = values.get(SEED)
        name = f"{number:04d}"
        given = [(key, written(value)) for key, value in values.items() if key != SEED]
        options = (*self._file.before, *given, *self._file.after, ("exp.name", name))
        row = _row(self._file, values)
        if any(other.title == row and other.seed == seed for other in self._numbers):
            # Drawn before: another run of the same kind is no other seed.
            row += f" ({name})"
        return Trial(name, seed, self._folder, options, row)

    def told(self, trial: Trial) -> None:
        """Let the search learn what a trial came to, and list the trials anew."""
        if self._search is not None and not trial.ended_early:
            value = trial.result().metrics.get(self._file.metric or "") if trial.finished else None
            self._search.told(self._numbers[trial], value)
        self._write()

    def should_stop(self, trial: Trial) -> bool:
        """Tell whether a trial that runs is worse than those that go on; looked at when it has logged more."""
        if self._search is None or self._file.early_termination is None or trial.ended_early:
            return False
        seen = _size_and_time(trial.run / "log" / "metrics.csv")
        if seen is None or seen == self._seen.get(trial):
            return False
        self._seen[trial] = seen
        values = logged_values(trial, self._file.metric)
        if not self._search.should_stop(self._numbers[trial], values):
            return False
        write_text(trial.run / ENDED_EARLY, json.dumps({"metric": self._file.metric, "values": values}) + "\n")
        return True

    def _write(self) -> None:
        """Write ``runs.csv``: every run with its values, its state, and its last value of the metric."""
        names = [parameter.name for parameter in self._file.parameters]
        rows = []
        for trial, values in self._values.items():
            state = "ended early" if trial.ended_early else "finished" if trial.finished else _begun(trial)
            told = [trial.name, trial.title, *map(written, values.values()), state]
            rows.append([*told, last_value(trial, self._file.metric)])
        write_rows(self._folder / RUNS, ["run", "title", *names, "state", self._file.metric or "metric"], rows)


def _begun(trial: Trial) -> str:
    return "failed" if trial.log.is_file() else "waiting"


def _size_and_time(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns
    return None


def _row(file: SweepFile, values: Values) -> str:
    """Name a run by what distinguishes it, without the seed."""
    varied = [one.name for one in file.parameters if len(one.values) != 1 and one.name != SEED]
    told = []
    for name in varied:
        text = written(values[name])
        if not text.endswith(".yaml"):
            told.append(f"{name.rpartition('.')[2]}={text}")
            continue
        # Overlays are known by their names, and where two have one name, by their folders too.
        [choices] = [one.values for one in file.parameters if one.name == name]
        same = [choice for choice in choices if Path(str(choice)).stem == Path(text).stem]
        told.append(Path(text).stem if len(same) == 1 else str(Path(text).with_suffix("")))
    return ", ".join(told) or "all"
