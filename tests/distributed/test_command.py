"""``fusion-lab fit`` on two processes: the whole of the default configuration."""

import csv
import os
import subprocess
import sys

import pytest
import torch

from tests.tiny import make_pairs, overlay

STEPS = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    make_pairs(folder / "train", ivf=6, mff=3, mef=4)
    make_pairs(folder / "val", ivf=1, mff=1, mef=1)
    config = overlay(folder, folder / "train", folder / "val")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    # A single pair to validate on: the second process has none.
    nothing = ["--data.init_args.val.mff=[]", "--data.init_args.val.mef=[]"]
    options = [*nothing, "--trainer.devices=2", f"--trainer.max_steps={STEPS}", "--exp.auto_resume=true"]
    command = [sys.executable, "-m", "fusion_lab.cli.main", "fit", "--config", str(config), *options]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "tiny"


def test_averages_checkpoints_and_history_are_those_of_one_run(run):
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["global_step"] == STEPS
    assert stored["averaging_state"]
    with (run / "log" / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    assert [int(row["step"]) for row in rows] == list(range(STEPS))


def test_nothing_is_written_twice(run):
    assert {path.name for path in run.iterdir()} == {
        "checkpoints", "config.yaml", "data.sha256", "environment.json", "log", "pictures", "result.json",
    }  # fmt: skip
    assert {path.name for path in (run / "log").iterdir()} == {"metrics.csv"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
