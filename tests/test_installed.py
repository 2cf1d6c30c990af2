"""The package as others install it: from a wheel, used in an empty folder where there is no clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PROGRAM = """
import fusion_lab, pathlib
home = pathlib.Path(fusion_lab.__file__).parents[1]
run = fusion_lab.Run.load("tita/embedded", {"model.network.embed_dim": 12})
print(home.name, run.folder.as_posix(), run.config["trainer"]["max_steps"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of what git knows and what lies beside it, made without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("the tests do not run in a clone")
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("fusion_lab/", "configs", "experiments")) or "/" not in name:
            path = REPOSITORY / name
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                target.symlink_to(path.readlink())
            elif path.is_file():
                target.write_bytes(path.read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(source)], check=True, timeout=200
    )
    [made] = folder.glob("*.whl")
    return made


def test_an_installed_wheel_works_in_an_empty_folder(wheel, tmp_path):
    target, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=empty, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "site runs/tita-embedded 20000"


def test_the_wheel_holds_every_configuration(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name.removeprefix("fusion_lab/") for name in archive.namelist()}
    for kind in ("configs", "experiments"):
        wanted = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / kind).rglob("*.yaml")}
        assert wanted
        assert wanted <= inside
    assert sum(name.endswith(".webp") for name in inside) == 56
    assert not {name.partition("/")[0] for name in inside} & {"tools", "examples", "tests"}
