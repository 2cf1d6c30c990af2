import dataclasses
import hashlib
import tempfile

import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.files import working_folder
from fusion_lab.public.data_sets import Part, PublicDataSet
from fusion_lab.public.fetching import fetch_data_set
from fusion_lab.public.manifest import read_manifest
from fusion_lab.public.repository import Repository
from tests.public.loopback import archive

FILES = {"pictures/vi/1.png": b"visible", "pictures/ir/1.png": b"infrared", "README.md": b"words"}
SUMS = {
    "Few/vi/1.png": hashlib.sha256(b"visible").hexdigest(),
    "Few/ir/1.png": hashlib.sha256(b"infrared").hexdigest(),
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATH = f"/github.com/owner/few/archive/{COMMIT}.zip"
FEW = PublicDataSet(
    name="few",
    title="Few",
    parts=(Part("ivf", "test", "Few", "vi", "ir", 1),),
    terms="none",
    home="https://github.com/owner/few",
    configs=("few",),
    tasks=("ivf",),
    repository=Repository(
        "owner/few", COMMIT, ((r"pictures/((?:vi|ir)/[^/]+)", r"Few/\1"),), {"Few/vi/1.png": SUMS["Few/vi/1.png"]}
    ),
)


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


DONE = ["Few/ir/1.png", "Few/vi/1.png", "downloads/owner-few-01234567.zip", "few.sha256"]


@pytest.fixture
def server(server):
    server.files[PATH] = archive(FILES)
    return server


def test_a_set_is_fetched_and_recorded(server, tmp_path):
    fetched = fetch_data_set(FEW, tmp_path / "data")
    assert listing(tmp_path / "data") == DONE
    assert (fetched.files, fetched.compared) == (2, False)
    assert fetched.folder == tmp_path / "data" / "Few"
    assert read_manifest(fetched.manifest) == SUMS
    assert f"owner/few at {COMMIT}" in fetched.manifest.read_text().splitlines()[0]
    assert (tmp_path / "data/Few").stat().st_mode & 0o777 == (tmp_path / "data").stat().st_mode & 0o777


def test_a_set_that_is_there_is_left_alone(server, tmp_path):
    (tmp_path / "Few").mkdir()
    (tmp_path / "Few" / "mine.png").write_bytes(b"mine")
    with pytest.raises(FusionLabError, match="is there already"):
        fetch_data_set(FEW, tmp_path)
    assert listing(tmp_path) == ["Few/mine.png"]
    assert server.asked == []
    (tmp_path / "Few" / "mine.png").unlink()
    fetch_data_set(FEW, tmp_path)
    assert listing(tmp_path) == DONE


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (archive(FILES | {"pictures/vi/1.png": b"other"}), r"not the Few that is known: Few/vi/1\.png has the SHA-256"),
        (archive({"pictures/ir/1.png": b"infrared"}), r"Few/vi/1\.png is missing"),
        (b"<html>Please log in</html>", "no zip archive"),
        (archive(FILES | {"../../x.png": b"evil"}), "leads out"),
    ],
)
def test_a_wrong_archive_leaves_nothing(server, tmp_path, content, told):
    good, server.files[PATH] = server.files[PATH], content
    with pytest.raises(FusionLabError, match=told) as error:
        fetch_data_set(FEW, tmp_path)
    assert "\n" not in str(error.value)
    assert listing(tmp_path) == []
    # Not even in the way of the next time.
    server.files[PATH] = good
    fetch_data_set(FEW, tmp_path)
    assert listing(tmp_path) == DONE


def test_a_cut_download_starts_over(server, tmp_path):
    server.cut = "length"
    with pytest.raises(FusionLabError, match="the connection was cut"):
        fetch_data_set(FEW, tmp_path)
    assert listing(tmp_path) == []
    server.cut = None
    fetch_data_set(FEW, tmp_path)
    assert listing(tmp_path) == DONE


def newest():
    return dataclasses.replace(FEW, repository=dataclasses.replace(FEW.repository, commit=None, known={}))


def test_the_newest_state_is_compared_with_what_was_recorded(server, tmp_path):
    path = "/github.com/owner/few/archive/HEAD.zip"
    server.files[path] = archive(FILES)
    first = fetch_data_set(newest(), tmp_path)
    assert "at its newest state" in first.manifest.read_text()

    def forget():
        for file in (*first.folder.rglob("*.png"), first.archive):
            file.unlink()
        for folder in (first.folder / "vi", first.folder / "ir"):
            folder.rmdir()

    forget()
    assert fetch_data_set(newest(), tmp_path).compared
    forget()
    server.files[path] = archive(FILES | {"pictures/ir/1.png": b"other"})
    with pytest.raises(FusionLabError, match=r"few\.sha256 has recorded \(changed: Few/ir/1\.png\)"):
        fetch_data_set(newest(), tmp_path)
    assert "Few/ir/1.png" not in listing(tmp_path)
    first.manifest.unlink()
    assert not fetch_data_set(newest(), tmp_path).compared


def test_a_set_without_a_repository(tmp_path):
    with pytest.raises(FusionLabError, match="only be got by hand"):
        fetch_data_set(dataclasses.replace(FEW, repository=None), tmp_path)


def test_a_folder_to_work_in(tmp_path, monkeypatch):
    def interrupted():
        with working_folder(tmp_path / "new", "set") as folder:
            (folder / "file").write_bytes(b"some")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list((tmp_path / "new").iterdir()) == []

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(FusionLabError, match="Permission denied"), working_folder(tmp_path, "set"):
        pass
