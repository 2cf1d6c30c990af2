"""Tables of experiments: means and deviations, the best of each column, Markdown and CSV."""

import csv
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.tables import (
    comparison_table,
    grid,
    higher_is_better,
    summary,
    terminal_tables,
    write_csv,
)

RESULTS = {
    "tita": [
        {"val/ivf/EN": 7.0, "val/mff/EN": 6.0, "val/ivf/loss": 1.0, "val/mff/loss": 0.5, "val/loss": 1.5},
        {"val/ivf/EN": 7.2, "val/mff/EN": 6.4, "val/ivf/loss": 2.0, "val/mff/loss": 0.5, "val/loss": 2.5},
    ],
    "a|b [c]": [{"val/ivf/EN": 6.0, "val/mff/EN": 6.2, "val/ivf/loss": 1.2, "val/mff/loss": 0.5, "val/loss": 1.7}],
    "crashed": [],
}


def rows(text):
    """The cells of a Markdown table; an escaped bar is no border."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_mean_and_deviation_are_numpys(values):
    cell = summary(values)
    assert cell.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert cell.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)
    assert cell.seeds == len(values)


def test_a_single_seed_has_no_deviation():
    assert summary([0.5]) == (cell := summary([0.5]))
    assert (cell.mean, cell.deviation, cell.seeds) == (0.5, None, 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_so_and_is_never_the_best(bad):
    assert not math.isfinite(summary([1.0, bad]).mean)
    results = {name: [{"val/loss": value}] for name, value in (("bad", bad), ("good", 1.0), ("worse", 2.0))}
    table = comparison_table(results, 1)
    assert table.columns[0].best == {1}
    assert rows(grid(table).markdown())[2][1].strip() == f"{bad:.1f}"


def test_the_columns_are_the_losses_and_scores_of_the_validation_task_by_task():
    table = comparison_table(RESULTS, 2)
    assert [column.metric for column in table.columns] == [
        "val/loss",
        "val/ivf/loss",
        "val/ivf/EN",
        "val/mff/loss",
        "val/mff/EN",
    ]
    assert table.experiments == list(RESULTS)


def test_only_what_all_runs_have_is_a_column_unless_asked_for():
    results = {"a": [{"val/loss": 1.0, "val/ivf/EN": 7.0, "train/loss": 3.0}], "b": [{"val/loss": 2.0}]}
    assert [column.metric for column in comparison_table(results, 1).columns] == ["val/loss"]
    [column] = comparison_table(results, 1, ["val/ivf/EN"]).columns
    assert [cell and cell.mean for cell in column.cells] == [7.0, None]


def test_markdown_is_well_formed_and_the_best_means_are_bold():
    text = grid(comparison_table(RESULTS, 2)).markdown()
    head, rule, *body = rows(text)
    assert len(body) == len(RESULTS)
    assert {len(row) for row in (head, rule, *body)} == {6}
    assert set("".join(rule)) <= set("-: ")
    first, second, crashed = ([cell.strip() for cell in row] for row in body)
    # Means 2.0 and 1.7, 1.5 and 1.2, 7.1 and 6.0; the losses of mff are alike; 6.2 and 6.2.
    assert first == ["tita", "2.000 ± 0.707", "1.500 ± 0.707", "**7.100 ± 0.141**", "0.5000 ± 0.0000", "6.200 ± 0.283"]
    assert second == [r"a\|b [c]", "**1.700 (1)**", "**1.200 (1)**", "6.000 (1)", "0.5000 (1)", "6.200 (1)"]
    assert crashed == ["crashed", *["–"] * 5]
    assert head[1].strip() == "val/loss ↓"
    assert head[3].strip() == "val/ivf/EN ↑"


def test_the_terminal_shows_the_same_cells_as_markdown():
    table = comparison_table(RESULTS, 2)
    console = Console(width=200)
    with console.capture() as shown:
        for part in terminal_tables(table):
            console.print(part)
    text = shown.get()
    cells = {cell.strip(" *").replace("\\", "") for row in rows(grid(table).markdown())[2:] for cell in row}
    assert all(cell in text for cell in cells)
    assert len(terminal_tables(table)) == 3


def test_csv_has_a_row_for_each_experiment_and_metric(tmp_path):
    write_csv(tmp_path / "table.csv", comparison_table(RESULTS, 2))
    with (tmp_path / "table.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 2 * 5
    assert {row["experiment"] for row in read} == {"tita", "a|b [c]"}
    first = read[0]
    assert (first["metric"], float(first["mean"]), first["seeds"]) == ("val/loss", 2.0, "2")
    assert float(first["std"]) == np.std([1.5, 2.5], ddof=1)
    assert read[-1]["std"] == ""


@pytest.mark.parametrize(
    ("metric", "better"), [("val/loss", False), ("val/ivf/loss", False), ("val/mff/Qabf", True), ("val/ivf/own", None)]
)
def test_directions(metric, better):
    assert higher_is_better(metric) is better


def test_nothing_is_the_best_where_the_direction_is_unknown():
    table = comparison_table({"a": [{"val/ivf/own": 1.0}], "b": [{"val/ivf/own": 2.0}]}, 1)
    assert "**" not in grid(table).markdown()


def test_mistakes():
    with pytest.raises(FusionLabError, match=r"No run has the metric val/ivf/Qabf: choose among val/ivf/EN, "):
        comparison_table(RESULTS, 2, ["val/ivf/Qabf"])
    with pytest.raises(FusionLabError, match="validation pairs"):
        comparison_table({"a": [{"train/loss": 1.0}]}, 1)
