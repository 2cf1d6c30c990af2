"""``fusion-lab weights list`` and ``get``, against a server on this machine."""

import numpy as np
import pytest
from safetensors import safe_open

from fusion_lab.cli.main import main
from fusion_lab.data.images import read_picture
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.image_files import fuse_files
from fusion_lab.inference.weights import load_network
from fusion_lab.public.download import MIRROR
from fusion_lab.public.weights import PUBLIC_WEIGHTS, cached_weights
from tests.public.loopback import archive, serving

NAME = "gifnet-official"
PATH = "/" + PUBLIC_WEIGHTS[NAME].repository.archive.partition("://")[2]


@pytest.fixture
def server(monkeypatch, tmp_path):
    with serving() as server:
        monkeypatch.setenv(MIRROR, server.address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")


def run(*arguments):
    return main(["weights", *map(str, arguments)])


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_list(capsys):
    assert run("list") == 0
    rows = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith("│ ")}
    assert "361,906" in rows["tita"]
    assert "shipped" in rows["gifnet"]
    assert f"weights get {NAME}" in rows[NAME]
    assert "AWCXV/GIFNet" in rows[NAME]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["get", "tita"], "no public weights 'tita'"),
        (["get", NAME, "-o", "weights.pth"], "should end in .safetensors"),
        (["get", NAME], "404"),
    ],
)
def test_mistakes_leave_nothing(server, arguments, told, capsys, tmp_path):
    assert run(*arguments) == 2
    assert told in capsys.readouterr().err
    assert files(tmp_path) == []


@pytest.mark.parametrize("content", [archive({"model/Final.model": b"other"}), b"no archive"])
def test_other_weights_leave_nothing(server, content, capsys, tmp_path):
    server.files[PATH] = content
    assert run("get", NAME) == 2
    assert run("get", NAME, "-o", tmp_path / "out.safetensors") == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert files(tmp_path) == []


@pytest.mark.shared
def test_official_weights_fuse_as_the_release_does(server, shared, capsys, tmp_path):
    golden = shared / "golden" / "gifnet"
    server.files[PATH] = archive({"model/Final.model": (golden / "Final.model").read_bytes()})
    server.cut = "length"
    assert run("get", NAME) == 2
    assert files(tmp_path) == []
    server.cut = None
    assert run("get", NAME) == 0
    assert files(tmp_path) == [cached_weights(NAME)]
    with safe_open(cached_weights(NAME), "pt") as stored:
        numbers = sum(stored.get_tensor(key).numel() for key in stored.keys())  # noqa: SIM118
    assert numbers == PUBLIC_WEIGHTS[NAME].parameters

    sources = [golden / "inputs" / "ivif" / role / "1.png" for role in ("vis", "ir")]
    fuse_files(*sources, tmp_path / "fused.png", Fuser(load_network(cached_weights(NAME))))
    ours, official = (
        read_picture(path).pixels.astype(int)
        for path in (tmp_path / "fused.png", golden / "official_png" / "ivif" / "1.png")
    )
    assert np.abs(ours - official).max() <= 1
    capsys.readouterr()
    assert run("list") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if NAME in line)
    assert "fetched" in row
