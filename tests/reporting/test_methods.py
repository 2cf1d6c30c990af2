"""The table of a paper, from numbers that can be checked by hand."""

import csv
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import wilcoxon

from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.methods import grid, method_table, write_csv

UP = {"EN": True, "CE": False}


def rows(*scores):
    return {f"image{n}": dict(zip(UP, pair, strict=True)) for n, pair in enumerate(scores)}


@pytest.fixture
def table():
    results = {
        "One_A": rows((1, 5), (2, 5), (3, 5)),
        "Two": rows((3, 4), (4, 4), (5, 4)),
        "Three|x": rows((3, 6), (4, 6), (5, 6)),
    }
    return method_table(results, UP, against="One_A")


def test_means_deviations_and_places(table):
    assert table.means.tolist() == [[2, 5], [4, 4], [4, 6]]
    assert table.deviations.tolist() == [[1, 0], [1, 0], [1, 0]]
    # Higher is better for EN, lower for CE; equal means share their places.
    assert table.places.tolist() == [[3, 2], [1.5, 1], [1.5, 3]]
    assert table.average_places.tolist() == [2.5, 1.25, 2.25]
    assert [[table.mark(row, column) for column in range(2)] for row in range(3)] == [
        ["second", "second"],
        ["best", "best"],
        ["best", ""],
    ]


def test_only_common_images_and_metrics_count():
    results = {"one": rows((1, 1), (2, 2)), "two": rows((5, 5))}
    assert method_table(results, UP).values.tolist() == [[[1, 1]], [[5, 5]]]
    results["two"]["image0"].pop("CE")
    assert method_table(results, UP).labels == ["EN"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12))
def test_p_values_are_those_of_scipy(seed, images):
    scores = np.random.default_rng(seed).normal(size=(2, images, 2))
    results = {name: rows(*own) for name, own in zip("ab", scores, strict=True)}
    table = method_table(results, UP, against="a")
    assert table.p_values[0].tolist() == [1, 1]
    for column in range(2):
        assert table.p_values[1, column] == wilcoxon(scores[1, :, column], scores[0, :, column]).pvalue


def test_equal_and_infinite_scores_do_not_differ():
    same = rows((1, float("inf")), (2, float("inf")))
    table = method_table({"one": same, "two": same}, UP, against="one")
    assert table.p_values.tolist() == [[1, 1], [1, 1]]


def test_markdown_has_all_columns_in_each_line(table):
    lines = [line for line in grid(table).markdown().splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {6}
    assert lines[0] == "| method | EN ↑ | CE ↓ | place |"
    assert lines[3] == "| Two | **4.000 ± 1.000** | **4.000 ± 0.000** | 1.25 |"


def test_latex_is_balanced_and_escaped(table):
    text = grid(table).latex()
    assert r"One\_A & \underline{2.000 $\pm$ 1.000} & \underline{5.000 $\pm$ 0.000} & 2.50 \\" in text
    assert text.count("{") == text.count("}")
    assert text.count("$") % 2 == 0
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    assert {line.count(" & ") for line in body.splitlines() if line.endswith(r"\\")} == {3}
    assert not re.search(r"(?<!\\)_", body)


def test_differences_are_marked():
    better = {"one": rows(*[(n, 1) for n in range(8)]), "two": rows(*[(n + 1 + n / 9, 1) for n in range(8)])}
    table = method_table(better, UP, against="one")
    assert table.differs(1, 0)
    assert not table.differs(1, 1)
    assert r"$^*$" in grid(table).latex()
    assert r"\*" in grid(table).markdown()


def test_terminal_shows_every_method(table):
    console = Console(width=100, record=True)
    [shown] = grid(table, "\n± ").terminal_parts(100)
    console.print(shown)
    text = console.export_text()
    assert all(word in text for word in ("One_A", "Two", "Three|x", "EN ↑", "CE ↓", "place", "p < 0.05"))


@pytest.mark.parametrize("width", [60, 80, 200])
def test_many_metrics_fit_into_narrow_terminals(width):
    labels = [f"metric{n}" for n in range(13)]
    made = {name: {"1": dict.fromkeys(labels, 0.123456), "2": dict.fromkeys(labels, 123.4)} for name in ("A", "TITA")}
    table = method_table(made, dict.fromkeys(labels, True))
    console = Console(width=width, record=True)
    parts = grid(table, "\n± ").terminal_parts(width)
    for part in parts:
        console.print(part)
    text = console.export_text()
    # Nothing is cut, and no heading broken.
    assert "…" not in text
    assert all(f"{label} ↑" in text for label in labels)
    assert text.count("TITA") == len(parts)
    assert (len(parts) == 1) == (width == 200)
    assert text.count("place") >= 1


def test_csv_holds_every_number(table, tmp_path):
    write_csv(tmp_path / "table.csv", table)
    with (tmp_path / "table.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["method"], row["metric"]) for row in found] == [(m, label) for m in table.methods for label in UP]
    assert float(found[2]["mean"]) == 4
    assert float(found[2]["p"]) == table.p_values[1, 0]
    assert {row["images"] for row in found} == {"3"}


def test_what_cannot_be_compared_is_told():
    with pytest.raises(FusionLabError, match="No image was scored for all methods"):
        method_table({"one": rows((1, 1)), "two": {"other": {"EN": 1.0}}}, UP)
    with pytest.raises(FusionLabError, match="No metric was scored for all methods"):
        method_table({"one": {"x": {"EN": 1.0}}, "two": {"x": {"CE": 1.0}}}, UP)
    with pytest.raises(FusionLabError, match="no method 'three' to test against"):
        method_table({"one": rows((1, 1))}, UP, against="three")
