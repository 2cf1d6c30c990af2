"""Methods against each other on the same images: means, ranks and paired tests, as the table of a paper."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from fusion_lab.errors import FusionLabError
from fusion_lab.files import write_rows
from fusion_lab.reporting.grid import Grid
from fusion_lab.reporting.tables import decimals_of

Rows = Mapping[str, Mapping[str, float]]
"""The scores of each image by the label of the metric, by the name of the image."""

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class MethodTable:
    """The scores of some methods on the images that all of them have.

    Attributes:
        methods: The names of the rows.
        labels: The names of the columns.
        higher_is_better: The direction of each column.
        values: The score of each method, image and metric, ``(methods, images, metrics)``.
        against: The method that the others are tested against, or None.
    """

    methods: list[str]
    labels: list[str]
    higher_is_better: list[bool]
    values: NDArray[np.float64]
    against: str | None = None

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """The mean over the images, ``(methods, metrics)``."""
        return np.asarray(self.values.mean(axis=1))

    @cached_property
    def deviations(self) -> NDArray[np.float64]:
        """The standard deviation over the images, with n - 1, ``(methods, metrics)``; 0 for a single image."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.values.std(axis=1, ddof=1 if self.values.shape[1] > 1 else 0))

    @cached_property
    def decimals(self) -> list[int]:
        """The decimals of each column."""
        return [decimals_of(list(column)) for column in self.means.T]

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """The place of each method in each column by its mean as printed, 1 the best; equal ones share a mean place."""
        signs = np.where(self.higher_is_better, -1, 1)
        printed = np.stack([np.round(column, d) for column, d in zip(self.means.T, self.decimals, strict=True)], axis=1)
        return np.asarray(rankdata(printed * signs, axis=0))

    @cached_property
    def average_places(self) -> NDArray[np.float64]:
        """The mean place of each method over the columns, ``(methods,)``."""
        return np.asarray(self.places.mean(axis=1))

    @cached_property
    def p_values(self) -> NDArray[np.float64]:
        """The two-sided p of Wilcoxon's signed-rank test of each method against the chosen one, ``(methods, metrics)``.

        Images without a difference are left out (Wilcoxon's way); where none differs, and for the chosen method itself,
        p is 1. With few images the test is exact, and p cannot get small: with five it is 0.0625 at least.
        """
        if self.against is None:
            raise FusionLabError("There is no method to test against: name one.")
        with np.errstate(invalid="ignore"):
            differences = self.values - self.values[self.methods.index(self.against)]
        found = np.ones(self.means.shape)
        for place in np.ndindex(*found.shape):
            # Two infinite scores, as of PSNR with the very image, do not differ.
            column = np.nan_to_num(differences[place[0], :, place[1]])
            if np.any(column):
                found[place] = wilcoxon(column).pvalue
        return found

    def mark(self, row: int, column: int) -> str:
        """Tell whether a mean is the ``best`` of its column or the ``second``, as printed; empty if neither."""
        printed = sorted({float(place) for place in self.places[:, column]})
        if len(printed) < 2:
            return ""
        return {printed[0]: "best", printed[1]: "second"}.get(float(self.places[row, column]), "")

    def text(self, row: int, column: int) -> str:
        """Write one cell, such as ``0.512 ± 0.042``."""
        digits, mean, deviation = self.decimals[column], self.means[row, column], self.deviations[row, column]
        return f"{mean:.{digits}f} ± {deviation:.{digits}f}" if np.isfinite(mean) else f"{mean:.{digits}f}"

    def differs(self, row: int, column: int) -> bool:
        """Tell whether a method differs from the chosen one with p below 0.05."""
        return self.against is not None and bool(self.p_values[row, column] < _SIGNIFICANT)


def method_table(
    results: Mapping[str, Rows], higher_is_better: Mapping[str, bool], against: str | None = None
) -> MethodTable:
    """Put methods side by side on the images and metrics that all of them have.

    Raises:
        FusionLabError: No image or metric is common to all, or there is no method to test against.
    """
    if against is not None and against not in results:
        raise FusionLabError(f"There is no method '{against}' to test against: choose one of {', '.join(results)}.")
    images = [name for name in next(iter(results.values())) if all(name in rows for rows in results.values())]
    if not images:
        raise FusionLabError("No image was scored for all methods: check their folders.")
    every = [row for rows in results.values() for row in rows.values()]
    labels = [label for label in every[0] if all(label in row for row in every)]
    if not labels:
        raise FusionLabError("No metric was scored for all methods: evaluate them with the same protocol.")
    values = np.array([[[rows[image][label] for label in labels] for image in images] for rows in results.values()])
    directions = [higher_is_better[label] for label in labels]
    return MethodTable(list(results), labels, directions, values, against)


def grid(table: MethodTable, between: str = " ± ") -> Grid:
    """Lay the table out as texts: the best of each column bold, the second marked too, ``*`` where a method differs.

    Args:
        table: The methods and their scores.
        between: What stands between a mean and its deviation.
    """
    columns = range(len(table.labels))
    rows = []
    for row, method in enumerate(table.methods):
        cells = [table.text(row, c).replace(" ± ", between) + ("*" if table.differs(row, c) else "") for c in columns]
        rows.append([method, *cells, f"{table.average_places[row]:.2f}"])
    marks = {(row, c + 1): table.mark(row, c) for row in range(len(rows)) for c in columns}
    best, second = ({place for place, found in marks.items() if found == mark} for mark in ("best", "second"))
    arrows = ["↑" if up else "↓" for up in table.higher_is_better]
    headings = ["method", *map(" ".join, zip(table.labels, arrows, strict=True)), "place"]
    return Grid(headings, rows, "l" + "r" * (len(columns) + 1), best, second, _caption(table))


def write_csv(path: Path, table: MethodTable) -> None:
    """Write one row for each method and metric: mean, std, images, place, and p where there is a test."""
    rows = (
        [
            method,
            label,
            *(float(numbers[row, column]) for numbers in (table.means, table.deviations)),
            table.values.shape[1],
            float(table.places[row, column]),
            None if table.against is None else float(table.p_values[row, column]),
        ]
        for row, method in enumerate(table.methods)
        for column, label in enumerate(table.labels)
    )
    write_rows(path, ["method", "metric", "mean", "std", "images", "place", "p"], rows)


def _caption(table: MethodTable) -> str:
    images = table.values.shape[1]
    caption = f"Mean ± standard deviation over {images} image{'s' if images > 1 else ''}; place: mean over the columns."
    if table.against is not None:
        caption += f" * differs from {table.against} with p < {_SIGNIFICANT:g} (Wilcoxon signed-rank test, two-sided)."
    return caption
