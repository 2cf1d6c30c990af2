"""Checkpoints are whole or not there, and hold no code."""

import os
import pickle
import resource
import signal

import pytest
import torch

from fusion_lab.callbacks import CheckpointFiles
from fusion_lab.errors import FusionLabError
from fusion_lab.seal import check_seal


class Hostile:
    """Writes a file when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "folder" / "a.ckpt"
    CheckpointFiles().save_checkpoint({"step": 1, "weights": torch.ones(3)}, path)
    check_seal(path)
    assert CheckpointFiles().load_checkpoint(path)["step"] == 1
    assert list(path.parent.iterdir()) == [path]


def test_damage_is_told(tmp_path):
    path = tmp_path / "a.ckpt"
    CheckpointFiles().save_checkpoint({"weights": torch.ones(300)}, path)
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    with pytest.raises(FusionLabError, match="is damaged"):
        CheckpointFiles().load_checkpoint(path)


@pytest.mark.parametrize("weights_only", [None, False, True])
def test_code_is_never_run(tmp_path, weights_only):
    path, victim = tmp_path / "a.ckpt", tmp_path / "victim"
    torch.save({"state_dict": Hostile(victim)}, path)
    with pytest.raises(pickle.UnpicklingError):
        CheckpointFiles().load_checkpoint(path, weights_only=weights_only)
    assert not victim.exists()


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    """The system itself refuses to write more: a limit on the size of files stands for the disk."""
    path = tmp_path / "a.ckpt"
    CheckpointFiles().save_checkpoint({"step": 1}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(FusionLabError, match=r"a.ckpt cannot be written \(.+\): is the disk full\?"):
            CheckpointFiles().save_checkpoint({"step": 2, "weights": torch.ones(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert CheckpointFiles().load_checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]
