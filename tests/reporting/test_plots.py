import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.plots import (
    HeatMapRow,
    TaskWeights,
    heat_map_grid,
    operation_bars,
    write_figure,
    write_operation_weights,
)

COSINE = np.array([[1, -0.25], [-0.25, 1]])
RATIO = np.array([[0, np.nan], [-3.5, 0]])
OPERATIONS = ("HPF", "ADD", "MUL")
ROWS = [
    TaskWeights("ivf", 12, np.array([[0.1, 0.2, 0.3], [0.05, 0.15, 0.2]]), np.full((2, 3), 0.1)),
    TaskWeights("mff", 1, np.full((2, 3), 1 / 6), np.zeros((2, 3))),
]


@pytest.fixture
def grid():
    maps = {"all": COSINE, "head": COSINE, "shallow": COSINE}
    rows = [HeatMapRow("cosine", maps, 1.0), HeatMapRow("log2", dict.fromkeys(maps, RATIO))]
    return heat_map_grid("Conflict", ("ivf", "mff"), rows)


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_heat_maps_stand_in_a_grid(grid):
    axes = [axis for axis in grid.axes if axis.get_label() != "<colorbar>"]
    assert len(axes) == 6
    assert len(grid.axes) == 8
    assert [axis.get_title() for axis in axes] == ["all", "head", "shallow", "", "", ""]
    assert [axis.get_ylabel() for axis in axes] == ["cosine", "", "", "log2", "", ""]
    assert texts(axes[0]) == ["1.00", "-0.25", "-0.25", "1.00"]
    assert texts(axes[3]) == ["0.00", "–", "-3.50", "0.00"]
    assert np.array_equal(axes[1].images[0].get_array(), COSINE)
    assert [axes[i].images[0].get_clim() for i in (0, 3)] == [(-1, 1), (-3.5, 3.5)]
    assert [label.get_text() for label in axes[3].get_xticklabels()] == ["ivf", "mff"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["ivf", "mff"]


def test_bars_stand_by_task():
    (axis,) = operation_bars("Weights", OPERATIONS, ROWS).axes
    bars = [container for container in axis.containers if hasattr(container, "patches")]
    assert [container.get_label() for container in bars] == [f"{s} {o}" for s in "ab" for o in OPERATIONS]
    assert [patch.get_height() for patch in bars[1].patches] == [0.2, 1 / 6]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["ivf\n12 pairs", "mff\n1 pair"]
    assert texts(axis)[:4] == ["0.100", "0.167", "0.200", "0.167"]
    # Whiskers do not reach below zero.
    lows = [segment[0, 1] for container in bars for segment in container.errorbar[2][0].get_segments()]
    assert min(lows) == 0
    places = [patch.get_x() for container in bars for patch in container.patches]
    assert len(set(np.round(places, 6))) == 12


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_picture_is_written(grid, tmp_path, suffix):
    path = tmp_path / "deep" / f"grid{suffix}"
    write_figure(grid, path)
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_size > 2000
    if suffix == ".png":
        with Image.open(path) as picture:
            assert picture.size == tuple(np.int64(grid.get_size_inches() * 150))


def test_nothing_is_left_of_a_picture_that_cannot_be_written(grid, tmp_path):
    with pytest.raises(FusionLabError, match=r"grid\.txt should end in \.png"):
        write_figure(grid, tmp_path / "grid.txt")

    class Broken:
        def savefig(self, path, dpi):
            path.write_text("half")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        write_figure(Broken(), tmp_path / "grid.png")
    assert not list(tmp_path.iterdir())


def test_table_reads_back(tmp_path):
    write_operation_weights(tmp_path / "w.csv", OPERATIONS, ROWS)
    with (tmp_path / "w.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[4] == {"task": "ivf", "source": "b", "operation": "ADD", "mean": "0.15", "std": "0.1", "pairs": "12"}


def test_matplotlib_is_loaded_late_and_without_pyplot():
    code = (
        "import sys, numpy as np\nfrom fusion_lab.reporting import plots\nassert 'matplotlib' not in sys.modules\n"
        "plots.heat_map_grid('', ['a'], [plots.HeatMapRow('', {'a': np.ones((1, 1))})])\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
