import csv

import pytest

from fusion_lab.reporting.scores import ScoreRow, means, write_scores

ROWS = [
    ScoreRow("ivf", "one", "TITA", {"EN": 1.0, "MI": 4.0}),
    ScoreRow("ivf", "one", "Average", {"EN": 5.0, "MI": 6.0}),
    ScoreRow("ivf", "two", "TITA", {"EN": 3.0, "MI": 0.0}),
    ScoreRow("mff", "one", "TITA", {"EN": 9.0, "MI": 9.0}),
]


def test_means_are_taken_over_the_pairs_of_each_task_and_method():
    assert means(ROWS) == [
        ScoreRow("ivf", "mean", "TITA", {"EN": 2.0, "MI": 2.0}),
        ScoreRow("ivf", "mean", "Average", {"EN": 5.0, "MI": 6.0}),
        ScoreRow("mff", "mean", "TITA", {"EN": 9.0, "MI": 9.0}),
    ]


def test_the_table_reads_back(tmp_path):
    write_scores(tmp_path / "deep" / "scores.csv", ROWS)
    with (tmp_path / "deep" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["pair"], row["method"]) for row in rows] == [(r.task, r.pair, r.method) for r in ROWS]
    assert [float(row["MI"]) for row in rows] == [4, 6, 0, 9]


def test_nothing_is_left_of_a_table_that_cannot_be_written(tmp_path):
    with pytest.raises(KeyError):
        write_scores(tmp_path / "scores.csv", [ROWS[0], ScoreRow("ivf", "two", "TITA", {"EN": 1.0})])
    assert list(tmp_path.iterdir()) == []
