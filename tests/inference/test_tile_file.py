import errno
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import torch

from fusion_lab.inference.tile_file import TileFile


def maps(seed=0):
    torch.manual_seed(seed)
    return torch.rand(1, 8, 16, 5), torch.rand(1, 16, 8, 5).transpose(1, 2)


def test_maps_come_back_as_they_were(tmp_path):
    with closing(TileFile(2, tmp_path)) as kept:
        for number in range(2):
            kept.put((number, 0), maps(number))
        kept.put((0, 1), maps(2)[:1])
        assert all(map(torch.equal, kept.get((1, 0)), maps(1)))
        assert all(map(torch.equal, kept.get((0, 0)), maps(0)))
        assert torch.equal(kept.get((0, 1))[0], maps(2)[0])
        assert kept.get((1, 1)) is None
        # What is killed leaves nothing behind.
        assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_where_the_disk_has_no_room_for_all_tiles(tmp_path, monkeypatch):
    needed = 1000 * sum(one.nbytes for one in maps())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**30 + needed - 1))
    with closing(TileFile(1000, tmp_path)) as kept:
        kept.put((0, 0), maps())
        assert kept.get((0, 0)) is None
    with closing(TileFile(999, tmp_path)) as kept:
        kept.put((0, 0), maps())
        assert kept.get((0, 0)) is not None


def test_a_disk_that_fills_meanwhile_keeps_what_is_whole(tmp_path, monkeypatch):
    def full(self, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with closing(TileFile(3, tmp_path)) as kept:
        kept.put((0, 0), maps())
        broken = torch.rand(4)
        monkeypatch.setattr(torch.Tensor, "numpy", lambda self: SimpleNamespace(tofile=lambda file: full(self, file)))
        kept.put((1, 0), (broken,))
        monkeypatch.undo()
        kept.put((2, 0), maps())
        assert kept.get((1, 0)) is None
        assert kept.get((2, 0)) is None
        assert all(map(torch.equal, kept.get((0, 0)), maps()))


def test_only_single_precision_on_a_cpu_is_kept(tmp_path):
    with closing(TileFile(1, tmp_path)) as kept:
        kept.put((0, 0), (torch.rand(4).half(),))
        assert kept.get((0, 0)) is None


def test_the_folder_is_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    asked = []
    monkeypatch.setattr("shutil.disk_usage", lambda folder: asked.append(folder) or SimpleNamespace(free=2**40))
    with closing(TileFile(1)) as kept:
        kept.put((0, 0), maps())
        np.testing.assert_array_equal(kept.get((0, 0))[0], maps()[0])
    assert asked == [tmp_path]


def test_nothing_is_kept_where_no_file_can_be(tmp_path):
    with closing(TileFile(1, tmp_path / "missing")) as kept:
        kept.put((0, 0), maps())
        assert kept.get((0, 0)) is None
