"""Two processes with a batch of one train as one process with a batch of two."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fusion_lab.networks import TITA
from tests.tiny import NETWORK, TASKS, make_pairs

SCRIPT = Path(__file__).with_name("ranks.py")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What one process tells, and each of two."""
    folder = tmp_path_factory.mktemp("ranks")
    make_pairs(folder / "train", ivf=6, mff=3, mef=4)
    # Five pairs: one rank has one more, and only one of them sees the tasks of a single pair.
    make_pairs(folder / "val", ivf=3, mff=1, mef=1)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for ranks in (1, 2):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(folder), str(ranks)],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=140, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    told = [torch.load(folder / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1")]
    for one, ranks in zip(told, ("1", "2"), strict=False):
        with (folder / ranks / "metrics.csv").open(newline="") as file:
            one["table"] = list(csv.DictReader(file))
    return told


def test_ranks_see_together_what_one_process_sees(told):
    single, *ranks = ([[sample[:-1] for sample in batch] for batch in one["names"]] for one in told)
    assert len(single) == 10
    together = [[a + b for a, b in zip(*batches, strict=True)] for batches in zip(*ranks, strict=True)]
    assert together == single


def test_ranks_are_equal(told):
    _, first, second = told
    assert first["state"].keys() == second["state"].keys()
    assert all(torch.equal(second["state"][name], tensor) for name, tensor in first["state"].items())


def test_ranks_train_as_one_process(told):
    single, first, _ = told
    logits = single["state"]["weighting.logits"]
    assert logits.abs().min() > 1e-3
    torch.testing.assert_close(first["state"]["weighting.logits"], logits, rtol=0, atol=1e-9)
    torch.testing.assert_close(first["state"], single["state"], rtol=0, atol=1e-9)


def test_means_of_validation_are_those_of_all_pairs(told):
    single, first, second = told
    names = {f"val/{task}/{name}" for task in TASKS for name in ("loss", "EN")} | {"val/loss"}
    names |= {f"operation_weights/{task}/{s}/{name}" for task in TASKS for s in "ab" for name in ("HPF", "ADD", "MUL")}
    assert set(first["tested"]) == set(second["tested"]) == names
    assert names < set(first["logged"])
    for name in names:
        assert first["tested"][name] == second["tested"][name]
        assert first["tested"][name] == pytest.approx(single["tested"][name], rel=1e-9)
        assert first["logged"][name].item() == pytest.approx(single["logged"][name].item(), rel=1e-9)


def test_logged_training_losses_are_means_over_ranks(told):
    single, first, second = told
    for task in TASKS:
        name = f"train/{task}/loss"
        assert first["logged"][name] == second["logged"][name]
        torch.testing.assert_close(first["logged"][name], single["logged"][name], rtol=1e-9, atol=0)


def test_conflict_is_that_of_the_global_batch(told):
    tables = [
        {
            (row["step"], name): float(row[name])
            for row in one["table"]
            for name in row
            if "conflict/" in name and row[name]
        }
        for one in told[:2]
    ]
    parts = ["all", *TITA(**NETWORK).parts()]
    assert {step for step, _ in tables[0]} == {"0", "5"}
    # Two steps, two numbers for each of three pairs of tasks.
    assert len(tables[0]) == 2 * 2 * 3 * len(parts)
    assert tables[1] == pytest.approx(tables[0], rel=1e-6, abs=1e-9)


def test_running_statistics_of_validation_are_those_of_the_first_rank(told):
    _, first, second = (one["normalised"] for one in told)
    assert first["mean"].abs().max() > 0
    assert torch.equal(first["mean"], second["mean"])
    assert first["loss"] == second["loss"]


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_bad_batch_of_one_rank_is_left_out_by_all(told, accumulated):
    single, first, second = (one["skipping"][accumulated - 1] for one in told)
    assert single["moved"] == first["moved"] == second["moved"]
    assert any(single["moved"])
    assert not all(single["moved"][accumulated - 1 :: accumulated])
    assert all(tensor.isfinite().all() for tensor in single["state"].values())
    assert all(torch.equal(second["state"][name], tensor) for name, tensor in first["state"].items())
    torch.testing.assert_close(first["state"], single["state"], rtol=0, atol=1e-9)


def test_gradients_of_the_tasks_are_combined_as_in_one_process(told):
    """Over two ranks and two batches a step, by PCGrad."""
    single, first, second = (one["combined"] for one in told)
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())
    torch.testing.assert_close(first, single, rtol=0, atol=1e-9)
