import csv

import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.costs import bubble_chart, read_metric, terminal_table, write_costs
from fusion_lab.types import Cost

COSTS = {
    "TITA": Cost(1000, 2_000_000_000, 5, 0.5, 2**21, [0.5]),
    "Average": Cost(0, 0, 300_000, 0.01, 0, [0.01]),
}


def test_numbers_are_written_as_they_are(tmp_path):
    write_costs(tmp_path / "costs.csv", COSTS)
    rows = list(csv.DictReader((tmp_path / "costs.csv").open()))
    assert rows[0] == {
        "network": "TITA",
        "parameters": "1000",
        "flop": "2000000000",
        "other_flop": "5",
        "seconds": "0.5",
        "memory_bytes": str(2**21),
    }
    assert terminal_table(COSTS, "title").row_count == 2


def test_chart_shows_networks_with_a_score():
    axis = bubble_chart(COSTS, {"TITA": 0.8, "Other": 0.1}, "VIF").axes[0]
    (points,) = axis.collections
    assert points.get_offsets().tolist() == [[2.0, 0.8]]
    with pytest.raises(FusionLabError, match="None of the networks"):
        bubble_chart(COSTS, {"Other": 0.1}, "VIF")


def test_scores_of_compare(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("method,metric,mean\nTITA,VIF,0.8\nTITA,MI,4\n")
    assert read_metric(path, "VIF") == {"TITA": 0.8}
    with pytest.raises(FusionLabError, match="choose one of VIF, MI"):
        read_metric(path, "Qabf")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FusionLabError, match=r"no table\.csv"):
        read_metric(path, "VIF")
    with pytest.raises(FusionLabError, match="cannot be read"):
        read_metric(tmp_path / "missing.csv", "VIF")
