import shutil
import zipfile
from collections import namedtuple

import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.public.archives import BrokenArchiveError, unpack
from tests.public.loopback import archive

TAKE = ((r"images/([^/]+)_A\.png", r"Set/a/\1.png"), (r"images/([^/]+)_B\.png", r"Set/b/\1.png"))
GOOD = {"images/1_A.png": b"first", "images/1_B.png": b"second", "README.md": b"words"}


@pytest.fixture
def place(tmp_path):
    """Write an archive and unpack it."""

    def at(content, take=TAKE):
        (tmp_path / "set.zip").write_bytes(content)
        (tmp_path / "out").mkdir(exist_ok=True)
        return unpack(tmp_path / "set.zip", tmp_path / "out", take)

    return at


def written(tmp_path):
    return sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".zip")


def test_what_is_asked_for_goes_where_it_should(place, tmp_path):
    files = place(archive(GOOD))
    assert sorted(files) == written(tmp_path) == [tmp_path / "out/Set/a/1.png", tmp_path / "out/Set/b/1.png"]
    assert [file.read_bytes() for file in files] == [b"first", b"second"]


@pytest.mark.parametrize("name", ["../1.png", "images/../../../1.png", "/etc/1.png", "C:/1.png", "images\\..\\1.png"])
def test_names_that_lead_out(place, tmp_path, name):
    with pytest.raises(BrokenArchiveError, match="leads out of its folder"):
        # Whoever unpacks everything would be tricked by a file that nobody asked for.
        place(archive({f"top/{path}": b"x" for path in GOOD} | {name: b"evil"}, ""))
    assert written(tmp_path) == []


def test_links(place, tmp_path):
    link = zipfile.ZipInfo("top/images/2_A.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as opened:
        opened.writestr("top/images/1_A.png", b"first")
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(BrokenArchiveError, match="a link where an image should be"):
        place((tmp_path / "made.zip").read_bytes())
    assert written(tmp_path) == []


def damaged():
    """Change a byte of what is stored: the checksum inside the archive tells."""
    return archive(GOOD).replace(b"first", b"worst")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html>Please log in</html>", "no zip archive, or a damaged one"),
        (b"", "no zip archive, or a damaged one"),
        (archive(GOOD)[:-40], "no zip archive, or a damaged one"),
        (damaged(), "damaged one .*CRC"),
        (archive({"README.md": b"words"}), "none of the files that were looked for"),
        (archive(GOOD | {"images/more/1_A.png": b"again"}), None),
    ],
)
def test_broken_archives(place, content, told):
    if told is None:
        assert len(place(content)) == 2
        return
    with pytest.raises(BrokenArchiveError, match=told) as error:
        place(content)
    assert "\n" not in str(error.value)


def test_two_files_for_one_place(place):
    with pytest.raises(BrokenArchiveError, match=r"two files for a\.png"):
        place(archive(GOOD), ((r"images/.*", "a.png"),))


def test_too_little_room(place, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "total used free")(10, 1, 9))
    with pytest.raises(FusionLabError, match="make room") as error:
        place(archive(GOOD))
    assert not isinstance(error.value, BrokenArchiveError)
    assert written(tmp_path) == []
