import csv
import subprocess
import sys

import pytest

from fusion_lab.cli.main import main


def test_table_numbers_and_chart(tmp_path):
    scores = tmp_path / "table.csv"
    scores.write_text("method,metric,mean\nTITA,VIF,0.8\nMaximum,VIF,0.4\n")
    outputs = ["-o", str(tmp_path / "costs.csv"), "--chart", str(tmp_path / "chart.png"), "--scores", str(scores)]
    networks = ["TITA=tita", "Maximum=fusion_lab.networks.Maximum", "fusion_lab.networks.IFCNN"]
    command = [sys.executable, "-m", "fusion_lab.cli.main", "profile", *networks, "--size", "32x40", "--rounds", "1"]
    done = subprocess.run([*command, *outputs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "83,587" in done.stdout
    rows = list(csv.DictReader((tmp_path / "costs.csv").open()))
    assert [row["network"] for row in rows] == ["TITA", "Maximum", "IFCNN"]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tita", "--size", "32"], "should be HEIGHTxWIDTH"),
        (["tita", "--size", "4x40"], "too small"),
        (["tita", "--chart", "chart.png"], "--chart and --scores together"),
        (["tita", "--scores", "missing.csv", "--chart", "chart.png"], "cannot be read"),
        (["tita", "tita"], "Two networks are called 'tita'"),
        (["fusion_lab.networks.Nothing"], "Nothing"),
    ],
)
def test_mistakes_in_one_sentence(arguments, told, capsys):
    assert main(["profile", *arguments]) == 2
    assert told in capsys.readouterr().err
