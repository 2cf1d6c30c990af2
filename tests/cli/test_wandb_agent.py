"""``wandb sweep`` and ``wandb agent`` themselves, whose trials are ``fusion-lab fit``."""

import itertools
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.sweep_server import ENTITY, SweepServer, Trial
from tests.tiny import NETWORK, REPOSITORY, overlay

pytestmark = pytest.mark.timeout(1000)
LIMIT = 500
PATCH = 48
GRID = {
    "config.attention": {"values": [f"experiments/tita/attention/{name}.yaml" for name in ("ipa", "none")]},
    "exp.seed": {"values": [3]},
}
PATCHES = "data.init_args.augmentation.init_args.patch"
ENDLESS = "--trainer.max_steps=100000"


def ends_early(trial: Trial):
    """Let the drawn trials end: the first by its agent's SIGTERM, the second by the run's own SIGINT."""
    if "exp.ema_decay" not in trial.values or sum("val/loss" in row for row in trial.history) < 2:
        return None
    return "agent" if trial.name.endswith("run0") else "run"


@dataclass
class Done:
    """What a sweep came to: what its agent said, its trials, and where they wrote."""

    told: str
    trials: list[Trial]
    runs: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A clone as the sweep files see it, with a network and data that take no time."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "experiments"):
        (folder / name).symlink_to(REPOSITORY / name)
    for split, role in itertools.product(("train", "val"), "ab"):
        path = folder / split / "ivf" / role / "noise.png"
        path.parent.mkdir(parents=True)
        Image.effect_noise((PATCH, PATCH), 60).save(path)
    own = yaml.safe_load(overlay(folder, folder / "train", folder / "val").read_text())
    own["model"]["init_args"] = {"network": {"class_path": "fusion_lab.networks.TITA", "init_args": NETWORK}}
    data = own["data"]["init_args"]
    for split in ("train", "val", "test", "predict"):
        data[split] |= {"mff": [], "mef": []}
    del own["_base_"], own["exp"], data["augmentation"], data["batch_size"]
    own["trainer"] |= {"max_steps": 2, "val_check_interval": 1, "check_val_every_n_epoch": None}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def sweeps(place):
    """Three sweeps, begun one after the other by ``wandb sweep``, whose agents work side by side."""
    cut = {
        "attention": {"parameters": GRID},
        "patches": {"run_cap": 2},
        "learning_rate": {"parameters": {PATCHES: {"values": [640, 16]}}, "method": "grid"},
    }
    server = SweepServer(ends_early)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")} | {
        "HOME": str(place),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "WANDB_BASE_URL": server.address,
        "WANDB_API_KEY": "local" + "0" * 35,
        # The first trial that fails ends its agent, not the fifth.
        "WANDB_AGENT_MAX_INITIAL_FAILURES": "1",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
    }
    agents = {}
    try:
        for name, keys in cut.items():
            file = yaml.safe_load((REPOSITORY / "experiments" / "sweeps" / f"{name}.yaml").read_text())
            file["command"] += ["--config=tiny.yaml", *([ENDLESS] if name == "patches" else [])]
            (place / f"{name}.yaml").write_text(yaml.safe_dump(file | keys, sort_keys=False))
            begun = subprocess.run(
                ["wandb", "sweep", f"{name}.yaml"],
                cwd=place, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False,
            )  # fmt: skip
            assert begun.returncode == 0, begun.stderr
            [told] = [line for line in begun.stderr.splitlines() if "Run sweep agent with" in line]
            command = told.rpartition(": ")[2].split()
            agents[name] = subprocess.Popen(
                command, cwd=place, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            assert agents[name].args[:2] == ["wandb", "agent"]
            assert agents[name].args[2].startswith(f"{ENTITY}/fusion_lab/"), "where the runs are logged too"
        yield {
            name: Done(
                agent.communicate(timeout=LIMIT)[0],
                [trial for trial in server.trials.values() if trial.sweep == agent.args[2].rpartition("/")[2]],
                place / "runs" / "sweeps" / name,
            )
            for name, agent in agents.items()
        }
    finally:
        for agent in agents.values():
            agent.kill()
        server.shutdown()


def saved(done, trial):
    """The folder of a trial, and the configuration that it saved."""
    [config] = (done.runs / trial.name).glob("*/config.yaml")
    return config.parent, yaml.safe_load(config.read_text())


def test_a_grid_is_trained(sweeps):
    done = sweeps["attention"]
    assert [trial.values["config.attention"] for trial in done.trials] == GRID["config.attention"]["values"], done.told
    attentions = []
    for trial in done.trials:
        folder, config = saved(done, trial)
        assert (folder / "result.json").exists()
        assert config["exp"]["seed"] == config["seed_everything"] == 3
        attentions.append(config["model"]["init_args"]["network"]["init_args"]["pixel_attention"])
        assert trial.exit_code == 0
        assert sum("val/loss" in row for row in trial.history) == 2
        assert trial.config["exp"]["value"]["seed"] == 3
    assert attentions == ["fusion_lab.networks.attention.IPA", None]


def test_drawn_trials_that_the_server_ends_early_keep_what_they_learnt_and_the_agent_goes_on(sweeps):
    done = sweeps["patches"]
    assert len(done.trials) == 2, done.told
    for trial in done.trials:
        folder, config = saved(done, trial)
        augmentation = config["data"]["init_args"]["augmentation"]["init_args"]
        assert augmentation["patch"] == trial.values[PATCHES]
        assert config["data"]["init_args"]["batch_size"] == trial.values["data.init_args.batch_size"]
        assert config["exp"]["ema_decay"] == trial.values["exp.ema_decay"]
        assert (folder / "checkpoints" / "interrupted.ckpt").exists(), done.told
        assert not (folder / "result.json").exists()
        assert trial.exit_code == 0
        assert trial.summary["ended_early"]
    assert done.told.count("The sweep has ended the run early") == 2
    assert "Traceback" not in done.told


def test_a_mistake_is_told_in_a_sentence_and_the_agent_gives_up(sweeps):
    done = sweeps["learning_rate"]
    assert len(done.trials) == 1
    assert "fusion-lab fit: error: The pair 'noise' (48x48) is smaller than the crop of 640 pixels" in done.told
    assert "Traceback" not in done.told
    assert done.trials[0].exit_code == 1
