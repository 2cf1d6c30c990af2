"""What a run logged, as numbers over steps, and pictures of that."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES_WIDE = 3.6
_INCHES_HIGH = 2.7


@dataclass(frozen=True)
class Curve:
    """One logged number over the training.

    Attributes:
        steps: How many steps had been done before the one that each value is of, ``(N,)``, rising.
        values: The values, ``(N,)``.
    """

    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class CurvePanel:
    """Curves in one frame.

    Attributes:
        title: What the numbers are.
        curves: The curves by what the legend calls them.
    """

    title: str
    curves: Mapping[str, Curve]


def read_history(path: Path) -> dict[str, Curve]:
    """Read ``log/metrics.csv`` of a run: each logged number by its name, where it was logged.

    Raises:
        FusionLabError: The file is missing or no history of a run.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            # What a killed process wrote last may be no whole line.
            rows = [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
        names = [name for name in (rows[0] if rows else {}) if name != "step"]
        found: dict[str, Curve] = {}
        for name in names:
            own = sorted((int(row["step"]), float(row[name])) for row in rows if row[name])
            found[name] = Curve(np.array([s for s, _ in own], np.int64), np.array([v for _, v in own], np.float64))
    except OSError as error:
        raise FusionLabError(f"The history {path} cannot be read ({error.strerror}): name a run's file.") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise FusionLabError(f"The file {path} is no history of a run: name `log/metrics.csv` of one.") from None
    if not found:
        raise FusionLabError(f"The history {path} is empty: train more steps, or set `trainer.log_every_n_steps: 1`.")
    return found


def curve_grid(panels: Sequence[CurvePanel]) -> "Figure":
    """Draw frames of curves side by side; a name has one colour in all of them.

    Args:
        panels: The frames, in order.
    """
    # matplotlib takes half a second to load, and its pyplot keeps figures alive: figures are made without it.
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    figure = Figure((_INCHES_WIDE * len(panels), _INCHES_HIGH), layout="constrained")
    for panel, axis in zip(panels, np.ravel(figure.subplots(1, len(panels), squeeze=False)), strict=True):
        for name, curve in panel.curves.items():
            colour = colours[names.index(name) % len(colours)]
            # A single value would be a line of no length.
            marker = "o" if len(curve.steps) == 1 else None
            axis.plot(curve.steps, curve.values, color=colour, marker=marker, linewidth=1.4, label=name)
        axis.set_title(panel.title, fontsize=10)
        axis.set_xlabel("steps", fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False)
    return figure
