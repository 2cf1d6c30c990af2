"""The benchmarks stand beside the package: they use its names, and what they compare with computes the same."""

import subprocess
import sys

import pytest
import torch

from fusion_lab.networks import TITA, GIFNet
from tests.tiny import REPOSITORY

FOLDER = REPOSITORY / "benchmarks"


@pytest.mark.parametrize("network", [TITA, GIFNet])
def test_the_plain_networks_compute_what_ours_do(network, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import plain_networks

    ours = network().eval()
    a, b = torch.rand(2, 1, 1, 24, 32).unbind()
    with torch.inference_mode():
        plain = getattr(plain_networks, network.__name__.lower())(ours, a, b)
        torch.testing.assert_close(plain, ours(a, b), rtol=0, atol=2e-5)


def test_every_benchmark_finds_what_it_imports():
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert "speed" in names
    command = [sys.executable, "-c", f"import {', '.join(names)}"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
