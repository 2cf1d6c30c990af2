"""What every damaged file is given to, and what must come of it."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fusion_lab.cli.main import main
from fusion_lab.errors import FusionLabError
from tests.tiny import make_pairs, overlay

_MEMORY = 6 * 2**30


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Let what asks for far too much memory fail as on a machine that has not so much."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Run a command, which must work or tell one sentence; returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        argv = [str(argument) for argument in arguments]
        code = main(argv)
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        lines = [line for line in told.err.splitlines() if line.startswith("fusion-lab ")]
        assert code in (0, 1, 2)
        assert len(lines) == (code == 2), told.err
        if lines:
            assert lines[0].startswith(f"fusion-lab {argv[0]}: error: ")
            assert lines[0].endswith((".", "?")), lines[0]
            assert len(lines[0]) < 3000
            assert not any(line.startswith((" ", "\t")) for line in told.err.splitlines()), told.err
        assert code != 1 or "Not scored: " in told.err or "Not fused: " in told.err
        # Files are written under another name first.
        assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
        return code

    return run


@pytest.fixture
def sentence():
    """Call a function, which must work or raise one sentence; returns what it gives, or None."""

    def call(function, *arguments):
        try:
            return function(*arguments)
        except FusionLabError as error:
            told = str(error)
        assert "\n" not in told
        assert told.endswith((".", "?")), told
        return None

    return call


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """The folder of a finished run of one step, with its configuration."""
    folder = tmp_path_factory.mktemp("fuzz")
    threads = torch.get_num_threads()
    make_pairs(folder / "pairs", ivf=2, mff=1, mef=1)
    overlay(folder, folder / "pairs", folder / "pairs")
    assert main(["fit", "--config", str(folder / "tiny.yaml"), "--trainer.max_steps=1"]) == 0
    torch.set_num_threads(threads)
    return folder
