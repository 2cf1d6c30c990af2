import shutil
import subprocess

import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.files import sha256
from fusion_lab.public.manifest import differences, digest, read_manifest, write_manifest


@pytest.fixture
def files(tmp_path):
    (tmp_path / "of two").mkdir()
    for name in ("of two/b.png", "a.png"):
        (tmp_path / name).write_text(name)
    return {name: sha256(tmp_path / name) for name in ("of two/b.png", "a.png")}


def test_what_is_written_is_read_and_sha256sum_understands_it(files, tmp_path):
    write_manifest(tmp_path / "all.sha256", files, "two files")
    assert read_manifest(tmp_path / "all.sha256") == files
    if shutil.which("sha256sum"):
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "all.sha256"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("OK") == 2


def test_lists_of_others(tmp_path):
    (tmp_path / "list").write_text(f"# words\n\n{'AB' * 32} *./a.png\n{'cd' * 32}  b c.png\n")
    assert read_manifest(tmp_path / "list") == {"a.png": "ab" * 32, "b c.png": "cd" * 32}


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"no list", "Line 1 .*no checksum"), (b"\xff\xfe\x00", "no text"), (None, "cannot be read")],
)
def test_something_else(tmp_path, content, told):
    if content is not None:
        (tmp_path / "list").write_bytes(content)
    with pytest.raises(FusionLabError, match=told):
        read_manifest(tmp_path / "list")


def test_the_digest_tells_content_and_paths_but_no_order(files):
    assert digest(files) == digest(dict(reversed(files.items())))
    assert digest(files) != digest({**files, "a.png": "0" * 64})
    assert digest(files) != digest({path.upper(): value for path, value in files.items()})


def test_differences():
    before = {"same": "1", "other": "1", "gone": "1"}
    now = {"same": "1", "other": "2", "new": "1"}
    assert differences(before, now) == ["missing: gone", "not listed: new", "changed: other"]
