"""The page of several methods by command, and the scores that it shares with `compare`."""

import json

import numpy as np
import pytest
from PIL import Image

from fusion_lab.cli.main import main

NAMES = ["pair0", "pair1", "pair2"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three pairs of all kinds of files; one method gives the first source, another noise, a third lacks an image."""
    folder = tmp_path_factory.mktemp("methods")
    generator = np.random.default_rng(0)
    for name in NAMES:
        a, b, noise = generator.integers(0, 256, (3, 24, 32, 4), np.uint8)
        images = {"a": a[..., :3], "b": b[..., 0].astype(np.uint16) * 257, "first": a, "noise": noise, "fewer": noise}
        for role, image in images.items():
            (folder / role).mkdir(exist_ok=True)
            if (role, name) != ("fewer", "pair0"):
                Image.fromarray(image).save(folder / role / f"{name}.png")
    return folder


def options(folder, *methods, command="report", more=()):
    sources = [f"--a={folder / 'a'}", f"--b={folder / 'b'}", "--metrics", "EN", "MI"]
    return [command, *(f"{method}={folder / method}" for method in methods), *sources, *more]


def embedded(page):
    return page.read_text(encoding="utf-8").count("data:image/png;base64,")


def bars(page):
    """The names of the pairs that have bars, and whether they are shown."""
    data = page.read_text(encoding="utf-8").partition('id="scores">')[2].partition("</script>")[0]
    [task] = json.loads(data)["tasks"]
    return {pair["name"]: pair["link"] is not None for pair in task["pairs"]}


def test_the_page_has_all_images_once_and_all_scores(folders, tmp_path, capsys):
    page = tmp_path / "report.html"
    more = ["--task=ivf", f"--reference={folders / 'a'}", "-o", str(page)]
    assert main(options(folders, "first", "noise", more=more)) == 0
    assert "shows 3 of 3 scored pairs." in capsys.readouterr().out
    # Two sources, two methods and the reference, of each pair.
    assert embedded(page) == 5 * 3
    assert bars(page) == dict.fromkeys(NAMES, True)
    text = page.read_text(encoding="utf-8")
    assert "Fusion report: Infrared and visible" in text
    assert "FusionMutualInformation(" in text
    # The folder itself is nobody else's concern.
    assert str(folders) not in text


def test_pairs_beyond_the_limit_are_scored_but_not_shown(folders, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main(options(folders, "first", more=["--limit=1", "-o", str(page)])) == 0
    assert "shows 1 of 3 scored pairs; --limit 3 shows all" in capsys.readouterr().out
    assert embedded(page) == 3
    assert bars(page) == {"pair0": True, "pair1": False, "pair2": False}
    assert "1 of 3 pairs" in page.read_text(encoding="utf-8")


def test_methods_are_shown_on_the_pairs_of_all(folders, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main(options(folders, "first", "fewer", more=["-o", str(page)])) == 1
    assert "pair0.png has no fused image of the same name" in capsys.readouterr().err
    assert set(bars(page)) == {"pair1", "pair2"}
    assert embedded(page) == 4 * 2


def test_scores_of_compare_are_not_computed_again(folders, tmp_path, monkeypatch):
    assert main(options(folders, "first", "noise", command="compare", more=["-o", str(tmp_path)])) == 0

    def refuse(*_):
        raise AssertionError("an image was scored again")

    monkeypatch.setattr("fusion_lab.evaluation.scoring._score", refuse)
    assert main(options(folders, "first", "noise", more=["-o", str(tmp_path / "report.html")])) == 0
    assert "<td" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("methods", "more", "message"),
    [
        (["first", "first"], [], "Two methods are called 'first'"),
        (["missing"], [], "does not exist"),
        (["first"], ["-o", "report.pdf"], "should end in .html"),
        (["first"], ["--limit=0"], "limit"),
        (["first"], ["--protocol=none"], "no protocol 'none'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(folders, tmp_path, capsys, monkeypatch, methods, more, message):
    monkeypatch.chdir(tmp_path)
    assert main(options(folders, *methods, more=["-o", "new/report.html", *more])) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())
