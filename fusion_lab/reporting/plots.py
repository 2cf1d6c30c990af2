"""Pictures of numbers, and the table behind one: grids of heat maps, bars with whiskers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path, write_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = npt.NDArray[np.float64]

_FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
"""The formats of pictures of numbers."""

SOURCES = ("a", "b")
"""The two sources of a pair, in the order in which arrays hold them."""

_INCH_A_CELL = 0.46
_INCH_A_BAR = 0.34


@dataclass(frozen=True)
class HeatMapRow:
    """One row of a grid of heat maps, all in the same colours.

    Attributes:
        title: What the numbers are.
        maps: Square matrices ``(labels, labels)`` by the heading of their columns; the same headings in every row.
        limit: The colours go from -limit to limit; the largest finite number, at least 1, unless given.
        colours: A diverging colour map of matplotlib.
    """

    title: str
    maps: Mapping[str, Numbers]
    limit: float | None = None
    colours: str = "RdBu"


@dataclass(frozen=True)
class TaskWeights:
    """The OAF weights of the pairs of one task.

    Attributes:
        task: The task.
        pairs: How many pairs.
        mean: The mean over the pairs, ``(2, operations)`` in [0, 1].
        deviation: The standard deviation over the pairs (of the pairs themselves, no estimate beyond them), alike.
    """

    task: str
    pairs: int
    mean: Numbers
    deviation: Numbers

    def lines(self, operations: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of a table, one a source: mean and deviation of each operation, by its label."""
        rows: list[dict[str, Any]] = []
        for source, means, deviations in zip(SOURCES, self.mean, self.deviation, strict=True):
            told = {label: f"{m:.3f} ± {d:.3f}" for label, m, d in zip(operations, means, deviations, strict=True)}
            rows.append({"task": self.task, "pairs": self.pairs, "source": source, **told})
        return rows


# matplotlib takes half a second to load, and its pyplot keeps figures alive: figures are made without it.


def heat_map_grid(title: str, labels: Sequence[str], rows: Sequence[HeatMapRow]) -> "Figure":
    """Draw square matrices in a grid, each number written into its cell; what is not finite is grey with a dash.

    Args:
        title: The heading.
        labels: What the rows and columns of every matrix stand for.
        rows: The rows of the grid, one map a column in each.
    """
    from matplotlib.figure import Figure

    # Placed by hand, in inches: the layout engines of matplotlib take longer than all the drawing.
    columns, side = len(rows[0].maps), max(_INCH_A_CELL * len(labels), 1.1)
    left, top, below, gap = 0.95, 0.65, 0.3, 0.12
    width, height = left + columns * (side + gap) + 0.8, top + len(rows) * (side + gap) + below
    figure = Figure((width, height))
    figure.suptitle(title, fontsize=10, y=1 - 0.2 / height, va="center")

    def place(column: float, row: int, wide: float) -> tuple[float, float, float, float]:
        bottom = height - top - row * (side + gap) - side
        return (left + column * (side + gap)) / width, bottom / height, wide / width, side / height

    for number, row in enumerate(rows):
        finite = [abs(value) for one in row.maps.values() for value in np.ravel(one) if np.isfinite(value)]
        limit = row.limit or max([1.0, *finite])
        for column, (heading, values) in enumerate(row.maps.items()):
            axis = figure.add_axes(place(column, number, side))
            image = _heat_map(axis, values, limit, row.colours)
            axis.set_xticks(range(len(labels)), labels if number == len(rows) - 1 else [], fontsize=8)
            axis.set_yticks(range(len(labels)), labels if column == 0 else [], fontsize=8)
            if number == 0:
                axis.set_title(heading, fontsize=9)
            if column == 0:
                axis.set_ylabel(row.title, fontsize=9)
        scale = figure.colorbar(image, cax=figure.add_axes(place(columns, number, 0.12), label="<colorbar>"))
        scale.ax.tick_params(labelsize=7)
    return figure


def _heat_map(axis: Any, values: Numbers, limit: float, colours: str) -> Any:
    image = axis.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=-limit, vmax=limit)
    axis.set_facecolor("0.85")
    axis.tick_params(length=0)
    for (row, column), value in np.ndenumerate(values):
        # Adding zero makes -0.0 positive.
        text = f"{round(value, 2) + 0.0:.2f}" if np.isfinite(value) else "–"
        ink = "white" if abs(value) > 0.65 * limit else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=7.5, color=ink)
    return image


def operation_bars(title: str, operations: Sequence[str], rows: Sequence[TaskWeights]) -> "Figure":
    """Draw the OAF weights of each task: a bar for each operation on each source, the deviation as a whisker.

    Args:
        title: The heading.
        operations: What the columns of the weights stand for.
        rows: The tasks, in order.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    bars = [(source, operation) for source in range(len(SOURCES)) for operation in range(len(operations))]
    figure = Figure((len(rows) * (len(bars) + 1) * _INCH_A_BAR + 2.2, 3.6), layout="constrained")
    axis = figure.subplots()
    middles = np.arange(len(rows)) * (len(bars) + 1.0)
    for place, (source, operation) in enumerate(bars):
        heights = np.array([row.mean[source, operation] for row in rows])
        whiskers = np.array([row.deviation[source, operation] for row in rows])
        drawn = axis.bar(
            middles + place - (len(bars) - 1) / 2,
            heights,
            0.9,
            # Weights are not negative, and neither is what their whiskers reach.
            yerr=(np.minimum(whiskers, heights), whiskers),
            capsize=2,
            error_kw={"linewidth": 0.8},
            color=colours[operation % len(colours)],
            alpha=0.55 if source else 1.0,
            hatch="///" if source else "",
            label=f"{SOURCES[source]} {operations[operation]}",
        )
        for bar, height, whisker in zip(drawn, heights, whiskers, strict=True):
            place_of_text = (bar.get_x() + bar.get_width() / 2, height + whisker)
            axis.annotate(f"{height:.3f}", place_of_text, (0, 2), textcoords="offset points", ha="center", fontsize=6.5)
    counted = [f"{row.task}\n{row.pairs} pair{'s' if row.pairs > 1 else ''}" for row in rows]
    axis.set_xticks(middles, counted, fontsize=9)
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("weight")
    axis.set_ylim(0, axis.get_ylim()[1] * 1.05)
    axis.set_title(title, fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    return figure


def check_figure_suffix(path: Path) -> None:
    """Refuse a picture of a format that cannot be written.

    Raises:
        FusionLabError: The suffix is none of `_FIGURE_SUFFIXES`.
    """
    if path.suffix.lower() not in _FIGURE_SUFFIXES:
        *others, last = _FIGURE_SUFFIXES
        raise FusionLabError(f"The picture {path} should end in {', '.join(others)} or {last}.")


def write_figure(figure: "Figure", path: Path) -> None:
    """Write a picture, which is never found half-written.

    Raises:
        FusionLabError: The suffix is none of `_FIGURE_SUFFIXES`, or the file cannot be written.
    """
    check_figure_suffix(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def write_operation_weights(path: Path, operations: Sequence[str], rows: Sequence[TaskWeights]) -> None:
    """Write what `operation_bars` draws as CSV: task, source, operation, mean, std, pairs."""
    table = (
        [row.task, SOURCES[a], operations[n], f"{mean:.6g}", f"{row.deviation[a, n]:.6g}", row.pairs]
        for row in rows
        for (a, n), mean in np.ndenumerate(row.mean)
    )
    write_rows(path, ["task", "source", "operation", "mean", "std", "pairs"], table)
