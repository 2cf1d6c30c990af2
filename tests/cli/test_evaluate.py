"""Scoring fused images by command: rows, resuming, and what is wrong with files."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.cli.main import main
from fusion_lab.evaluation import scoring
from fusion_lab.metrics import Entropy
from fusion_lab.metrics.protocols import PROTOCOLS

NAMES = ("one", "two", "three")


@pytest.fixture
def folders(tmp_path):
    """Three pairs with their fused images, and ideal ones; one image is in colour."""
    generator = np.random.default_rng(0)
    for role in ("a", "b", "fused", "reference"):
        (tmp_path / role).mkdir()
        for name in NAMES:
            shape = (48, 56, 3) if (role, name) == ("fused", "two") else (48, 56)
            Image.fromarray(generator.integers(0, 256, shape, np.uint8)).save(tmp_path / role / f"{name}.png")
    return tmp_path


def options(folder, *more):
    paths = [f"--{role}={folder / role}" for role in ("a", "b", "fused")]
    return ["evaluate", *paths, "-o", str(folder / "out" / "scores.csv"), *map(str, more)]


def table(folder):
    with (folder / "out" / "scores.csv").open(newline="") as file:
        return {row.pop("name"): {k: float(v) for k, v in row.items()} for row in csv.DictReader(file)}


def test_rows_are_those_of_the_protocol(folders):
    command = [sys.executable, "-m", "fusion_lab.cli.main", *options(folders, "--protocol=cddfuse", "--json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Scored 3 images" in done.stdout
    found = table(folders)
    assert list(found) == ["one", "three", "two", "mean"]
    protocol = PROTOCOLS["cddfuse"]
    for name in NAMES:
        images = [np.array(Image.open(folders / role / f"{name}.png")) for role in ("fused", "a", "b")]
        assert found[name] == pytest.approx(protocol.scores(*images), rel=1e-12)
    assert found["mean"]["SF"] == pytest.approx(np.mean([found[name]["SF"] for name in NAMES]))
    told = json.loads((folders / "out" / "scores.json").read_text())
    assert told["images"]["two"] == found["two"]
    assert told["metrics"]["SCD"] == "SumCorrelationDifferences(saturate=False)"


def test_metrics_may_be_chosen(folders):
    assert main(options(folders, "--metrics", "sd", "fusion_lab.metrics.Entropy")) == 0
    found = table(folders)
    assert list(found["one"]) == ["SD", "EN"]
    levels = np.array(Image.open(folders / "fused" / "one.png"))
    assert found["one"]["SD"] == pytest.approx(levels.std())
    grey = torch.from_numpy(levels)[None, None]
    assert found["one"]["EN"] == Entropy().score(grey, grey, grey).item()


def test_metrics_of_a_protocol_are_its_own_variants(folders):
    assert main(options(folders, "--protocol=cddfuse", "--metrics", "mi", "SSIM", "AG")) == 0
    found = table(folders)["one"]
    images = [np.array(Image.open(folders / role / "one.png")) for role in ("fused", "a", "b")]
    expected = PROTOCOLS["cddfuse"].scores(*images)
    assert list(found) == ["MI", "SSIM", "AG"]
    assert {label: found[label] for label in ("MI", "SSIM")} == {label: expected[label] for label in ("MI", "SSIM")}


def test_a_reference_adds_its_own_metrics(folders):
    Image.open(folders / "fused" / "one.png").save(folders / "reference" / "one.png")
    assert main(options(folders, "--metrics", "EN", "--reference", folders / "reference")) == 0
    found = table(folders)
    assert list(found["one"]) == ["EN", "ReferencePSNR", "ReferenceSSIM"]
    assert found["one"]["ReferenceSSIM"] == pytest.approx(1)
    assert found["one"]["ReferencePSNR"] == float("inf")
    assert found["three"]["ReferenceSSIM"] < 0.5


def test_workers_give_the_same_file(folders):
    assert main(options(folders, "--metrics", "EN", "MI")) == 0
    alone = (folders / "out" / "scores.csv").read_bytes()
    for file in (folders / "out").iterdir():
        file.unlink()
    assert main(options(folders, "--metrics", "EN", "MI", "--workers=2")) == 0
    assert (folders / "out" / "scores.csv").read_bytes() == alone


def scored(monkeypatch):
    """Note which images are scored from now on."""
    names, score = [], scoring._score
    monkeypatch.setattr(scoring, "_score", lambda pair, *rest: names.append(pair.name) or score(pair, *rest))
    return names


def test_only_what_is_missing_or_changed_is_scored_again(folders, monkeypatch):
    assert main(options(folders, "--metrics", "EN")) == 0
    names = scored(monkeypatch)
    assert main(options(folders, "--metrics", "EN")) == 0
    assert names == []
    Image.fromarray(np.zeros((48, 56), np.uint8)).save(folders / "fused" / "two.png")
    assert main(options(folders, "--metrics", "EN")) == 0
    assert names == ["two"]
    assert table(folders)["two"]["EN"] == 0


def test_an_interrupted_evaluation_goes_on(folders, monkeypatch):
    score = scoring._score

    def stop(pair, *rest):
        if pair.name == "two":
            raise KeyboardInterrupt
        return score(pair, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_score", stop)
        assert main(options(folders, "--metrics", "EN")) == 130
    assert not (folders / "out" / "scores.csv").exists()
    names = scored(monkeypatch)
    assert main(options(folders, "--metrics", "EN")) == 0
    assert names == ["two"]
    assert len(table(folders)) == 4


def test_results_of_other_metrics_are_not_mixed(folders, capsys):
    assert main(options(folders, "--metrics", "EN")) == 0
    assert main(options(folders, "--metrics", "EN", "SD")) == 2
    assert "are of other metrics" in capsys.readouterr().err


def test_one_bad_file_does_not_lose_the_others(folders, capsys):
    (folders / "fused" / "one.png").write_bytes(b"broken")
    (folders / "fused" / "three.png").unlink()
    assert main(options(folders, "--metrics", "EN")) == 1
    assert list(table(folders)) == ["two", "mean"]
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Not scored")]
    assert len(told) == 2
    assert "one.png is not an image" in told[0]
    assert "three.png has no fused image of the same name" in told[1]


def test_images_too_small_for_a_metric_are_told(folders, capsys):
    assert main(options(folders, "--protocol=gifnet")) == 1
    assert "one.png cannot be scored: This metric needs at least 136 pixels a side" in capsys.readouterr().err
    assert not (folders / "out" / "scores.csv").exists()


@pytest.mark.parametrize(("size", "metric"), [((40, 56), "MI"), ((48, 48), "EN")])
def test_an_image_of_another_size_is_told_by_name(folders, capsys, size, metric):
    Image.fromarray(np.zeros(size, np.uint8)).save(folders / "fused" / "one.png")
    assert main(options(folders, "--metrics", metric)) == 1
    assert "one.png cannot be scored: A metric takes images of one size" in capsys.readouterr().err


def test_single_files_are_scored_too(folders):
    paths = [f"--{role}={folders / role / 'one.png'}" for role in ("a", "b", "fused")]
    assert main(["evaluate", *paths, "--metrics", "EN", "-o", str(folders / "out" / "scores.csv")]) == 0
    assert list(table(folders)) == ["one", "mean"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--protocol=none"], "There is no protocol 'none': choose one of tita, gifnet"),
        (["--metrics", "XX"], "There is no metric 'XX': choose of"),
        (["--metrics", "fusion_lab.metrics.Nothing"], "There is no metric fusion_lab.metrics.Nothing"),
        (["--metrics", "fusion_lab.networks.TITA"], "is no FusionMetric"),
        (["--fused=missing"], "missing"),
        (["--fused=nothing_fits"], "has the name of a pair"),
        (["-o", "scores.txt"], "should end in .csv"),
        (["--workers=0"], "workers"),
        (["--device=banana"], "There is no device 'banana' here"),
        (["--metrics", "fusion_lab.metrics.FusionMetric"], "is no FusionMetric that can be computed"),
        (["--fused=fused/one.png"], "that goes with fused/one.png does not exist"),
    ],
)
def test_mistakes_are_told_in_one_sentence(folders, capsys, monkeypatch, more, message):
    monkeypatch.chdir(folders)
    (folders / "nothing_fits").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folders / "nothing_fits" / "other.png")
    assert main(options(folders, *more)) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    ["no json", '{"asked": 5, "rows": {}}', '{"asked": {}, "rows": {"one": {}}}', '{"asked": {}, "rows": [1]}'],
)
def test_a_state_that_is_none_is_told(folders, capsys, content):
    (folders / "out").mkdir()
    (folders / "out" / "scores.state.json").write_text(content)
    assert main(options(folders, "--metrics", "EN")) == 2
    assert "holds no results of an evaluation" in capsys.readouterr().err
