"""Runs that are killed at any time go on to the end of an uninterrupted one, bit by bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.tiny import make_pairs, overlay

SCRIPT = Path(__file__).with_name("killed.py")
KILLS = int(os.environ.get("FUSION_LAB_KILLS", "3"))
STEPS = 15
TRAINER = {
    "accelerator": "cpu",
    "max_steps": STEPS,
    "log_every_n_steps": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of an uninterrupted run and of killed ones."""
    folder = tmp_path_factory.mktemp("survival")
    make_pairs(folder / "train", ivf=5, mff=2, mef=3)
    make_pairs(folder / "val", ivf=1, mff=1, mef=1)
    config = overlay(folder, folder / "train", folder / "val", trainer=TRAINER)
    written = yaml.safe_load(config.read_text())
    # Every second step a checkpoint, validation every five steps.
    base = yaml.safe_load((Path(__file__).parents[2] / "configs" / "trainer" / "default.yaml").read_text())
    for callback in base["trainer"]["callbacks"]:
        if callback["class_path"].endswith(".Checkpoints"):
            callback["init_args"]["every_n_train_steps"] = 2
    written["trainer"]["callbacks"] = base["trainer"]["callbacks"]
    config.write_text(yaml.safe_dump(written))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(config), str(folder), str(KILLS), "0"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60 + 60 * KILLS, check=False,
    )  # fmt: skip
    logs = "".join(path.read_text() for path in folder.glob("*.log"))
    assert done.returncode == 0, done.stderr + done.stdout + logs
    print(done.stdout)
    return [folder / name / "tiny" for name in ("whole", *(f"killed{number}" for number in range(KILLS)))]


def load(run):
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    # Folders differ.
    del stored["callbacks"]
    return stored


def assert_same(one, other, place=""):
    assert type(one) is type(other), place
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_same(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for number, (x, y) in enumerate(zip(one, other, strict=True)):
            assert_same(x, y, f"{place}/{number}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), place
    else:
        assert one == other, place


@pytest.mark.timeout(60 + 60 * KILLS)
def test_weights_moments_averages_and_places_are_those_of_an_uninterrupted_run(runs):
    whole, *killed = map(load, runs)
    assert whole["global_step"] == STEPS
    assert whole["state_dict"]["weighting.logits"].abs().min() > 0
    for one in killed:
        assert_same(one, whole)


def test_history_is_that_of_an_uninterrupted_run(runs):
    whole, *killed = ((run / "log" / "metrics.csv").read_text() for run in runs)
    # A row a step, and one for each of the epochs of five steps.
    assert len(whole.splitlines()) == 1 + STEPS + STEPS // 5
    for one in killed:
        assert one == whole


def test_results_are_those_of_an_uninterrupted_run(runs):
    whole, *killed = (json.loads((run / "result.json").read_text()) for run in runs)
    assert "val/ivf/EN" in whole["metrics"]
    for one in killed:
        assert one == whole


def test_nothing_half_written_is_left(runs):
    for run in runs:
        names = {path.name for path in (run / "checkpoints").iterdir()}
        assert names == {"last.ckpt", "best.ckpt", *(f"step={step}.ckpt" for step in (10, 12, 14))}
