"""What a change does to a metric: differences to one experiment, seed by seed, with an interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import bootstrap

from fusion_lab.files import write_rows
from fusion_lab.reporting.grid import Grid
from fusion_lab.reporting.tables import decimals_of, higher_is_better

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SeedResults = Mapping[str, Mapping[int, Mapping[str, float]]]
"""For each experiment, in the order of the rows, the metrics of each seed that has ended."""

_RESAMPLES = 9_999
_LEVEL = 0.95
# Where nothing differs, the interval leaves zero out in 26 % of all cases with three seeds, in 12 % with six.
_ENOUGH = 6
_INCH_A_ROW = 0.28


@dataclass(frozen=True)
class Difference:
    """How much higher a metric of an experiment is than that of another.

    Attributes:
        mean: The mean difference over the seeds that both have.
        low: The lower end of its 95 % interval; None for a single seed.
        high: The upper end.
        seeds: How many seeds went in.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out, of seeds enough that this tells something."""
        if self.seeds < _ENOUGH:
            return False
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class DifferenceTable:
    """Differences of experiments in rows to one of them, metrics in columns.

    Attributes:
        against: The experiment that all others are compared with.
        experiments: The others.
        metrics: The metrics.
        cells: For each metric, a difference for each of the others, or None where they share no seed.
    """

    against: str
    experiments: list[str]
    metrics: list[str]
    cells: dict[str, list[Difference | None]]

    def text(self, metric: str, row: int) -> str:
        """Write one cell, such as ``-0.0123 [-0.0201, -0.0042]``."""
        cell = self.cells[metric][row]
        if cell is None:
            return "–"
        digits = decimals_of([one.mean for one in self.cells[metric] if one])
        interval = "" if cell.low is None else f" [{cell.low:+.{digits}f}, {cell.high:+.{digits}f}]"
        return f"{cell.mean:+.{digits}f}{interval}"


def paired_difference(values: Mapping[int, float], others: Mapping[int, float]) -> Difference | None:
    """Compare two experiments seed by seed: the same seed means the same data, crops and noise.

    The interval is that of the percentile bootstrap of the mean difference (Efron and Tibshirani, An Introduction to
    the Bootstrap, 1993). With few seeds it is too narrow: three seeds give the smallest and largest difference.

    Args:
        values: The metric of the one, by seed.
        others: The metric of the other.

    Returns:
        The difference; None if they share no seed with finite values.
    """
    pairs = [values[seed] - others[seed] for seed in values if seed in others]
    differences = np.array([pair for pair in pairs if math.isfinite(pair)])
    if not len(differences):
        return None
    mean = float(differences.mean())
    if len(differences) == 1:
        return Difference(mean, None, None, 1)
    if np.ptp(differences) == 0:
        return Difference(mean, mean, mean, len(differences))
    found = bootstrap(
        (differences,), np.mean, n_resamples=_RESAMPLES, confidence_level=_LEVEL, method="percentile", rng=0
    )
    interval = found.confidence_interval
    return Difference(mean, float(interval.low), float(interval.high), len(differences))


def difference_table(results: SeedResults, against: str, metrics: Sequence[str]) -> DifferenceTable:
    """Compare all experiments with one of them.

    Args:
        results: The metrics of each experiment and seed.
        against: The one; a key of ``results``.
        metrics: What is compared.
    """
    others = [name for name in results if name != against]

    def of(name: str, metric: str) -> dict[int, float]:
        return {seed: run[metric] for seed, run in results[name].items() if metric in run}

    cells = {
        metric: [paired_difference(of(name, metric), of(against, metric)) for name in others] for metric in metrics
    }
    return DifferenceTable(against, others, list(metrics), cells)


def grid(table: DifferenceTable) -> Grid:
    """Lay the table out as texts; a clear difference is bold."""
    rows = [
        [experiment, *(table.text(metric, row) for metric in table.metrics)]
        for row, experiment in enumerate(table.experiments)
    ]
    clear = {
        (row, column)
        for column, metric in enumerate(table.metrics, start=1)
        for row, cell in enumerate(table.cells[metric])
        if cell and cell.clear
    }
    return Grid([f"against {table.against}", *table.metrics], rows, "l" + "r" * len(table.metrics), bold=clear)


def write_csv(path: Path, table: DifferenceTable) -> None:
    """Write one row for each experiment and metric; ``low`` and ``high`` are empty for a single seed."""
    rows = (
        [experiment, table.against, metric, cell.mean, cell.low, cell.high, cell.seeds]
        for metric, cells in table.cells.items()
        for experiment, cell in zip(table.experiments, cells, strict=True)
        if cell
    )
    write_rows(path, ["experiment", "against", "metric", "difference", "low", "high", "seeds"], rows)


def forest_plot(table: DifferenceTable) -> "Figure":
    """Draw each difference as a point with its interval, a panel for each metric, better to the right where known."""
    from matplotlib.figure import Figure

    count = len(table.experiments)
    figure = Figure((2.0 + 2.2 * len(table.metrics), 1.2 + _INCH_A_ROW * count), layout="constrained")
    panels = figure.subplots(1, len(table.metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(panels, table.metrics, strict=True):
        for place, cell in enumerate(table.cells[metric]):
            if cell is None:
                continue
            colour = "tab:blue" if cell.clear else "0.45"
            if cell.low is not None and cell.high is not None:
                axis.plot([cell.low, cell.high], [place, place], color=colour, linewidth=1.5)
            axis.plot([cell.mean], [place], "o", color=colour, markersize=4)
        axis.axvline(0, color="0.7", linewidth=0.8, zorder=0)
        if higher_is_better(metric) is False:
            axis.invert_xaxis()
        axis.set_title(metric, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(count), table.experiments, fontsize=8)
    panels[0].set_ylim(count - 0.5, -0.5)
    known = [metric for metric in table.metrics if higher_is_better(metric) is not None]
    which = "" if len(known) == len(table.metrics) else f" for {', '.join(known)}" if known else None
    better = "" if which is None else f"; better is to the right{which}"
    figure.suptitle(f"Difference to {table.against}{better}", fontsize=9)
    return figure
