"""The notebooks as they are kept, without executing them."""

import base64
import io
import json
import re
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.notebooks.agreement import differences, pictures, texts
from tests.notebooks.execution import METADATA, NOTEBOOKS, OwnKernel, clean, execute, read

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
FOREIGN = re.compile(r"(?<![\w.}])/(?:home|root|Users|tmp|var|private|work|usr|opt|mnt|data|scratch)\b|[A-Z]:\\|~/")


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_every_notebook_is_executed_by_a_test_of_its_own():
    folder = NOTEBOOKS.parent / "tests" / "notebooks"
    assert len(PATHS) == 5
    assert {f"test_{path.stem}" for path in PATHS} <= {test.stem for test in folder.glob("test_*.py")}


def test_it_is_kept_with_outputs_and_in_order(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert sum(bool(cell.outputs) for cell in cells) >= len(cells) // 2
    assert any(pictures(output) for cell in cells for output in cell.outputs)


def test_it_is_small(path):
    assert path.stat().st_size < 500_000
    outputs = [output for cell in read(path).cells if cell.cell_type == "code" for output in cell.outputs]
    assert max(len(file) for output in outputs for file in pictures(output)) <= 61_440


def test_it_tells_of_no_machine(path):
    notebook = read(path)
    assert json.loads(json.dumps(notebook.metadata)) == METADATA
    assert [cell.id for cell in notebook.cells] == [cell.id for cell in clean(notebook).cells]
    for cell in notebook.cells:
        assert not cell.metadata
        for output in cell.get("outputs", []):
            assert not output.get("metadata")
            assert not (output.output_type == "stream" and output.name == "stderr")
            assert output.output_type != "error"
            assert not [text for text in texts(output) if FOREIGN.search(text)]


@pytest.mark.parametrize("text", ["/tmp/x", "in /home/me", "C:\\Users", "~/data"])
def test_a_path_of_a_machine_is_noticed(text):
    assert FOREIGN.search(text)


@pytest.mark.parametrize("text", ["data/embedded", "val/ivf/loss", "train/tmp", r"\textbf{1}/2"])
def test_other_paths_are_not(text):
    assert not FOREIGN.search(text)


def figure(level):
    axis = (made := Figure((1, 1))).subplots()
    axis.imshow(np.full((2, 2), level), vmin=0, vmax=1)
    return made


def notebook(*outputs):
    return new_notebook(cells=[new_code_cell("1", id="cell-01", outputs=list(outputs))])


def said(text):
    return notebook(new_output("stream", text=text))


def table(text):
    return notebook(new_output("display_data", data={"text/markdown": text}))


@pytest.mark.parametrize(
    ("kept", "now"),
    [
        ("loss 18.38, step=000010", "loss 18.39, step=000010"),
        ("| **0.512** | 0.511 |", "| 0.512 | **0.512** |"),
        (r"\textbf{0.512} & \underline{0.511}", r"\underline{0.512} & \textbf{0.512}"),
        ("\x1b[1mloss\x1b[0m │  9.99 │", "loss │ 10.00 │"),
    ],
)
def test_rounding_is_no_difference(kept, now):
    assert differences(said(kept), said(now)) == []
    assert differences(table(kept), table(now)) == []


@pytest.mark.parametrize(
    ("kept", "now"),
    [
        ("loss 18.38", "loss 20.38"),
        ("Qabf 0.50", "Qabf 0.55"),
        ("a 1 b 2", "a 1"),
        ("trained for 10 steps", "trained for 12 steps"),
        ("IPA", "PA"),
        ("-0.91", "0.91"),
    ],
)
def test_other_numbers_and_words_are_a_difference(kept, now):
    assert len(differences(said(kept), said(now))) == 1
    assert len(differences(table(kept), table(now))) == 1


def test_another_cell_is_a_difference():
    other = notebook()
    other.cells[0].source = "2"
    assert "another one" in differences(notebook(), other)[0]


def test_pictures_are_compared():
    def shown(level):
        figure(level).savefig(file := io.BytesIO(), format="png")
        data = {"image/png": base64.b64encode(file.getvalue()).decode()}
        return notebook(new_output("display_data", data=data))

    assert differences(shown(0.5), shown(0.505)) == []
    assert "levels" in differences(shown(0.2), shown(0.8))[0]
    assert "other pictures" in differences(shown(0.5), notebook())[0]


def test_the_kernel_is_that_of_this_interpreter(tmp_path, monkeypatch):
    foreign = tmp_path / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {"argv": ["/nowhere/python", "-m", "ipykernel_launcher"], "display_name": "Other", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = OwnKernel(kernel_name="python3").kernel_spec
    assert found
    assert found.argv[0] == sys.executable
    asking = new_notebook(cells=[new_code_cell("import os, sys, tempfile"), new_code_cell("sys.executable")])
    done = execute(asking, tmp_path, tmp_path)
    assert done.cells[1].outputs[0].data["text/plain"] == repr(sys.executable)
