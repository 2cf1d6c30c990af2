import numpy as np
import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.curves import Curve, CurvePanel, curve_grid, read_history

HISTORY = """step,epoch,train/loss,val/loss
0,0,3.5,
2,0,2.5,
2,0,,4.0
1,0,inf,
"""


def write(folder, text):
    path = folder / "metrics.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_history_is_read_where_it_was_logged(tmp_path):
    history = read_history(write(tmp_path, HISTORY))
    assert list(history) == ["epoch", "train/loss", "val/loss"]
    assert history["train/loss"].steps.tolist() == [0, 1, 2]
    assert history["train/loss"].values.tolist() == [3.5, np.inf, 2.5]
    assert (history["val/loss"].steps.tolist(), history["val/loss"].values.tolist()) == ([2], [4.0])


def test_a_line_that_was_cut_is_left_out(tmp_path):
    history = read_history(write(tmp_path, "step,train/loss,val/loss\n0,3.5,4.0\n1,2."))
    assert history["train/loss"].values.tolist() == [3.5]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("step,train/loss\n", "is empty"),
        ("", "is empty"),
        ("name,mean\na,0.5\n", "is no history of a run"),
        ("step,train/loss\n0,much\n", "is no history of a run"),
    ],
)
def test_what_is_no_history_is_told(tmp_path, text, sentence):
    with pytest.raises(FusionLabError, match=sentence):
        read_history(write(tmp_path, text))


def test_a_missing_history_is_told(tmp_path):
    with pytest.raises(FusionLabError, match=r"none\.csv cannot be read \(No such file"):
        read_history(tmp_path / "none.csv")


def test_a_name_has_one_colour_in_all_frames():
    falling, single = Curve(np.arange(3), np.array([3.0, 2.0, 1.0])), Curve(np.array([2]), np.array([4.0]))
    panels = [
        CurvePanel("losses", {"ivf": falling, "mff": single}),
        CurvePanel("b", {"mff": falling}),
    ]
    first, second = curve_grid(panels).axes
    assert [line.get_label() for line in first.lines] == ["ivf", "mff"]
    assert first.lines[0].get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert first.lines[0].get_color() != first.lines[1].get_color() == second.lines[0].get_color()
    assert [line.get_marker() for line in first.lines] == ["None", "o"]
    assert [axis.get_title() for axis in (first, second)] == ["losses", "b"]
