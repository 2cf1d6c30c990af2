"""Tables and charts of what networks cost."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from fusion_lab.errors import FusionLabError
from fusion_lab.files import write_rows
from fusion_lab.reporting.grid import Grid
from fusion_lab.types import Cost

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("parameters", "GFLOP", "other GFLOP", "seconds", "MiB")
_GIGA = 1e9
_MEBIBYTE = 2**20
_LEAST_BUBBLE = 30
_LARGEST_BUBBLE = 900


def terminal_table(costs: Mapping[str, Cost], title: str) -> Table:
    """Make a table for the terminal, a network in each row."""
    rows = [
        [
            name,
            f"{cost.parameters:,}",
            f"{cost.flop / _GIGA:.3g}",
            f"{cost.other_flop / _GIGA:.3g}",
            f"{cost.seconds:.3g}",
            f"{cost.memory / _MEBIBYTE:.0f}",
        ]
        for name, cost in costs.items()
    ]
    return Grid(["network", *_COLUMNS], rows, "lrrrrr").terminal(title)


def write_costs(path: Path, costs: Mapping[str, Cost]) -> None:
    """Write one row for each network: parameters, operations, seconds, bytes."""
    rows = ([name, c.parameters, c.flop, c.other_flop, c.seconds, c.memory] for name, c in costs.items())
    write_rows(path, ["network", "parameters", "flop", "other_flop", "seconds", "memory_bytes"], rows)


def read_metric(path: Path, label: str) -> dict[str, float]:
    """Read the means of a metric by method out of the ``table.csv`` that `fusion-lab compare` writes.

    Raises:
        FusionLabError: The file is missing or another one, or has no such metric.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found = {row["method"]: float(row["mean"]) for row in rows if row["metric"] == label}
        labels = dict.fromkeys(row["metric"] for row in rows)
    except OSError:
        raise FusionLabError(f"The scores {path} cannot be read: name the table.csv of `fusion-lab compare`.") from None
    except (KeyError, ValueError, UnicodeDecodeError):
        raise FusionLabError(f"The scores {path} are no table.csv of `fusion-lab compare`.") from None
    if not found:
        raise FusionLabError(f"The scores {path} have no metric '{label}': choose one of {', '.join(labels)}.")
    return found


def bubble_chart(costs: Mapping[str, Cost], scores: Mapping[str, float], label: str) -> "Figure":
    """Draw quality against operations, the area of each bubble growing with the parameters.

    Args:
        costs: The networks.
        scores: The score of each; networks without one are left out.
        label: What the score is.

    Raises:
        FusionLabError: No network has a score.
    """
    from matplotlib.figure import Figure

    names = [name for name in costs if name in scores]
    if not names:
        raise FusionLabError(
            f"None of the networks {', '.join(costs)} has a score; there are those of {', '.join(scores)}: "
            "give the networks the names of the methods, such as TITA=tita."
        )
    most = max(max(costs[name].parameters for name in names), 1)
    figure = Figure((6, 4), layout="constrained")
    axis = figure.subplots()
    for name in names:
        cost = costs[name]
        operations = (cost.flop or cost.other_flop) / _GIGA
        area = _LEAST_BUBBLE + (_LARGEST_BUBBLE - _LEAST_BUBBLE) * cost.parameters / most
        axis.scatter([operations], [scores[name]], s=area, alpha=0.6)
        axis.annotate(name, (operations, scores[name]), ha="center", va="center", fontsize=8)
    axis.set_xscale("log")
    axis.set_xlabel("GFLOP")
    axis.set_ylabel(label)
    axis.margins(0.25)
    axis.grid(alpha=0.3)
    return figure
