"""Differences to one experiment, seed by seed."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_lab.reporting.differences import (
    difference_table,
    forest_plot,
    grid,
    paired_difference,
    write_csv,
)

values = st.floats(-100, 100)


def test_mean_and_interval_of_many_seeds_are_those_of_the_normal_distribution():
    generator = np.random.default_rng(0)
    ours = dict(enumerate(generator.normal(1.0, 0.5, 100)))
    found = paired_difference(ours, dict.fromkeys(range(100), 0.0))
    half = 1.96 * np.std(list(ours.values()), ddof=1) / 10
    assert found.mean == pytest.approx(np.mean(list(ours.values())))
    assert found.low == pytest.approx(found.mean - half, abs=0.02)
    assert found.high == pytest.approx(found.mean + half, abs=0.02)
    assert found.clear


@given(st.dictionaries(st.integers(0, 9), values, min_size=2), values)
def test_what_all_seeds_share_does_not_count(ours, shift):
    """Pairing takes away what a seed does to both."""
    found = paired_difference({seed: value + 1 for seed, value in ours.items()}, ours)
    assert found.mean == pytest.approx(1)
    assert found.low == pytest.approx(1)
    assert found.high == pytest.approx(1)
    assert found.seeds == len(ours)


@given(st.dictionaries(st.integers(0, 9), values, min_size=2, max_size=5))
def test_interval_holds_the_mean_and_lies_between_the_extremes(ours):
    found = paired_difference(ours, dict.fromkeys(ours, 0.0))
    # Up to rounding.
    assert min(ours.values()) - 1e-9 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= max(ours.values()) + 1e-9
    turned = paired_difference(dict.fromkeys(ours, 0.0), ours)
    assert turned.mean == pytest.approx(-found.mean)


def test_seeds_that_one_lacks_and_values_that_are_not_finite_are_left_out():
    assert paired_difference({0: 1.0, 1: 5.0}, {0: 0.5, 2: 9.0}).seeds == 1
    assert paired_difference({0: 1.0, 1: float("nan")}, {0: 0.5, 1: 0.0}).mean == 0.5
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
    single = paired_difference({0: 1.0}, {0: 0.5})
    assert (single.low, single.high, single.clear) == (None, None, False)


@pytest.fixture
def table():
    results = {
        "whole": {seed: {"val/loss": 1.0 + seed, "val/ivf/Qabf": 0.5} for seed in range(3)},
        "minus": {seed: {"val/loss": 2.0 + seed, "val/ivf/Qabf": 0.5 - 0.1 * seed} for seed in range(3)},
        "late": {1: {"val/loss": 3.0}},
        "never": {},
    }
    return difference_table(results, "whole", ["val/loss", "val/ivf/Qabf"])


def test_table_in_markdown(table):
    text = grid(table).markdown()
    assert text.splitlines()[0] == "| against whole | val/loss | val/ivf/Qabf |"
    assert "| minus | +1.000 [+1.000, +1.000] | -0.1000 [-0.2000, +0.0000] |" in text
    assert "| late | +1.000 | – |" in text
    assert "| never | – | – |" in text


def test_few_seeds_are_never_clear():
    ours, theirs = dict.fromkeys(range(6), 1.0), dict.fromkeys(range(6), 0.0)
    assert paired_difference(ours, theirs).clear
    del ours[0]
    assert not paired_difference(ours, theirs).clear


def test_table_as_csv(table, tmp_path):
    write_csv(tmp_path / "d.csv", table)
    with (tmp_path / "d.csv").open(newline="") as file:
        rows = {(row["experiment"], row["metric"]): row for row in csv.DictReader(file)}
    assert set(rows) == {("minus", "val/loss"), ("minus", "val/ivf/Qabf"), ("late", "val/loss")}
    assert float(rows["minus", "val/ivf/Qabf"]["low"]) == pytest.approx(-0.2)
    assert rows["late", "val/loss"]["low"] == ""


def test_forest_plot_has_better_to_the_right(table):
    losses, scores = forest_plot(table).axes
    assert losses.xaxis_inverted()
    assert not scores.xaxis_inverted()
    assert [label.get_text() for label in losses.get_yticklabels()] == ["minus", "late", "never"]


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (["val/loss", "val/ivf/Qabf"], "Difference to full; better is to the right"),
        (["val/loss", "x"], "Difference to full; better is to the right for val/loss"),
        (["x"], "Difference to full"),
    ],
)
def test_forest_plot_tells_what_is_better_where_that_is_known(metrics, told):
    results = {name: {0: dict.fromkeys(metrics, value)} for name, value in (("full", 1.0), ("minus", 2.0))}
    assert forest_plot(difference_table(results, "full", metrics)).get_suptitle() == told
