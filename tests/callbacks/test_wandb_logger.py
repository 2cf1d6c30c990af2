"""What W&B is told, read back from what it writes offline."""

import json
import os
import struct
import subprocess
import sys

import pytest
import wandb
import yaml
from wandb.proto.wandb_internal_pb2 import Record

from fusion_lab.callbacks import RunLogger
from fusion_lab.errors import FusionLabError
from tests.tiny import REPOSITORY, make_pairs, overlay

BLOCK, HEADER = 32768, 7


def records(file):
    """Read a run as W&B writes it: a log of LevelDB, with records in blocks of 32 KiB, after 7 bytes of its own.

    The last record may be half written.
    """
    content, place, parts = file.read_bytes(), HEADER, []
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        place += HEADER
        if place + length > len(content):
            return
        parts.append(content[place : place + length])
        place += length
        # 1 is a whole record, 4 the last part of one.
        if kind in (1, 4):
            yield Record.FromString(b"".join(parts))
            parts = []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of an offline run, and what the command said."""
    folder = tmp_path_factory.mktemp("wandb")
    make_pairs(folder / "train", ivf=2, mff=1, mef=1)
    make_pairs(folder / "val", ivf=1, mff=1, mef=1)
    exp = {"name": "tiny", "output": str(folder / "runs"), "switches": {"TI": True, "MO": False}}
    config = overlay(folder, folder / "train", folder / "val", exp=exp)
    layers = [REPOSITORY / "configs" / name for name in ("logger/wandb.yaml", "callbacks/gradient_conflict.yaml")]
    own = folder / "own.yaml"
    own.write_text(yaml.safe_dump({"trainer": {"max_steps": 2}}))
    hidden = {"WANDB_API_KEY", "WANDB_MODE", "WANDB_RUN_ID"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "1", "WANDB_RUN_GROUP": "a group", "WANDB_SILENT": "true"}
    command = [sys.executable, "-m", "fusion_lab.cli.main", "fit"]
    for file in (config, *layers, own):
        command += ["--config", str(file)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "tiny", done.stdout + done.stderr


@pytest.fixture(scope="module")
def told(run):
    [file] = (run[0] / "wandb").glob("offline-run-*/run-*.wandb")
    return list(records(file))


def test_one_line_says_that_it_is_offline(run):
    assert run[1].count("W&B works offline, as nobody has logged in") == 1


def test_run_has_its_id_group_tags_and_whole_configuration(run, told):
    [header] = [record.run for record in told if record.HasField("run")]
    assert header.run_id == (run[0] / "wandb_id").read_text().strip()
    assert header.run_group == "a group"
    assert list(header.tags) == ["TI", "no MO"]
    assert header.project == "fusion_lab"
    config = {}
    for record in told:
        for item in (*record.config.update, *record.run.config.update):
            config[item.key or item.nested_key[0]] = json.loads(item.value_json)
    assert {"model", "data", "trainer", "exp", "seed_everything"} <= config.keys()


def test_numbers_pictures_and_directions_are_there(told):
    # Pictures have several numbers below their name.
    keys = {item.key or item.nested_key[0] for record in told for item in record.history.item}
    assert {"train/loss", "train/ivf/loss", "weighting/weight/mff", "val/ivf/EN", "val/loss"} <= keys
    assert {"conflict", "val/ivf/fused"} <= keys
    metrics = {record.metric.name: record.metric for record in told if record.HasField("metric")}
    assert metrics["val/ivf/EN"].summary.max
    assert metrics["val/loss"].summary.min


@pytest.mark.parametrize("login", ["environment", "file", "none"])
def test_login_is_found_where_wandb_looks(tmp_path, monkeypatch, login):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(file))
    if login == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    elif login == "file":
        file.write_text(f"machine api.wandb.ai\n  login user\n  password {'x' * 40}\n")
        file.chmod(0o600)
    assert RunLogger(save_dir=tmp_path)._offline is (login == "none")
    assert RunLogger(save_dir=tmp_path, offline=True)._offline


def test_the_login_of_a_server_with_a_port_is_found(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://localhost:8080")
    assert RunLogger(save_dir=tmp_path)._offline
    (tmp_path / "netrc").write_text(f"machine localhost:8080\n  login user\n  password {'x' * 40}\n")
    assert not RunLogger(save_dir=tmp_path)._offline


def test_a_server_that_takes_no_run_is_told_in_a_sentence(tmp_path, monkeypatch):
    def refuse(**_):
        raise wandb.errors.CommError("permission denied\n")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(FusionLabError, match=r"W&B takes no run \(permission denied\): check WANDB_BASE_URL"):
        RunLogger(save_dir=tmp_path, offline=False).log_hyperparams({"exp": {"seed": 1}})


def test_two_runs_of_one_process_are_two_runs(tmp_path):
    make_pairs(tmp_path / "train", ivf=1, mff=1, mef=1)
    config = overlay(tmp_path, tmp_path / "train", tmp_path / "train", exp={"output": str(tmp_path / "runs")})
    files = [str(config), str(REPOSITORY / "configs" / "logger" / "wandb.yaml")]
    script = (
        "import fusion_lab\n"
        "for name in ('one', 'two'):\n"
        f"    fusion_lab.Run.load({files!r}, {{'exp.name': name, 'trainer.max_steps': 1}}).fit()\n"
    )
    hidden = {"WANDB_API_KEY", "WANDB_RUN_ID"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, timeout=200, check=True)
    for name in ("one", "two"):
        run = tmp_path / "runs" / name
        [file] = (run / "wandb").glob("offline-run-*/run-*.wandb")
        told = list(records(file))
        [header] = [record.run for record in told if record.HasField("run")]
        assert (header.display_name, header.run_id) == (name, (run / "wandb_id").read_text().strip())
        assert sum(record.HasField("history") for record in told) > 0
