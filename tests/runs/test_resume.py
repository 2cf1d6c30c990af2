"""The newest sound checkpoint is gone on from, and what is damaged is named."""

import os

import pytest

from fusion_lab.callbacks import CheckpointFiles
from fusion_lab.errors import FusionLabError
from fusion_lab.networks import TITA
from fusion_lab.runs.result import checkpoints
from fusion_lab.runs.resume import find_checkpoint
from tests.tiny import NETWORK


@pytest.fixture
def run(tmp_path):
    network = TITA(**NETWORK)
    stored = {
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {f"network.{name}": tensor for name, tensor in network.state_dict().items()},
        "network": network.description,
    }
    for age, name in enumerate(("last", "step=2", "step=1", "best")):
        path = tmp_path / "checkpoints" / f"{name}.ckpt"
        CheckpointFiles().save_checkpoint(stored, path)
        os.utime(path, (1000 - age, 1000 - age))
    os.utime(tmp_path / "checkpoints" / "best.ckpt", (2000, 2000))
    return tmp_path


def flip(path):
    times = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times, times))


def test_last_is_the_newest_and_best_the_best(run):
    assert find_checkpoint("last", run)[0].name == "last.ckpt"
    assert find_checkpoint("best", run)[0].name == "best.ckpt"
    assert find_checkpoint(str(run / "checkpoints" / "step=1.ckpt"), run)[0].name == "step=1.ckpt"


def test_damaged_ones_are_named_and_passed_over(run, capsys):
    flip(run / "checkpoints" / "last.ckpt")
    cut = run / "checkpoints" / "step=2.ckpt"
    times = cut.stat().st_mtime_ns
    os.truncate(cut, 5000)
    os.utime(cut, ns=(times, times))
    assert find_checkpoint("last", run)[0].name == "step=1.ckpt"
    told = capsys.readouterr().err
    assert "last.ckpt is damaged" in told
    assert "step=2.ckpt" in told
    assert told.count("The one before it is tried.") == 2


def test_a_damaged_one_that_was_asked_for_is_refused(run):
    path = run / "checkpoints" / "step=2.ckpt"
    flip(path)
    with pytest.raises(FusionLabError, match=r"step=2.ckpt is damaged.*Take an earlier one"):
        find_checkpoint(str(path), run)


def test_a_run_without_a_sound_one_is_told(run):
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(FusionLabError, match="None of the 3 checkpoints"):
        find_checkpoint("last", run)


def test_what_was_half_written_and_the_best_are_not_gone_on_from(run, tmp_path):
    (run / "checkpoints" / ".last-abc.ckpt").touch()
    assert [path.stem for path in checkpoints(run)] == ["last", "step=2", "step=1"]
    for path in checkpoints(run):
        path.unlink()
    assert checkpoints(run) == []
    with pytest.raises(FusionLabError, match="has no checkpoint yet"):
        find_checkpoint("last", tmp_path)
