"""Methods against each other on the same images: means, ranks and paired tests, as the table of a paper."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.stats import rankdata, wilcoxon

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path
from fusion_lab.reporting.tables import LATEX, decimals_of

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

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean over the images, ``(methods, metrics)``."""
        return np.asarray(self.values.mean(axis=1))

    @property
    def deviations(self) -> NDArray[np.float64]:
        """The standard deviation over the images, with n - 1, ``(methods, metrics)``; 0 for a single image."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.values.std(axis=1, ddof=1 if self.values.shape[1] > 1 else 0))

    @property
    def decimals(self) -> list[int]:
        """The decimals of each column."""
        return [decimals_of(list(column)) for column in self.means.T]

    @property
    def places(self) -> NDArray[np.float64]:
        """The place of each method in each column by its mean as printed, 1 the best; equal ones share a mean place."""
        signs = np.where(self.higher_is_better, -1, 1)
        printed = np.stack([np.round(column, d) for column, d in zip(self.means.T, self.decimals, strict=True)], axis=1)
        return np.asarray(rankdata(printed * signs, axis=0))

    @property
    def average_places(self) -> NDArray[np.float64]:
        """The mean place of each method over the columns, ``(methods,)``."""
        return np.asarray(self.places.mean(axis=1))

    @property
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


def terminal_tables(table: MethodTable, width: int) -> list[Table]:
    """Make tables for a terminal of so many letters a line: metrics that do not fit side by side follow below."""
    console, tables, first = Console(width=10_000), [], 0
    number = len(table.labels) + 1
    while first < number:
        end = first + 1
        while end < number and console.measure(terminal_table(table, range(first, end + 1))).maximum <= width:
            end += 1
        tables.append(terminal_table(table, range(first, end)))
        tables[-1].caption = _caption(table) if end == number else None
        first = end
    return tables


def terminal_table(table: MethodTable, columns: range | None = None) -> Table:
    """Make a table for the terminal: the best bold, the second underlined.

    Args:
        table: The methods and their scores.
        columns: Which columns to show, that of the places the last; all unless given.
    """
    shown = Table("method", caption=_caption(table))
    headings = [*_headings(table), "place"]
    chosen = columns or range(len(headings))
    for column in chosen:
        shown.add_column(headings[column], justify="right")
    styles = {"best": "[bold]{}[/bold]", "second": "[underline]{}[/underline]", "": "{}"}
    for row, method in enumerate(table.methods):
        texts = [_starred(table, row, c).replace(" ± ", "\n± ") for c in range(len(table.labels))]
        cells = [styles[table.mark(row, c)].format(text) for c, text in enumerate(texts)]
        cells.append(f"{table.average_places[row]:.2f}")
        shown.add_row(escape(method), *(cells[column] for column in chosen))
    return shown


def markdown(table: MethodTable) -> str:
    """Write the table in Markdown: the best bold, the second in italics."""
    lines = [["method", *_headings(table), "place"], ["---", *["---:"] * (len(table.labels) + 1)]]
    styles = {"best": "**{}**", "second": "*{}*", "": "{}"}
    for row, method in enumerate(table.methods):
        cells = [styles[table.mark(row, c)].format(_starred(table, row, c, r"\*")) for c in range(len(table.labels))]
        lines.append([method.replace("|", r"\|"), *cells, f"{table.average_places[row]:.2f}"])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{text}\n{_caption(table).replace('*', chr(92) + '*')}\n"


def latex(table: MethodTable) -> str:
    """Write the table in LaTeX for the package booktabs: the best bold, the second underlined."""
    arrows = [r"$\uparrow$" if up else r"$\downarrow$" for up in table.higher_is_better]
    heads = [f"{label.translate(LATEX)} {arrow}" for label, arrow in zip(table.labels, arrows, strict=True)]
    styles = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "": "{}"}
    rows = []
    for row, method in enumerate(table.methods):
        cells = []
        for column in range(len(table.labels)):
            text = table.text(row, column).replace("±", r"$\pm$")
            star = "$^*$" if table.differs(row, column) else ""
            cells.append(styles[table.mark(row, column)].format(text) + star)
        rows.append(" & ".join([method.translate(LATEX), *cells, f"{table.average_places[row]:.2f}"]) + r" \\")
    return "\n".join(
        [
            f"% {_caption(table)}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) + 1)}}}",
            r"\toprule",
            " & ".join(["Method", *heads, "Place"]) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def write_csv(path: Path, table: MethodTable) -> None:
    """Write one row for each method and metric: mean, std, images, place, and p where there is a test."""
    tested = table.p_values if table.against is not None else None
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "metric", "mean", "std", "images", "place", "p"])
        for row, method in enumerate(table.methods):
            for column, label in enumerate(table.labels):
                numbers = [table.means[row, column], table.deviations[row, column]]
                place = float(table.places[row, column])
                p = "" if tested is None else repr(float(tested[row, column]))
                writer.writerow([method, label, *(repr(float(n)) for n in numbers), table.values.shape[1], place, p])


def _headings(table: MethodTable) -> list[str]:
    return [f"{label} {'↑' if up else '↓'}" for label, up in zip(table.labels, table.higher_is_better, strict=True)]


def _starred(table: MethodTable, row: int, column: int, star: str = "*") -> str:
    return table.text(row, column) + (star if table.differs(row, column) else "")


def _caption(table: MethodTable) -> str:
    images = table.values.shape[1]
    caption = f"Mean ± standard deviation over {images} image{'s' if images > 1 else ''}; place: mean over the columns."
    if table.against is not None:
        caption += f" * differs from {table.against} with p < {_SIGNIFICANT:g} (Wilcoxon signed-rank test, two-sided)."
    return caption
