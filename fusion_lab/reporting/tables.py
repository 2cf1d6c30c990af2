"""Tables of experiments: what they scored on average over their seeds, and how much that varies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from rich.table import Table

from fusion_lab import metrics as fusion_metrics
from fusion_lab.errors import FusionLabError
from fusion_lab.files import write_rows
from fusion_lab.metrics import FusionMetric
from fusion_lab.reporting.grid import Grid

Results = Mapping[str, Sequence[Mapping[str, float]]]
"""For each experiment, in the order of the rows, the metrics of each of its seeds that has ended."""

_NOTHING = "–"
_DIGITS = 4
_MOST_DECIMALS = 9


@dataclass(frozen=True)
class Cell:
    """One metric of one experiment.

    Attributes:
        mean: The mean over the seeds; not finite if any value is not.
        deviation: The sample standard deviation, with n - 1; None for a single seed.
        seeds: How many seeds went in.
    """

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class Column:
    """One metric of all experiments.

    Attributes:
        metric: The name it was logged by, such as ``val/ivf/Qabf``.
        cells: A cell for each experiment, in their order; None where no seed has the metric.
    """

    metric: str
    cells: list[Cell | None]

    @property
    def heading(self) -> str:
        """The metric with an arrow to where it is better, if that is known."""
        better = {True: " ↑", False: " ↓", None: ""}[higher_is_better(self.metric)]
        return f"{self.metric}{better}"

    @property
    def decimals(self) -> int:
        """The decimals that give a usual mean of the column four digits, 0 to 9."""
        return decimals_of([cell.mean for cell in self.cells if cell])

    @property
    def best(self) -> set[int]:
        """The rows with the best mean as it is printed; none if the direction is unknown or all means are alike."""
        finite = {n: cell.mean for n, cell in enumerate(self.cells) if cell and math.isfinite(cell.mean)}
        printed = {n: round(mean, self.decimals) for n, mean in finite.items()}
        upwards = higher_is_better(self.metric)
        if upwards is None or len(set(printed.values())) < 2:
            return set()
        best = max(printed.values()) if upwards else min(printed.values())
        return {n for n, mean in printed.items() if mean == best}


@dataclass(frozen=True)
class ComparisonTable:
    """Experiments in rows, metrics in columns.

    Attributes:
        experiments: The names of the rows.
        columns: The metrics.
        seeds: How many seeds were asked for; a cell with fewer tells how many it has.
        switches: What is ablated, and for each row whether it is on; None where the experiment does not say.
    """

    experiments: list[str]
    columns: list[Column]
    seeds: int
    switches: dict[str, list[bool | None]] = field(default_factory=dict)

    def text(self, column: Column, row: int) -> str:
        """Write one cell, such as ``0.5123 ± 0.0042 (2)``."""
        cell = column.cells[row]
        if cell is None:
            return _NOTHING
        deviation = "" if cell.deviation is None else f" ± {cell.deviation:.{column.decimals}f}"
        fewer = f" ({cell.seeds})" if cell.seeds < self.seeds else ""
        return f"{cell.mean:.{column.decimals}f}{deviation}{fewer}"

    def marks(self, row: int) -> list[str]:
        """Return a check mark for each switch that is on in a row, and nothing for those that are off."""
        told = [states[row] for states in self.switches.values()]
        return ["✓" if state else "" if state is False else _NOTHING for state in told]


def decimals_of(means: Sequence[float]) -> int:
    """Return the decimals that show a usual one of some means with four digits, 0 to 9."""
    sizes = [abs(mean) for mean in means if mean and math.isfinite(mean)]
    places = _DIGITS - 1 - math.floor(math.log10(median(sizes))) if sizes else _DIGITS - 1
    return min(max(places, 0), _MOST_DECIMALS)


def higher_is_better(metric: str) -> bool | None:
    """Tell the direction of a logged metric by the last part of its name; None if it is unknown."""
    label = metric.rpartition("/")[2]
    if label == "loss":
        return False
    for kind in vars(fusion_metrics).values():
        if isinstance(kind, type) and issubclass(kind, FusionMetric) and getattr(kind, "label", None) == label:
            return bool(kind.higher_is_better)
    return None


def summary(values: Sequence[float]) -> Cell:
    """Return the mean and the sample standard deviation of one value or more."""
    mean = sum(values) / len(values)
    # Not statistics.stdev, which raises where a value is infinite.
    squares = sum((value - mean) * (value - mean) for value in values)
    return Cell(mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None, len(values))


def comparison_table(
    results: Results,
    seeds: int,
    metrics: Sequence[str] | None = None,
    switches: Mapping[str, Mapping[str, bool]] | None = None,
) -> ComparisonTable:
    """Average the metrics of every experiment over its seeds.

    Args:
        results: The metrics of each experiment and seed; an experiment without any gets an empty row.
        seeds: How many seeds were asked for, at least 1.
        metrics: The columns; unless given, ``val/loss``, then the loss and the scores of each task: all ``val/...``
            that every result has.
        switches: What is on and what is off in each experiment, if that is known.

    Raises:
        FusionLabError: No result has one of the ``metrics``, or there is no ``val/...`` that all have.
    """
    runs = [run for each in results.values() for run in each]
    names = dict.fromkeys(name for run in runs for name in run)
    if missing := [name for name in metrics or () if name not in names]:
        raise FusionLabError(f"No run has the metric {missing[0]}: choose among {', '.join(names) or 'none at all'}.")
    chosen = list(dict.fromkeys(metrics)) if metrics else _common_scores(list(names), runs)
    if not chosen:
        raise FusionLabError(
            "There is no metric `val/...` that all runs have: give all of them validation pairs, and a "
            "`trainer.val_check_interval` that they reach."
        )
    columns = []
    for metric in chosen:
        values = [[run[metric] for run in each if metric in run] for each in results.values()]
        columns.append(Column(metric, [summary(each) if each else None for each in values]))
    known = switches or {}
    named = dict.fromkeys(name for each in results for name in known.get(each, {}))
    return ComparisonTable(
        list(results), columns, seeds, {name: [known.get(each, {}).get(name) for each in results] for name in named}
    )


def grid(table: ComparisonTable, columns: Sequence[Column] | None = None) -> Grid:
    """Lay columns, all unless given, out as texts; the best mean of each is bold."""
    chosen = table.columns if columns is None else columns
    rows = [
        [experiment, *table.marks(row), *(table.text(column, row) for column in chosen)]
        for row, experiment in enumerate(table.experiments)
    ]
    first = 1 + len(table.switches)
    best = {(row, number) for number, column in enumerate(chosen, first) for row in column.best}
    headings = ["experiment", *table.switches, *(column.heading for column in chosen)]
    return Grid(headings, rows, "l" + "c" * len(table.switches) + "r" * len(chosen), bold=best)


def write_csv(path: Path, table: ComparisonTable) -> None:
    """Write one row for each experiment and metric: experiment, metric, mean, std (empty for one seed), seeds."""
    rows = (
        [experiment, column.metric, cell.mean, cell.deviation, cell.seeds]
        for row, experiment in enumerate(table.experiments)
        for column in table.columns
        if (cell := column.cells[row])
    )
    write_rows(path, ["experiment", "metric", "mean", "std", "seeds"], rows)


def terminal_tables(table: ComparisonTable) -> list[Table]:
    """Split the columns by task into tables that fit a terminal."""
    groups: dict[str, list[Column]] = {}
    for column in table.columns:
        groups.setdefault(column.heading.rpartition("/")[0], []).append(column)
    made = {group: grid(table, columns) for group, columns in groups.items()}
    return [
        replace(one, headings=[heading.rpartition("/")[2] for heading in one.headings]).terminal(group)
        for group, one in made.items()
    ]


def _common_scores(names: Sequence[str], runs: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the metrics of validation that all runs have: the whole loss, then task by task, its loss first."""
    common = [name for name in names if name.startswith("val/") and all(name in run for run in runs)]
    groups = [name.rpartition("/")[0] for name in common]
    return sorted(common, key=lambda n: (n != "val/loss", groups.index(n.rpartition("/")[0]), not n.endswith("/loss")))
