from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.cli.main import main
from fusion_lab.data import Augmentation, JointDataModule, PairDataset
from fusion_lab.data.auxiliary import StoredFocus

FOCUS = "fusion_lab.data.auxiliary.FocusSynthesis"
CONFIGS = Path(__file__).parents[2] / "configs" / "synthesis"


@pytest.fixture
def source(tmp_path):
    generator = np.random.default_rng(0)
    for role, shape in {"visible": (36, 40, 3), "infrared": (36, 40)}.items():
        (tmp_path / "src" / role).mkdir(parents=True)
        for number in range(2):
            pixels = generator.integers(0, 256, shape, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "src" / role / f"{number}.png")
    return tmp_path / "src"


def run(*arguments):
    return main(["data", *(str(argument) for argument in arguments)])


def test_what_make_focus_writes_is_trained_on(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("make-focus", source, "-o", out, "--patch", 18) == 0
    assert f"Made 2 pairs in {out}." in capsys.readouterr().out
    assert run("make-focus", source, "-o", out, "--patch", 18) == 0
    assert "Made 0 pairs" in capsys.readouterr().out
    data = JointDataModule(
        [PairDataset(out, "visible/train", "infrared/train")], StoredFocus(), augmentation=Augmentation(16)
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert len(batch["mff"]["name"]) == 8
    sources = torch.stack([batch["mff"]["source_a"], batch["mff"]["source_b"]])
    # Each pixel is near the clear one in one of the two, but for the soft edges.
    assert ((sources - batch["mff"]["target"]).abs().amin(dim=0) < 1.5 / 255).float().mean() > 0.6


@pytest.mark.parametrize("name", ["paper", "defocus", "depth", "exposure"])
def test_sheet_of_every_synthesis(source, tmp_path, name):
    sheet = tmp_path / "sheet.png"
    assert run("sheet", source, "-o", sheet, "--synthesis", CONFIGS / f"{name}.yaml", "--patch", 32) == 0
    tiles = 6 if name == "exposure" else 8
    assert Image.open(sheet).size == (164 * tiles, 164 + 20)


def test_every_setting_counts(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("make-focus", source, "-o", out) == 0
    for changed in (["--seed", 1], ["--patch", 16], ["--split", "val"], ["--synthesis", CONFIGS / "defocus.yaml"]):
        assert run("make-focus", source, "-o", out, *changed) == 2
        assert f"made with other settings ({changed[0].removeprefix('--')}: " in capsys.readouterr().err
    assert run("make-focus", source, "-o", out, "--synthesis", CONFIGS / "paper.yaml") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make-focus", "{src}", "-o", "{out}", "--visible", "gone"], "gone does not exist"),
        (["make-focus", "{src}", "-o", "{out}", "--patch", "0"], "patch"),
        (["make-focus", "{src}", "-o", "{out}", "--patch", "50"], "smaller than a patch of 50 pixels"),
        (["make-focus", "{src}", "-o", "{out}", "--synthesis", "{out}.yaml"], "does not exist"),
        (["make-focus", "{src}", "-o", "{out}", "--synthesis", f"{CONFIGS}/none.yaml"], "has no `data.init_args.aux"),
        (["make-focus", "{src}", "-o", "{out}", "--synthesis", f"{CONFIGS}/exposure.yaml"], "needs FocusSynthesis"),
        (["make-focus", "{src}", "-o", "{src}/visible/0.png"], "a file stands in its place"),
        (["sheet", "{src}", "-o", "{out}.txt"], "no image suffix"),
        (["sheet"], "source"),
    ],
)
def test_mistakes_are_told_in_one_sentence(source, tmp_path, capsys, arguments, message):
    filled = [argument.format(src=source, out=tmp_path / "out") for argument in arguments]
    assert run(*filled) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("auxiliary", "message"),
    [
        ("{class_path: fusion_lab.data.auxiliary.Nothing}", "Nothing"),
        (
            "{class_path: fusion_lab.data.auxiliary.FocusSynthesis, init_args: {radius: [3.0]}}",
            "auxiliary.radius: should be tuple",
        ),
        ("{class_path: fusion_lab.data.auxiliary.FocusSynthesis, init_args: {radius: [3, 1]}}", "low <= high"),
        ("{class_path: fusion_lab.data.auxiliary.FocusSynthesis, init_args: {kernel: box}}", "kernel"),
    ],
)
def test_wrong_synthesis_is_told_in_one_sentence(source, tmp_path, capsys, auxiliary, message):
    (tmp_path / "own.yaml").write_text(f"data: {{init_args: {{auxiliary: {auxiliary}}}}}")
    assert run("make-focus", source, "-o", tmp_path / "out", "--synthesis", tmp_path / "own.yaml") == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
