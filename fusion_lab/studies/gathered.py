"""Runs that were trained before, here or elsewhere, for a table."""

import csv
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.files import make_folder, walk, write_text
from fusion_lab.runs.result import RESULT
from fusion_lab.studies.plan import Plan
from fusion_lab.studies.sweep import RUNS
from fusion_lab.studies.trial import Trial

_SERVER = "wandb:"
_SOURCE = "source.txt"


class Gathered(Plan):
    """Trials that were run before.

    Args:
        trials: What `gather` found.
    """

    def __init__(self, trials: list[Trial]) -> None:
        self._trials = trials

    def known(self) -> list[Trial]:
        """Return all of them."""
        return self._trials


def gather(source: str, output: Path) -> list[Trial]:
    """Find the runs that have ended.

    Args:
        source: A folder with runs anywhere below it; or ``wandb:ENTITY/PROJECT/SWEEP``; or some runs of a project,
            ``wandb:ENTITY/PROJECT?group=NAME`` or ``?tag=NAME``.
        output: Where what a server tells is written, below ``wandb/``, as if the runs had been trained here.

    Raises:
        FusionLabError: There are none, or the server does not answer.
    """
    if source.startswith(_SERVER):
        folder = output / "wandb" / re.sub(r"\W+", "-", source.rpartition("/")[2])
        _fetch(source.removeprefix(_SERVER), folder)
    else:
        folder = Path(source)
        if not folder.is_dir():
            raise FusionLabError(f"The folder {folder} does not exist: check --from.")
    # A link to a run beside it leads to the same one.
    runs = {file.parent.resolve(): file.parent for file in reversed(list(walk(folder))) if file.name == RESULT}
    found = [_trial(run) for run in sorted(runs.values())]
    if not found:
        raise FusionLabError(f"There is no run in {source} that has ended, with a {RESULT}.")
    known: dict[tuple[str, int | None], Path] = {}
    for trial in found:
        if other := known.get((trial.title, trial.seed)):
            raise FusionLabError(
                f"The runs {other} and {trial.run} have the same name and seed, {trial.title} and {trial.seed}: name a "
                "folder that holds one of them."
            )
        known[trial.title, trial.seed] = trial.run
    return found


def _trial(run: Path) -> Trial:
    """Read what a run says of itself."""
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        exp = config["exp"]
        switches = tuple((str(name), bool(on)) for name, on in (exp.get("switches") or {}).items())
        title = _title_in_sweep(run) or str(exp["name"])
        return Trial(run.name, int(exp.get("seed", 0)), run.parent, (), title, switches)
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise FusionLabError(f"The configuration of the run {run} is missing or broken: leave the run out.") from None


def _title_in_sweep(run: Path) -> str | None:
    """Find what the sweep that a run belongs to calls it, if there is one."""
    try:
        with (run.parent / RUNS).open(newline="", encoding="utf-8") as file:
            return next((row["title"] for row in csv.DictReader(file) if row["run"] == run.name), None)
    except (OSError, KeyError):
        return None


def _fetch(path: str, folder: Path) -> None:
    """Write what the public API of W&B tells of the finished runs of a sweep, or of a project."""
    import wandb

    from fusion_lab.callbacks.wandb_logger import STOPPED

    named = re.fullmatch(r"([^/?]+/[^/?]+)(?:/(?P<sweep>[^/?]+)|\?(?P<kind>group|tag)=(?P<name>.+))", path)
    if not named:
        raise FusionLabError(
            f"--from wandb: should name ENTITY/PROJECT/SWEEP, ENTITY/PROJECT?group=NAME or ?tag=NAME. Found '{path}'."
        )
    what = "sweep" if named["sweep"] else "runs of"
    # In the words of MongoDB.
    filters = {"group": named["name"]} if named["kind"] == "group" else {"tags": {"$in": [named["name"]]}}
    try:
        # Nothing is trained here: everything that may go wrong is the connection, the rights or the name.
        api = wandb.Api()
        runs = api.sweep(path).runs if named["sweep"] else api.runs(named[1], filters)
        told = [
            (run.id, run.url, dict(run.config), dict(run.summary_metrics))
            for run in runs
            if run.state == "finished" and not run.summary_metrics.get(STOPPED)
        ]
    except Exception as error:
        reason = one_line(error)
        raise FusionLabError(
            f"W&B does not tell of the {what} {path} ({reason}): check its name, and `wandb login`."
        ) from None
    make_folder(folder)
    for before in folder.glob(f"*/{_SOURCE}"):
        # What was fetched for a table before is of this one only if the server still tells of it.
        if before.parent.name not in {name for name, *_ in told}:
            shutil.rmtree(before.parent)
    for name, url, config, summary in told:
        run = make_folder(folder / name)
        result = {"steps": int(summary.get("trainer/global_step", 0)) + 1, "metrics": _numbers(summary)}
        write_text(run / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        write_text(run / _SOURCE, f"{url}\n")
        write_text(run / RESULT, json.dumps(result, indent=1) + "\n")


def _numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """Take the last value of each metric; where a best one is kept too, the summary is a dictionary."""
    last = {name: value.get("last") if isinstance(value, Mapping) else value for name, value in summary.items()}
    return {
        name: float(value)
        for name, value in last.items()
        if isinstance(value, int | float) and "/" in name and not name.startswith("trainer/")
    }
