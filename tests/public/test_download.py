import errno
import os
import socket

import pooch
import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.public.download import MIRROR, address_of, download

URL = "https://somewhere.example/folder/file.bin"
PATH = "/somewhere.example/folder/file.bin"
CONTENT = os.urandom(300_000)


def test_a_file_comes_whole_and_only_once(server, tmp_path):
    server.files[PATH] = CONTENT
    target = tmp_path / "new" / "file.bin"
    for _ in range(2):
        assert download(URL, target, progress=True) == target
        assert target.read_bytes() == CONTENT
    assert server.asked == [PATH]
    assert list(target.parent.iterdir()) == [target]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("cut", ["length", "chunks"])
def test_a_cut_connection_leaves_nothing_and_the_next_time_begins_anew(server, tmp_path, cut):
    server.files[PATH], server.cut = CONTENT, cut
    with pytest.raises(FusionLabError, match="the connection was cut") as error:
        download(URL, tmp_path / "file.bin")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    server.cut = None
    assert download(URL, tmp_path / "file.bin").read_bytes() == CONTENT


def test_what_is_not_there(server, tmp_path):
    with pytest.raises(FusionLabError, match=rf"{PATH} refuses \(404.*Not Found\)"):
        download(URL, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_nobody_answers(monkeypatch, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(FusionLabError, match=r"failed \(no connection\)") as error:
        download(URL, tmp_path / "file.bin")
    assert len(str(error.value)) < 400
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(server, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    with pytest.raises(FusionLabError, match="No space left on device"):
        download(URL, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_addresses_with_and_without_a_mirror(monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    assert address_of(URL) == URL
    monkeypatch.setenv(MIRROR, "https://mirror.example/all/")
    assert address_of(URL) == f"https://mirror.example/all{PATH}"
    monkeypatch.setenv(MIRROR, "/some/folder")
    with pytest.raises(FusionLabError, match=f"{MIRROR}.*no address"):
        address_of(URL)
