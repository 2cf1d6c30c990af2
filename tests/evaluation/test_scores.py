"""`fusion_lab.evaluate`: the tables of a comparison, from Python."""

import numpy as np
import pytest
from PIL import Image

import fusion_lab


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six pairs; one method gives the first source, the other noise."""
    folder = tmp_path_factory.mktemp("scores")
    generator = np.random.default_rng(0)
    for name in range(6):
        a, b, noise = generator.integers(0, 256, (3, 24, 32), np.uint8)
        for role, image in {"a": a, "b": b, "first": a, "noise": noise}.items():
            (folder / role).mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / role / f"{name}.png")
    return folder


def score(where, **options):
    methods = {name: where / name for name in ("first", "noise")}
    return fusion_lab.evaluate(methods, where / "a", where / "b", metrics=["EN", "MI"], **options)


def test_means_images_and_tests(folder):
    scores = score(folder)
    table = scores.table(against="noise")
    assert list(table.columns) == ["EN", "MI", "p(EN)", "p(MI)"]
    images = scores.images
    assert images.loc["first", "MI"].mean() == pytest.approx(table.loc["first", "MI"])
    assert len(images) == 12
    # All six images differ the same way: the smallest p that six images can have.
    assert table.loc["first", "p(MI)"] == pytest.approx(2 / 2**6)
    assert "| first" in table.to_markdown()
    assert r"\toprule" in table.to_latex()


def test_results_are_kept_only_where_asked(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    score(folder)
    assert list(tmp_path.iterdir()) == []
    score(folder, folder=tmp_path / "kept").write(tmp_path / "kept")
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {
        *(f"{name}{end}" for name in ("first", "noise") for end in (".csv", ".state.json")),
        *("table.csv", "table.md", "table.tex"),
    }


def test_mistakes(folder):
    with pytest.raises(fusion_lab.FusionLabError, match="no protocol 'x'"):
        score(folder, protocol="x")
    (folder / "empty").mkdir(exist_ok=True)
    Image.new("L", (4, 4)).save(folder / "empty" / "other.png")
    with pytest.raises(fusion_lab.FusionLabError, match="No image of"):
        fusion_lab.evaluate(folder / "empty", folder / "a", folder / "b")
    with pytest.raises(fusion_lab.FusionLabError, match="no method 'x' to test against"):
        score(folder).table(against="x")
