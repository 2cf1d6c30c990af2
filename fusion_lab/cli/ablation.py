"""Many trials and the table of what they came to."""

import csv
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_lab.cli.trials import Failure, Result, Trial, run_trials
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path
from fusion_lab.public.manifest import sha256

if TYPE_CHECKING:
    from fusion_lab.reporting.differences import DifferenceTable
    from fusion_lab.reporting.tables import ComparisonTable

_DIFFERENCES = (
    "Differences, seed by seed, with the 95 % interval of a paired bootstrap over the seeds; bold where it leaves zero "
    "out and there are six seeds or more. Fewer make it too narrow: with three it is the range of three numbers, and "
    "leaves zero out by chance in a quarter of all cases."
)


class Ablation:
    """Trials, what they came to so far, and their table.

    Args:
        trials: All trials; those that are finished are read at once.
        metrics: The columns of the table; losses and scores of the validation unless given.
        output: The folder of the table.
        command: What the user typed.
        failures: Trials that are known to have failed.
        against: The row that the others are compared with; that with all switches on, or the first one, unless given.

    Raises:
        FusionLabError: The result of a finished trial is broken.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        metrics: Sequence[str] | None,
        output: Path,
        command: str,
        failures: Sequence[Failure] = (),
        against: str | None = None,
    ) -> None:
        self._trials = trials
        self._metrics = metrics
        self._output = output
        self._command = command
        self._results: dict[Trial, Result] = {trial: trial.result() for trial in trials if trial.finished}
        self._failures = list(failures)
        self._against = against or _full(trials)

    def run(self, jobs: int, submit: Sequence[str] | None = None) -> None:
        """Run what is not finished, so many at a time; the table is written anew after each trial.

        Args:
            jobs: How many run at a time.
            submit: Options of ``fusion-lab submit``, if they run on a cluster.
        """
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        waiting = [trial for trial in self._trials if trial not in self._results]
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("", total=len(self._trials), completed=len(self._results))

            def announce(running: list[Trial]) -> None:
                progress.update(bar, description=", ".join(f"{trial.title} seed {trial.seed}" for trial in running))

            with closing(
                run_trials(waiting, jobs, announce, group=self._output.resolve().name, submit=submit)
            ) as ended:
                for trial, failure in ended:
                    progress.advance(bar)
                    if failure:
                        self._failures.append(failure)
                    else:
                        self._results[trial] = trial.result()
                        # A mistake in the metrics is told at the end: it is no reason to stop the others.
                        with suppress(FusionLabError):
                            self._write()

    def conclude(self) -> int:
        """Print the table and what failed; returns the exit code.

        Raises:
            FusionLabError: The trials have no such metrics as the table should show.
        """
        from rich.console import Console

        from fusion_lab.reporting.tables import terminal_tables

        if self._results:
            # In a file or a pipe a line may be as long as it needs.
            console = Console(width=None if sys.stdout.isatty() else 1000)
            table = self._write()
            for one in terminal_tables(table):
                console.print(one)
            if compared := self._compared(table):
                from fusion_lab.reporting import differences

                console.print(differences.terminal_table(compared))
            print(f"Written to {self._output}: table.md, .csv and .tex, and sources.csv, which names every run.")
        if self._failures:
            print("\n".join(["", *self._told_failures()]), file=sys.stderr)
        return 1 if self._failures else 0

    def _write(self) -> "ComparisonTable":
        from fusion_lab.reporting import differences
        from fusion_lab.reporting.plots import write_figure
        from fusion_lab.reporting.tables import comparison_table, latex, markdown, write_csv

        runs: dict[str, list[dict[str, float]]] = {trial.title: [] for trial in self._trials}
        for trial in self._trials:
            if trial in self._results:
                runs[trial.title].append(self._results[trial].metrics)
        switches = {trial.title: dict(trial.switches) for trial in self._trials}
        table = comparison_table(runs, len({trial.seed for trial in self._trials}), self._metrics, switches)
        texts = [markdown(table), *self._footer()]
        if compared := self._compared(table):
            texts += ["", _DIFFERENCES, "", differences.markdown(compared)]
            differences.write_csv(self._output / "differences.csv", compared)
            write_figure(differences.forest_plot(compared), self._output / "differences.png")
        self._write_text("table.md", "\n".join(texts) + "\n")
        self._write_text("table.tex", latex(table))
        write_csv(self._output / "table.csv", table)
        self._write_sources()
        return table

    def _compared(self, table: "ComparisonTable") -> "DifferenceTable | None":
        """Compare all rows with one, if there are others."""
        from fusion_lab.reporting.differences import difference_table

        results: dict[str, dict[int, dict[str, float]]] = {trial.title: {} for trial in self._trials}
        for trial, result in self._results.items():
            results[trial.title][trial.seed or 0] = result.metrics
        if self._against not in results or len(results) < 2 or not results[self._against]:
            return None
        return difference_table(results, self._against, [column.metric for column in table.columns])

    def _write_text(self, name: str, text: str) -> None:
        with atomic_path(self._output / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _write_sources(self) -> None:
        """Write ``sources.csv``: where every number comes from, a row a run."""
        path = self._output / "sources.csv"
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["experiment", "seed", "run", "steps", "commit", "torch", "config", "data"])
            for trial, result in self._results.items():
                made = trial.environment()
                told = [result.steps, made.get("commit"), made.get("packages", {}).get("torch")]
                sums = [_checksum(trial.run / name) for name in ("config.yaml", "data.sha256")]
                writer.writerow([trial.title, trial.seed, trial.run, *told, *sums])

    def _footer(self) -> list[str]:
        """Tell, in paragraphs and lists of Markdown, how the table was made and what it lacks."""
        seeds = sorted({trial.seed for trial in self._trials if trial.seed is not None})
        environments = [trial.environment() for trial in self._results]
        lines = [
            "The mean of each metric over the seeds ± its sample standard deviation; the best mean of a column is "
            "bold. A number in brackets tells how many seeds went in where some are missing.",
            "",
            f"- Command: `{self._command}`",
            f"- Seeds: {_listed(seeds) or 'that of the configuration'}",
            f"- Steps: {_listed(result.steps for result in self._results.values())}",
            f"- torch: {_listed(made.get('packages', {}).get('torch') for made in environments)}",
            f"- Commit: {_listed(made.get('commit') for made in environments)}",
        ]
        if missing := len(self._trials) - len(self._results) - len(self._failures):
            lines += ["", f"Not ended yet: {missing} of {len(self._trials)} trials."]
        return [*lines, *(["", *self._told_failures()] if self._failures else [])]

    def _told_failures(self) -> list[str]:
        return [
            f"Failed and not in the table: {len(self._failures)} of {len(self._trials)} trials.",
            "",
            *(f"- {f.trial.title}, seed {f.trial.seed}: {f.reason} (log: {f.trial.log})" for f in self._failures),
        ]


def _full(trials: Sequence[Trial]) -> str:
    """Name the row with all switches on, or else the first one."""
    whole = [trial.title for trial in trials if trial.switches and all(state for _, state in trial.switches)]
    return (whole or [trial.title for trial in trials] or [""])[0]


def _checksum(path: Path) -> str:
    """Give the SHA-256 of a file of a run, or nothing where the run has none."""
    return sha256(path) if path.is_file() else ""


def _listed(values: Iterable[object]) -> str:
    """List different values; what was not recorded is unknown."""
    return ", ".join(dict.fromkeys("unknown" if value is None else str(value) for value in values))
