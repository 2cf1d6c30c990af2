"""Alternating branches on two processes are those of one process."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.tiny import make_pairs

SCRIPT = Path(__file__).with_name("alternating.py")
MM, DP = "multi_modal", "digital_photography"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alternating")
    make_pairs(folder / "pairs", ivf=4, mff=4)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for ranks in (1, 2):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(folder), str(ranks)],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=140, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1")]


def test_ranks_stay_equal_and_train_as_one_process(told):
    single, first, second = (one["seen"] for one in told)
    assert [phase for phase, _ in single] == [MM, DP] * 5
    for (phase, expected), (phase_one, one), (phase_two, two) in zip(single, first, second, strict=True):
        assert phase == phase_one == phase_two
        assert all(torch.equal(two[name], tensor) for name, tensor in one.items())
        torch.testing.assert_close(one, expected, rtol=0, atol=1e-9)


def test_what_is_frozen_keeps_its_bits_on_every_rank(told):
    frozen = {MM: (f"{DP}.",), DP: (f"{MM}.", "decoder.")}
    for states in (one["seen"] for one in told):
        for (_, before), (phase, after) in pairwise(states):
            kept = {name for name, tensor in after.items() if torch.equal(tensor, before[name])}
            still = {name for name in after if name.startswith(frozen[phase])}
            assert still <= kept
            # What is left is what the other phase alone uses, and biases without gradient.
            moved = {name.split(".")[0] for name in set(after) - kept}
            assert {"encoder", "gate", phase} <= moved


def test_nothing_is_sent_but_the_gradients_of_what_is_trained(told):
    """And the loss of the phase's task: neither frozen parameters nor tables."""
    _, first, second = told
    for one in (first, second):
        assert sum(one["sent"]) == one["trained"] + 1
    frozen = sum(tensor.numel() for name, tensor in first["seen"][-1][1].items() if name.startswith(f"{MM}."))
    assert first["trained"] + frozen <= sum(tensor.numel() for tensor in first["seen"][-1][1].values())
