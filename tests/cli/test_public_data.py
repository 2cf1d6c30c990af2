"""``fusion-lab data list``, ``get`` and ``check``, against a server on this machine."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from fusion_lab.cli.main import main
from fusion_lab.public.data_sets import data_sets
from fusion_lab.public.download import MIRROR
from tests.public.loopback import archive, serving


@pytest.fixture
def server(monkeypatch):
    with serving() as server:
        monkeypatch.setenv(MIRROR, server.address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments):
    return main(["data", *map(str, arguments)])


def picture(value=90):
    buffer = io.BytesIO()
    Image.fromarray(np.full((12, 10), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def path_of(name):
    return "/" + data_sets()[name].repository.archive.partition("://")[2]


def serve_lytro(server, pairs=20):
    sides = [(number, side) for number in range(1, pairs + 1) for side in "AB"]
    files = {f"input/lytro_{n:02}/lytro_{n:02}_{side}.png": picture(n) for n, side in sides}
    server.files[path_of("lytro")] = archive(files)


def test_list(capsys):
    assert run("list") == 0
    told = capsys.readouterr().out
    for name, data_set in data_sets().items():
        row = next(line for line in told.splitlines() if f" {name} " in line)
        assert data_set.terms in row
        assert (data_set.repository is not None) == ("fetched" in row)
    assert "1,444" in next(line for line in told.splitlines() if " msrs " in line)


def test_get_by_hand(capsys, tmp_path):
    for name, data_set in data_sets().items():
        if data_set.repository is None:
            assert run("get", name, "-o", tmp_path / "data") == 0
            told = capsys.readouterr().out
            assert data_set.home in told
            for folder in data_set.folders:
                assert str(tmp_path / "data" / folder) in told
    assert list(tmp_path.iterdir()) == []


def test_get_then_check(server, capsys, tmp_path):
    serve_lytro(server)
    assert run("get", "lytro", "-o", tmp_path) == 0
    told = capsys.readouterr().out
    assert f"40 files of Lytro are in {tmp_path / 'Lytro'}" in told
    command = next(line for line in told.splitlines() if line.startswith("Then:")).split("fusion-lab data ")[1].split()
    assert run(*command) == 0
    told = capsys.readouterr().out
    assert "whole" in told
    assert "Compared 40 checksums" in told
    assert "all are the same" in told
    # The folder itself is as good as the one above.
    assert run("check", tmp_path / "Lytro", "--manifest", tmp_path / "lytro.sha256") == 0


def test_check_writes_and_compares(server, capsys, tmp_path):
    serve_lytro(server, 3)
    run("get", "lytro", "-o", tmp_path)
    manifest = tmp_path / "all.sha256"
    assert run("check", tmp_path, "--manifest", manifest) == 0
    told = capsys.readouterr().out
    assert "a part" in told
    assert "Wrote the checksums" in told
    (tmp_path / "Lytro" / "lytro-01-A.png").write_bytes(picture(200))
    for side in "AB":
        (tmp_path / "Lytro" / f"lytro-02-{side}.png").unlink()
        (tmp_path / "Lytro" / f"lytro-09-{side}.png").write_bytes(picture())
    assert run("check", tmp_path, "--as", "lytro", "--manifest", manifest) == 1
    told = capsys.readouterr().out
    assert "5 differ" in told
    for line in ("changed: Lytro/lytro-01-A.png", "missing: Lytro/lytro-02-B.png", "not listed: Lytro/lytro-09-A.png"):
        assert f"all.sha256: {line}" in told


def test_check_tells_what_is_wrong(server, capsys, tmp_path):
    serve_lytro(server, 9)
    run("get", "lytro", "-o", tmp_path)
    capsys.readouterr()
    for number in range(1, 8):
        (tmp_path / "Lytro" / f"lytro-{number:02}-A.png").write_bytes(b"no image")
    (tmp_path / "Lytro" / "lytro-09-B.png").unlink()
    assert run("check", tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("Lytro: ")]
    assert "lytro-09-A.png" in told[0]
    assert "not an image" in told[1]
    assert told[-1] == "Lytro: and 3 more"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["get", "nothing"], "no data set 'nothing'"),
        (["get"], "name"),
        (["check", "absent"], "absent does not exist"),
        (["check", ".", "--as", "nothing"], "no data set 'nothing'"),
        ([], "list,get,check"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_server_without_the_set(server, capsys, tmp_path):
    assert run("get", "tno", "-o", tmp_path) == 2
    assert "404" in capsys.readouterr().err


@pytest.mark.shared
def test_real_files_of_a_pinned_set_are_known(server, shared, capsys, tmp_path):
    """The pairs of RoadScene that are at hand, as their repository has them."""
    folder = shared / "data" / "roadscene"
    files = {
        side["source_path"].split("/", 1)[1].removeprefix("RoadScene/"): (folder / side["file"]).read_bytes()
        for split in json.loads((folder / "manifest.json").read_text())["splits"].values()
        for pair in split
        for side in (pair["a"], pair["b"])
    }
    server.files[path_of("roadscene")] = archive(files)
    assert run("get", "roadscene", "-o", tmp_path) == 0
    assert run("check", tmp_path, "--manifest", tmp_path / "roadscene.sha256") == 0
    told = capsys.readouterr().out
    assert "181" in told
    assert "a part" in told


@pytest.mark.shared
def test_a_collection_is_recognised(shared, capsys):
    """The sums of ``sha256sum`` are compared as they are; a part of a set is no mistake."""
    folder = shared / "data"
    assert run("check", folder, "--as", "harvard", "--manifest", folder / "CHECKSUMS.sha256") == 0
    told = capsys.readouterr().out
    for words in ("test 24, train 160", "269", "a part", "whole", "all are the same"):
        assert words in told
    assert run("check", folder / "vifb") == 0
    assert "whole" in capsys.readouterr().out
