"""Many trainings as one object: which they are, running them, and the table of what they came to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fusion_lab.errors import FusionLabError
from fusion_lab.files import in_use, sha256, write_rows, write_text
from fusion_lab.runs.result import Result
from fusion_lab.studies.grid import Grid
from fusion_lab.studies.launching import Failure, Launcher, ending_like_ctrl_c, run_trials
from fusion_lab.studies.plan import Plan
from fusion_lab.studies.progress import Progress
from fusion_lab.studies.trial import Trial

if TYPE_CHECKING:
    from pandas import DataFrame

    from fusion_lab.reporting.differences import DifferenceTable
    from fusion_lab.reporting.tables import ComparisonTable

_DIFFERENCES = (
    "Differences, seed by seed, with the 95 % interval of a paired bootstrap over the seeds; bold where it leaves zero "
    "out and there are six seeds or more. Fewer make it too narrow: with three it is the range of three numbers, and "
    "leaves zero out by chance in a quarter of all cases."
)


class Study:
    """Experiments over several seeds, and the table of what they came to.

    >>> import fusion_lab
    >>> study = fusion_lab.Study("tita/embedded", axes={"weighting": "configs/weighting/[ef]*.yaml"}, seeds=2)
    >>> [trial.title for trial in study.trials][:3], len(study.trials)
    (['equal', 'fairgrad', 'famo'], 10)

    ``study.run(jobs=2)`` then trains them, each in a process of its own, and ``study.table(against="famo")`` compares.

    Args:
        experiments: A configuration or several, or names of those that come with the package.
        axes: What is varied, by name: overlays, as a pattern of files or a list of them, or the values of a key such as
            ``model.optimizer.lr``. All combinations are trained.
        seeds: How many, the seeds 0 to N - 1, or which.
        folder: The folder of the runs and the table, ``runs/studies/NAME`` unless given.
        overrides: Values for all trainings by their keys.
        layers: Configurations to lay over each experiment.
        metrics: The columns of the table; losses and scores of the validation unless given.
        plan: Which trainings there are, in place of ``experiments`` and what goes with them.

    Attributes:
        failures: The trials that failed in this process.
        made_by: What the table tells as its origin.

    Raises:
        FusionLabError: Experiments are missing or wrong.
    """

    def __init__(
        self,
        experiments: Path | str | Sequence[Path | str] = (),
        *,
        axes: Mapping[str, str | Sequence[Any]] | None = None,
        seeds: int | Sequence[int] = 3,
        folder: Path | str | None = None,
        overrides: Mapping[str, Any] | None = None,
        layers: Sequence[Path | str] = (),
        metrics: Sequence[str] | None = None,
        plan: Plan | None = None,
    ) -> None:
        named = [experiments] if isinstance(experiments, str | Path) else list(experiments)
        if not named and plan is None:
            raise FusionLabError("A study needs an experiment: name one, such as tita/embedded.")
        name = "-".join(Path(str(named[0])).with_suffix("").parts[-2:]) if named else "study"
        self.folder = Path(folder or Path("runs") / "studies" / name.strip("/"))
        self.metrics = metrics
        self.failures: list[Failure] = []
        self.made_by = f"fusion_lab.Study({', '.join(map(repr, map(str, named)))})"
        self._plan: Plan = plan or Grid(
            [Path(one) for one in named],
            folder=self.folder,
            axes=axes,
            seeds=range(seeds) if isinstance(seeds, int) else seeds,
            overrides=overrides,
            layers=[Path(layer) for layer in layers],
            scored=not metrics,
        )

    @property
    def trials(self) -> list[Trial]:
        """The trainings that are known so far."""
        return list(self._plan.known())

    def run(self, jobs: int = 1, launcher: Launcher | None = None, progress: Progress | None = None) -> Self:
        """Train what is not finished; called again, it goes on where it was interrupted and tries failures again.

        Args:
            jobs: How many run at a time; they share cores and memory.
            launcher: Where they run: `Processes` of this machine unless given, or `Jobs` of a cluster.
            progress: What shows the trials while they run; a table in terminals unless given.

        Raises:
            FusionLabError: The folder is in use, or holds runs of other configurations.
            KeyboardInterrupt: After Ctrl-C, when all that ran have saved themselves.
        """
        if jobs < 1:
            raise FusionLabError(f"`jobs` should be at least 1. Found `jobs = {jobs}`.")
        self.failures = []
        with in_use(self.folder), ending_like_ctrl_c():
            self._plan.begin(self.folder)
            try:
                self._run(jobs, launcher, progress or Progress(self.folder.name))
            except KeyboardInterrupt:
                # A mistake in the metrics is no reason to tell another one.
                with suppress(FusionLabError):
                    self.write()
                raise
        return self

    def _run(self, jobs: int, launcher: Launcher | None, progress: Progress) -> None:
        with progress:

            def announce(running: list[Trial]) -> None:
                progress.show([(trial, self.state(trial, running)) for trial in self.trials])

            group = self.folder.resolve().name
            with closing(run_trials(self._waiting(), jobs, announce, self._plan.should_stop, launcher, group)) as ended:
                for trial, failure in ended:
                    if failure and not (trial.ended_early or trial.finished):
                        self.failures.append(failure)
                    self._plan.told(trial)
                    announce([])

    def _waiting(self) -> Iterator[Trial]:
        for trial in self._plan:
            if trial.finished or trial.ended_early:
                self._plan.told(trial)
            else:
                yield trial

    def state(self, trial: Trial, running: Sequence[Trial] = ()) -> str:
        """Tell how far a trial is: running, ended early, finished, failed or waiting."""
        if trial in running:
            return "running"
        if trial.ended_early:
            return "ended early"
        if trial.finished:
            return "finished"
        return "failed" if any(failure.trial == trial for failure in self.failures) else "waiting"

    def results(self) -> dict[Trial, Result]:
        """Read what the finished trials came to, without those that ended early: they have numbers of another step.

        Raises:
            FusionLabError: A result is broken.
        """
        return {trial: trial.result() for trial in self._compared() if trial.finished}

    def table(self, against: str | None = None) -> "DataFrame":
        """Return what the finished trials came to, a row an experiment.

        The columns are pairs of a metric and ``mean``, ``deviation`` or ``seeds``; for all rows but ``against``,
        ``difference``, ``low`` and ``high`` too: the paired difference and the ends of its 95 % interval.

        Args:
            against: The row that the others are compared with; that with all switches on, or the first one.

        Raises:
            FusionLabError: Nothing has ended, or there is no such row or metric.
        """
        import pandas as pd

        results = self.results()
        table = self.comparison(results)
        columns: dict[tuple[str, str], list[float | None]] = {}
        compared = self.differences(results, table, against)
        for column in table.columns:
            for name in ("mean", "deviation", "seeds"):
                columns[column.metric, name] = [None if cell is None else getattr(cell, name) for cell in column.cells]
            if compared is not None:
                found = dict(zip(compared.experiments, compared.cells[column.metric], strict=True))
                for name, attribute in (("difference", "mean"), ("low", "low"), ("high", "high")):
                    cells = (found.get(row) for row in table.experiments)
                    columns[column.metric, name] = [None if c is None else getattr(c, attribute) for c in cells]
        return pd.DataFrame(columns, index=pd.Index(table.experiments, name="experiment"))

    def comparison(self, results: Mapping[Trial, Result]) -> "ComparisonTable":
        """Return the means and deviations that the tables of `write` show."""
        from fusion_lab.reporting.tables import comparison_table

        if not results:
            raise FusionLabError(f"No run of the study in {self.folder} has ended yet: run it first.")
        trials = self._compared()
        runs: dict[str, list[dict[str, float]]] = {trial.title: [] for trial in trials}
        for trial, result in results.items():
            runs[trial.title].append(result.metrics)
        switches = {trial.title: dict(trial.switches) for trial in trials}
        return comparison_table(runs, len({trial.seed for trial in trials}), self.metrics, switches)

    def differences(
        self, results: Mapping[Trial, Result], table: "ComparisonTable", against: str | None = None
    ) -> "DifferenceTable | None":
        """Compare all rows with one; None where there are no others, or that one has no result."""
        from fusion_lab.reporting.differences import difference_table

        row = self.check_row(against)
        values: dict[str, dict[int, dict[str, float]]] = {trial.title: {} for trial in self._compared()}
        for trial, result in results.items():
            values[trial.title][trial.seed or 0] = result.metrics
        if len(values) < 2 or not values[row]:
            return None
        return difference_table(values, row, [column.metric for column in table.columns])

    def check_row(self, against: str | None) -> str:
        """Return the row that others are compared with.

        Raises:
            FusionLabError: There is no such row.
        """
        rows = list(dict.fromkeys(trial.title for trial in self.trials))
        if against is not None and against not in rows:
            raise FusionLabError(f"There is no experiment '{against}' to compare with: there are {', '.join(rows)}.")
        return against or _full(self._compared())

    def write(self, against: str | None = None) -> "tuple[ComparisonTable, DifferenceTable | None]":
        """Write ``table.md``, ``.csv`` and ``.tex``, the differences, and ``sources.csv``, which names every run.

        Returns:
            What they show.
        """
        from fusion_lab.reporting import differences
        from fusion_lab.reporting.plots import write_figure
        from fusion_lab.reporting.tables import grid, write_csv

        results = self.results()
        table = self.comparison(results)
        compared = self.differences(results, table, against)
        texts = [grid(table).markdown(), *self._footer(results)]
        if compared is not None:
            texts += ["", _DIFFERENCES, "", differences.grid(compared).markdown()]
            differences.write_csv(self.folder / "differences.csv", compared)
            write_figure(differences.forest_plot(compared), self.folder / "differences.png")
        write_text(self.folder / "table.md", "\n".join(texts) + "\n")
        write_text(self.folder / "table.tex", grid(table).latex())
        write_csv(self.folder / "table.csv", table)
        self._write_sources(results)
        return table, compared

    def told_failures(self) -> list[str]:
        """Tell, in lines of Markdown, what failed; nothing where nothing did."""
        if not self.failures:
            return []
        return [
            f"Failed and not in the table: {len(self.failures)} of {len(self._compared())} trials.",
            "",
            *(f"- {f.trial.title}, seed {f.trial.seed}: {f.reason} (log: {f.trial.log})" for f in self.failures),
        ]

    def _compared(self) -> list[Trial]:
        return [trial for trial in self.trials if not trial.ended_early]

    def _write_sources(self, results: Mapping[Trial, Result]) -> None:
        """Write ``sources.csv``: where every number comes from, a row a run."""
        rows = []
        for trial, result in results.items():
            made = trial.environment()
            told = [result.steps, made.get("commit"), made.get("packages", {}).get("torch")]
            files = [trial.run / name for name in ("config.yaml", "data.sha256")]
            sums = [sha256(file) if file.is_file() else "" for file in files]
            rows.append([trial.title, trial.seed, trial.run, *told, *sums])
        headings = ["experiment", "seed", "run", "steps", "commit", "torch", "config", "data"]
        write_rows(self.folder / "sources.csv", headings, rows)

    def _footer(self, results: Mapping[Trial, Result]) -> list[str]:
        """Tell, in paragraphs and lists of Markdown, how the table was made and what it lacks."""
        trials = self._compared()
        seeds = sorted({trial.seed for trial in trials if trial.seed is not None})
        environments = [trial.environment() for trial in results]
        lines = [
            "The mean of each metric over the seeds ± its sample standard deviation; the best mean of a column is "
            "bold. A number in brackets tells how many seeds went in where some are missing.",
            "",
            f"- Command: `{self.made_by}`",
            f"- Seeds: {_listed(seeds) or 'that of the configuration'}",
            f"- Steps: {_listed(result.steps for result in results.values())}",
            f"- torch: {_listed(made.get('packages', {}).get('torch') for made in environments)}",
            f"- Commit: {_listed(made.get('commit') for made in environments)}",
        ]
        if missing := len(trials) - len(results) - len(self.failures):
            lines += ["", f"Not ended yet: {missing} of {len(trials)} trials."]
        return [*lines, *(["", *self.told_failures()] if self.failures else [])]


def _full(trials: Sequence[Trial]) -> str:
    """Name the row with all switches on, or else the first one."""
    whole = [trial.title for trial in trials if trial.switches and all(state for _, state in trial.switches)]
    return (whole or [trial.title for trial in trials] or [""])[0]


def _listed(values: Iterable[object]) -> str:
    """List different values; what was not recorded is unknown."""
    return ", ".join(dict.fromkeys("unknown" if value is None else str(value) for value in values))
