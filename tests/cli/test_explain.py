import csv
import subprocess
import sys

import numpy as np
import pytest
import torch

from fusion_lab.cli.explain import main
from fusion_lab.data.images import read_picture
from fusion_lab.data.pairs import load_pairs
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.operation_weights import operation_weights
from fusion_lab.inference.weights import load_network, save_network
from fusion_lab.networks import TITA, Average, GIFNet
from tests.tiny import NETWORK, make_pairs


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = TITA(**NETWORK)
    torch.nn.init.normal_(network.adaptation.weight_generator[2].weight)
    save_network(network, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture
def root(tmp_path):
    return make_pairs(tmp_path, ivf=2, mff=3)


def run(*arguments):
    return main(["weights", *map(str, arguments)])


def test_chart_and_table(root, weights, tmp_path, capsys):
    chart = tmp_path / "out" / "chart.png"
    pairs = [part for task in ("ivf", "mff") for part in ("--pairs", task, root / task / "a", root / task / "b")]
    assert run(*pairs, "--weights", weights, "-o", chart) == 0
    assert sorted(path.name for path in chart.parent.iterdir()) == ["chart.csv", "chart.png"]
    with chart.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["task", "source", "operation", "mean", "std", "pairs"]
    assert [(r["task"], r["source"], r["operation"], r["pairs"]) for r in rows] == [
        (task, source, operation, pairs)
        for task, pairs in (("ivf", "2"), ("mff", "3"))
        for source in "ab"
        for operation in ("HPF", "ADD", "MUL")
    ]
    network = load_network(weights)
    values = [operation_weights(network, a, b)["ADD"][1] for _, a, b in load_pairs(root / "mff/a", root / "mff/b")]
    assert float(rows[10]["mean"]) == pytest.approx(np.mean(values), rel=1e-5)
    assert float(rows[10]["std"]) == pytest.approx(np.std(values), rel=1e-5)
    told = capsys.readouterr().out
    assert f"{float(rows[10]['mean']):.3f} ± {float(rows[10]['std']):.3f}" in told
    assert f"{chart} and {chart.with_suffix('.csv')}" in told.replace("\n", " ")


def test_folders_of_one_task_go_together(root, weights, tmp_path):
    pairs = [part for task in ("ivf", "mff") for part in ("--pairs", "all", root / task / "a", root / task / "b")]
    assert run(*pairs, "--weights", weights, "-o", tmp_path / "chart.svg") == 0
    lines = (tmp_path / "chart.csv").read_text().splitlines()
    assert len(lines) == 7
    assert all(line.endswith(",5") for line in lines[1:])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "weights"),
        (["features", "a.png", "b.png"], "output"),
        (["features", "a.png", "-o", "c.png"], "required"),
        (["features", "a.png", "b.png", "-o", "c.jpg"], r"c\.jpg should end in \.png"),
        (["features", "absent.png", "b.png", "-o", "c.png"], r"absent\.png does not exist"),
        (["features", "a.png", "b.png", "-o", "c.png", "--weights", "absent.pth"], r"absent\.pth do not exist"),
        (["weights", "-o", "a.png"], "pairs"),
        (["weights", "--pairs", "ivf", "a", "-o", "a.png"], "expected 3"),
        (["weights", "--pairs", "ivf", "a", "b"], "output"),
        (["weights", "--pairs", "ivf", "a", "b", "-o", "a.csv"], r"a\.csv should end in \.png"),
        (["weights", "--pairs", "ivf", "a", "b", "-o", "a.png", "--memory-limit", "0"], "memory_limit"),
        (["weights", "--pairs", "ivf", "absent", "b", "-o", "a.png"], "absent does not exist"),
        (["weights", "--pairs", "ivf", "a", "b", "-o", "a.png", "--weights", "absent.pth"], "absent.pth do not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, told):
    with pytest.raises(FusionLabError, match=told) as error:
        main(arguments)
    assert "\n" not in str(error.value)


def test_mistakes_in_what_is_there(root, weights, tmp_path):
    pairs = ("--pairs", "ivf", root / "ivf" / "a", root / "ivf" / "b")
    save_network(Average(), tmp_path / "average.safetensors")
    with pytest.raises(FusionLabError, match=r"network \(Average\) has no OAF"):
        run(*pairs, "-o", tmp_path / "a.png", "--weights", tmp_path / "average.safetensors")
    (tmp_path / "empty").mkdir()
    # Told before the first pair is fused.
    with pytest.raises(FusionLabError, match="No images"):
        run(*pairs, "--pairs", "mff", tmp_path / "empty", tmp_path / "empty", "-o", tmp_path / "a.png")
    with pytest.raises(FusionLabError, match=r"ivf0\.png cannot be fused: .*memory limit"):
        run(*pairs, "-o", tmp_path / "a.png", "--weights", weights, "--memory-limit", 1e-6)
    assert not (tmp_path / "a.png").exists()


def test_features(root, weights, tmp_path, capsys):
    torch.manual_seed(0)
    save_network(GIFNet(2, 2, 4), tmp_path / "gifnet.safetensors")
    pair, picture = (root / "ivf" / "a" / "ivf0.png", root / "ivf" / "b" / "ivf0.png"), tmp_path / "out" / "row.png"
    assert (
        main(["features", *map(str, pair), "-o", str(picture), "--weights", str(tmp_path / "gifnet.safetensors")]) == 0
    )
    assert capsys.readouterr().out == f"Written to {picture}.\n"
    assert [path.name for path in picture.parent.iterdir()] == ["row.png"]
    drawn = read_picture(picture)
    assert drawn.size[1] > 5 * drawn.size[0]
    # Maps are drawn in colours, grey sources are not.
    assert not drawn.is_grey
    picture.unlink()
    other, absent = (root / "ivf" / "b" / "ivf1.png", root / "ivf")
    for b, own, told in (
        (pair[1], weights, r"network \(TITA\) has no shared encoder"),
        (other, tmp_path / "gifnet.safetensors", "differ in size"),
        (absent, tmp_path / "gifnet.safetensors", "is a folder"),
    ):
        with pytest.raises(FusionLabError, match=told) as error:
            main(["features", str(pair[0]), str(b), "-o", str(picture), "--weights", str(own)])
        assert "\n" not in str(error.value)
    assert not picture.exists()


def test_the_program_tells_a_mistake_in_one_line():
    command = [sys.executable, "-m", "fusion_lab.cli.main", "explain", "features", "a.png", "b.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("fusion-lab explain: error: ")
    assert done.stderr.count("\n") == 1


def test_help_does_not_load_pytorch():
    code = (
        "import sys\nfrom fusion_lab.cli.explain import main\n"
        "try: main(['weights', '--help'])\nexcept SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--pairs TASK A B" in done.stdout
