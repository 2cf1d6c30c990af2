"""The whole comparison on generated images."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from examples.cifar100.__main__ import PROGRAM, _names
from examples.cifar100.__main__ import main as cifar100
from fusion_lab.cli.main import main as fusion_lab
from fusion_lab.cli.main import run
from fusion_lab.inference.weights import save_network
from fusion_lab.networks import GIFNet
from tests.tiny import make_cifar100

REPOSITORY = Path(__file__).parents[2]
SMALL = ["--epochs=2", "--batch-size=8", "--lr=0.01", "--limit=16"]


def main(words):
    return run(PROGRAM, cifar100, words)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    save_network(GIFNet(width=4), folder / "gifnet.safetensors")
    data = make_cifar100(folder / "cifar-100-python.tar.gz", 20, 20)
    return ["--weights", str(folder / "gifnet.safetensors"), f"--data={data}", *SMALL]


@pytest.fixture(scope="module")
def done(given, tmp_path_factory):
    output = tmp_path_factory.mktemp("done")
    command = [sys.executable, "-m", "examples.cifar100", *given, "-o", str(output)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=REPOSITORY)
    assert run.returncode == 0, run.stderr
    return output, run.stdout


def state(output, row):
    return torch.load(output / row / "last.ckpt", weights_only=True)["state_dict"]


def test_one_table_with_a_row_for_each_set_of_training_images(done):
    output, told = done
    with (output / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["training_images"] for row in rows] == ["original", "gifnet"]
    for row in rows:
        assert 0 <= float(row["top1"]) <= float(row["top5"]) <= 1
        assert f"{float(row['top5']):.2%}" in told
    original, enhanced = (state(output, row)["network.classifier.weight"] for row in ("original", "gifnet"))
    assert not torch.equal(original, enhanced)


def test_what_is_done_is_not_done_again(done, given, capsys):
    output, _ = done
    before = (output / "original" / "last.ckpt").stat().st_mtime_ns
    assert main([*given, "-o", str(output)]) == 0
    assert "Training" not in capsys.readouterr().out
    assert (output / "original" / "last.ckpt").stat().st_mtime_ns == before


def test_an_interrupted_training_ends_as_an_uninterrupted_one(done, given, tmp_path, monkeypatch):
    """Stopped after its first epoch, by whatever."""
    from examples.cifar100.classifier import ClassifierModule

    whole, _ = done
    output = tmp_path / "output"
    step = ClassifierModule.training_step

    def stop(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierModule, "training_step", stop)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            main([*given, "-o", str(output)])
    assert not (output / "original" / "result.json").exists()
    # The second row is the same as before: spare its time.
    shutil.copytree(whole / "gifnet", output / "gifnet")
    assert main([*given, "-o", str(output)]) == 0
    assert (output / "table.csv").read_text() == (whole / "table.csv").read_text()
    expected = state(whole, "original")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state(output, "original").items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs=0"], "epochs"),
        (["--data=missing.tar.gz"], "CIFAR-100 is not at missing.tar.gz"),
        (["--weights", "missing.safetensors"], "The weights missing.safetensors do not exist"),
        (["--weights", "a/one.pth", "b/one.pth"], "give each a name of its own"),
        (["--weights", "original"], "other than 'original'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(given, tmp_path, capsys, arguments, message):
    assert main([*given, *arguments, "-o", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_networks_without_a_file_are_named_by_their_class():
    paths = [Path("fusion_lab.networks.Maximum"), Path("gifnet")]
    assert list(_names(paths)) == ["Maximum", "gifnet"]


def test_results_of_other_settings_are_not_mixed(done, given, tmp_path, capsys):
    output, _ = done
    assert main([*given, "--seed=1", "-o", str(output)]) == 2
    assert "made with other settings (seed)" in capsys.readouterr().err
    save_network(GIFNet(width=4, main="multi_modal"), tmp_path / "gifnet.safetensors")
    assert main([*given, "--weights", str(tmp_path / "gifnet.safetensors"), "-o", str(output)]) == 2
    assert "made with other settings (network gifnet)" in capsys.readouterr().err


def test_the_command_that_was_there_tells_where_it_went(capsys):
    assert fusion_lab(["cifar100", *SMALL]) == 2
    told = capsys.readouterr().err
    assert "`python -m examples.cifar100`, in a clone" in told
    assert told.count("\n") == 1
