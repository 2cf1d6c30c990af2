"""Runs as a server of W&B sees them: OpenWandb on this machine, which speaks its protocol."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
import torch
import yaml
from PIL import Image

pytest.importorskip("openwandb", reason="openwandb is not installed, a server that speaks W&B's protocol")

from tests.callbacks.test_wandb_logger import records
from tests.tiny import REPOSITORY, make_pairs, overlay

pytestmark = pytest.mark.timeout(1000)
HISTORY = "wandb-history.jsonl"
LIMIT = 400
"""Seconds after which something hangs; on a busy machine a run needs more than one to begin."""


def wait_for(ready, process=None):
    """Wait until something is true, for which a process, where one is named, must run."""
    end = time.monotonic() + LIMIT
    while not (found := ready()):
        assert process is None or process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def kill(process):
    """Kill a process, and wait until those that it had started have gone too: they write on for a while."""
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(started, LIMIT)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def environment(folder):
    """What a user sets to log to a server of their own, which runs as long as the tests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hidden = {"WANDB_MODE", "WANDB_RUN_ID", "WANDB_RUN_GROUP"}
    variables = {key: value for key, value in os.environ.items() if key not in hidden} | {
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "WANDB_BASE_URL": f"http://127.0.0.1:{port}",
        "WANDB_API_KEY": "local" + "0" * 35,
        "WANDB_SILENT": "true",
        "WANDB_INIT_TIMEOUT": str(LIMIT),
    }
    command = ["-m", "openwandb", "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", "data"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([sys.executable, *command], cwd=folder, env=variables, stdout=log, stderr=log)

    def answers():
        try:
            return urlopen(variables["WANDB_BASE_URL"], timeout=5)
        except OSError:
            return False

    try:
        wait_for(answers, server).close()
        yield variables
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def fit(folder):
    """The command of a training that saves and draws after every step."""
    make_pairs(folder / "train", ivf=2)
    make_pairs(folder / "val", ivf=1)
    exp = {"name": "tiny", "output": str(folder / "runs"), "switches": {"TI": True, "MO": False}, "auto_resume": True}
    config = overlay(folder, folder / "train", folder / "val", exp=exp)
    own = yaml.safe_load(config.read_text())
    for split in ("train", "val", "test", "predict"):
        own["data"]["init_args"][split] = {
            "ivf": own["data"]["init_args"][split]["ivf"], "mff": [], "mef": [],
        }  # fmt: skip
    base = yaml.safe_load((REPOSITORY / "configs/trainer/default.yaml").read_text())["trainer"]
    for callback in base["callbacks"]:
        if callback["class_path"].endswith(".Checkpoints"):
            callback["init_args"]["every_n_train_steps"] = 1
    own["trainer"] |= {"val_check_interval": 1, "max_steps": 1000, "callbacks": base["callbacks"]}
    config.write_text(yaml.safe_dump(own, sort_keys=False))
    command = [sys.executable, "-m", "fusion_lab.cli.main", "fit"]
    return [*command, "--config", str(config), "--config", str(REPOSITORY / "configs/logger/wandb.yaml")]


def validations(run):
    """The validations of an offline run that W&B has written."""
    files = (run / "wandb").glob("offline-run-*/run-*.wandb")
    rows = [record.history for file in files for record in records(file) if record.HasField("history")]
    return [row for row in rows if any("val/loss" in (item.key, *item.nested_key) for item in row.item)]


def seen(folder, state, count):
    """The only run of the server and the rows of its history, once it has that state and so many validations."""

    def told():
        with sqlite3.connect(folder / "data" / "openwandb.db") as database:
            database.row_factory = sqlite3.Row
            runs = database.execute("select * from runs").fetchall()
        files = [file for run in runs for file in (folder / "data" / "files").rglob(f"{run['run_id']}/{HISTORY}")]
        if len(files) != 1 or (state is not None and runs[0]["state"] != state):
            return None
        # The last line may be half written.
        rows = [json.loads(line) for line in files[0].read_text().split("\n")[:-1]]
        return (dict(runs[0]), rows) if len(steps(rows, "val/loss")) >= count else None

    return wait_for(told)


def steps(rows, name):
    return [row["trainer/global_step"] for row in rows if name in row]


def test_a_killed_offline_run_is_synced_and_goes_on_online_under_its_id(folder, fit, environment):
    offline = environment | {"WANDB_MODE": "offline", "WANDB_RUN_GROUP": "a group"}
    run = folder / "runs" / "tiny"
    last = run / "checkpoints" / "last.ckpt"
    with (folder / "fit.log").open("w") as log:
        process = subprocess.Popen(fit, cwd=folder, env=offline, stderr=log, stdout=log)
    try:
        # W&B keeps what is told for some seconds before it writes it.
        wait_for(lambda: len(validations(run)) > 1 and last.exists(), process)
    finally:
        kill(process)
    [file] = (run / "wandb").glob("offline-run-*/run-*.wandb")
    [header] = [record.run for record in records(file) if record.HasField("run")]
    assert header.run_group == "a group"

    wandb = [sys.executable, "-m", "wandb", "sync", str(file.parent)]
    done = subprocess.run(
        wandb, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    synced, rows = seen(folder, None, 2)
    assert synced["run_id"] == (run / "wandb_id").read_text().strip()
    assert json.loads(synced["tags_json"]) == ["TI", "no MO"]
    before = steps(rows, "val/loss")

    done_before = torch.load(last, weights_only=True, map_location="cpu")["global_step"]
    done = subprocess.run(
        [*fit, f"--trainer.max_steps={done_before + 1}"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # The synced run had ended as well: the server has to have the row of the step made since.
    went_on, rows = seen(folder, "finished", len(before) + 1)
    assert went_on["run_id"] == synced["run_id"]
    assert {"model", "data", "trainer", "exp"} <= json.loads(went_on["config_json"]).keys()
    assert {*before, done_before} <= set(steps(rows, "val/loss"))
    images = sorted((folder / "data" / "files").rglob("media/images/val/ivf/*.png"))
    assert images
    assert np.asarray(Image.open(images[-1])).ndim == 3
