"""The table of a paper by command."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fusion_lab.cli.main import main

NAMES = [f"pair{n}" for n in range(6)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Six pairs; one method gives the first source, the other noise, a third lacks an image."""
    folder = tmp_path_factory.mktemp("methods")
    generator = np.random.default_rng(0)
    for name in NAMES:
        a, b, noise = generator.integers(0, 256, (3, 24, 32), np.uint8)
        for role, image in {"a": a, "b": b, "first": a, "noise": noise, "fewer": b}.items():
            (folder / role).mkdir(exist_ok=True)
            if (role, name) != ("fewer", "pair0"):
                Image.fromarray(image).save(folder / role / f"{name}.png")
    return folder


def options(folder, output, *methods, more=()):
    sources = [f"--a={folder / 'a'}", f"--b={folder / 'b'}", "--metrics", "EN", "MI"]
    return ["compare", *(f"{m}={folder / m}" for m in methods), *sources, "-o", str(output), *more]


def test_tables_are_written_and_shown(folders, tmp_path):
    command = options(folders, tmp_path, "first", "noise", more=["--against=noise"])
    done = subprocess.run(
        [sys.executable, "-m", "fusion_lab.cli.main", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "MI ↑" in done.stdout
    assert "Wilcoxon" in done.stdout
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    information = {method: float(rows[method, "MI"]["mean"]) for method in ("first", "noise")}
    assert information["first"] > information["noise"] + 1
    # All six images differ the same way: the smallest p that six images can have.
    assert float(rows["first", "MI"]["p"]) == pytest.approx(2 / 2**6)
    assert "**" in (tmp_path / "table.md").read_text()
    assert r"\toprule" in (tmp_path / "table.tex").read_text()
    with (tmp_path / "first.csv").open(newline="") as file:
        own = list(csv.DictReader(file))
    assert [row["name"] for row in own] == [*NAMES, "mean"]
    assert float(own[-1]["MI"]) == information["first"]


def test_methods_are_compared_on_the_images_of_all(folders, tmp_path, capsys):
    assert main(options(folders, tmp_path, "first", "fewer")) == 1
    captured = capsys.readouterr()
    assert "pair0.png has no fused image of the same name" in captured.err
    assert "over 5 images" in " ".join(captured.out.split())


@pytest.mark.parametrize(
    ("methods", "more", "message"),
    [
        (["first"], ["--against=other"], "no method 'other' to test against"),
        (["first", "first"], [], "Two methods are called 'first'"),
        (["a/b"], [], "should be NAME=DIR"),
        (["table"], [], "other than 'table'"),
        (["missing"], [], "does not exist"),
    ],
)
def test_mistakes_are_told_in_one_sentence(folders, tmp_path, capsys, methods, more, message):
    assert main(options(folders, tmp_path / "new", *methods, more=more)) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "new").exists()
