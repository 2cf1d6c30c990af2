"""``fusion-lab fit|validate|test|predict``: what a run leaves behind, and mistakes told in one sentence."""

import csv
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image

from fusion_lab.cli.main import COMMANDS, main
from fusion_lab.inference.weights import load_network, save_network
from fusion_lab.runs import build as building
from fusion_lab.runs.compose import compose
from tests.tiny import TASKS, make_pairs, overlay

STEPS = 3
TRAINER_COMMANDS = ("fit", "validate", "test", "predict")


def fusion_lab(*arguments, cwd):
    """Run the command as a user does."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "fusion_lab.cli.main", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    make_pairs(folder / "train", ivf=3, mff=2, mef=3)
    make_pairs(folder / "val", ivf=2, mff=1, mef=1)
    return folder


@pytest.fixture(scope="module")
def config(folder):
    return overlay(folder, folder / "train", folder / "val")


@pytest.fixture(scope="module")
def run(folder, config):
    """The folder of a finished run."""
    done = fusion_lab("fit", "--config", config, cwd=folder)
    assert f"Trained for {STEPS} steps" in done.stdout
    return folder / "runs" / "tiny"


@pytest.fixture(scope="module")
def checkpoint(run):
    return run / "checkpoints" / "last.ckpt"


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_fit_leaves_its_configuration_environment_log_and_checkpoint(run, checkpoint):
    told = json.loads((run / "environment.json").read_text())
    assert told["packages"]["torch"] == version("torch")
    assert told["packages"]["lightning"] == version("lightning")
    assert told["command"][:2] == ["fusion-lab", "fit"]
    assert told["python"] == sys.version.split()[0]
    assert told["commit"] is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", told["commit"])
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_steps"] == STEPS
    logged = rows(run / "log" / "metrics.csv")
    steps = [row for row in logged if row["train/loss"]]
    assert [int(row["step"]) for row in steps] == list(range(STEPS))
    assert all(float(row[f"train/{task}/loss"]) > 0 for row in steps for task in TASKS)
    assert all(0 < float(row["weighting/weight/mff"]) < 1 for row in steps)
    assert float(logged[-1]["val/ivf/EN"]) > 0
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["global_step"] == STEPS
    assert load_network(checkpoint).init_args["embed_dim"] == 12
    names = {path.relative_to(run).parts[0] for path in run.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml",
        "data.sha256",
        "environment.json",
        "result.json",
        "log",
        "checkpoints",
        "pictures",
    }


def test_saved_configuration_gives_the_same_run(run, checkpoint, tmp_path):
    saved = tmp_path / "again.yaml"
    # Paths are resolved in it: the second run goes elsewhere.
    saved.write_text((run / "config.yaml").read_text().replace(str(run.parent), str(tmp_path)))
    # A process of its own like the first: with another number of threads, rounding differs.
    fusion_lab("fit", "--config", saved, cwd=tmp_path)
    again = tmp_path / "tiny"
    first, second = (torch.load(path, weights_only=True) for path in (checkpoint, again / "checkpoints" / "last.ckpt"))
    assert first["state_dict"].keys() == second["state_dict"].keys()
    assert all(torch.equal(second["state_dict"][name], tensor) for name, tensor in first["state_dict"].items())
    assert rows(again / "log" / "metrics.csv") == rows(run / "log" / "metrics.csv")
    assert (again / "config.yaml").read_text() == saved.read_text()


@pytest.mark.parametrize(("command", "stage"), [("validate", "val"), ("test", "test")])
def test_scores_are_printed_and_logged(folder, config, checkpoint, command, stage):
    output = folder / f"{command}ed"
    done = fusion_lab(command, "--config", config, "--ckpt_path", checkpoint, f"--exp.output={output}", cwd=folder)
    assert f"{stage}/ivf/EN" in done.stdout
    [row] = rows(output / "tiny" / "log" / "scores.csv")
    assert all(float(row[f"{stage}/{task}/{name}"]) > 0 for task in TASKS for name in ("loss", "EN"))


def test_predict_writes_the_fused_pairs(folder, config, checkpoint):
    output = folder / "predicted"
    fusion_lab("predict", "--config", config, "--ckpt_path", checkpoint, f"--exp.output={output}", cwd=folder)
    fused = output / "tiny" / "fused"
    names = {path.relative_to(fused).as_posix() for path in fused.rglob("*") if path.is_file()}
    assert names == {"ivf/ivf0.png", "ivf/ivf1.png", "mff/mff0.png", "mef/mef0.png"}
    with Image.open(fused / "ivf" / "ivf1.png") as image, Image.open(folder / "val/ivf/a/ivf1.png") as source:
        assert (image.size, image.mode) == (source.size, source.mode)


def test_last_is_the_newest_checkpoint_of_the_run(folder, config, checkpoint, capsys):
    copy = folder / "copied" / "tiny" / "checkpoints"
    shutil.copytree(checkpoint.parent, copy)
    arguments = ["--config", str(config), "--ckpt_path", "last", f"--exp.output={folder / 'copied'}"]
    assert main(["fit", *arguments, f"--trainer.max_steps={STEPS + 1}"]) == 0, capsys.readouterr().err
    assert f"Trained for {STEPS + 1} steps" in capsys.readouterr().out


@pytest.fixture
def mistake(config, tmp_path, capsys):
    """Run a command that must fail; returns the one sentence that it tells."""

    def told(*arguments, command="fit", configs=(config,)):
        named = [text for path in configs for text in ("--config", str(path))]
        capsys.readouterr()
        code = main([command, *named, f"--exp.output={tmp_path / 'runs'}", *map(str, arguments)])
        [line] = [line for line in capsys.readouterr().err.splitlines() if "Seed set to" not in line]
        start = f"fusion-lab {command}: error: "
        assert code == 2
        assert line.startswith(start)
        assert line.endswith((".", "?"))
        return line.removeprefix(start)

    return told


KEYS = {
    "top level": ("--modle=x", r"no key 'modle'.*did you mean 'model'"),
    "experiment": ("--exp.nam=x", r"no key 'exp.nam': did you mean 'name'"),
    "trainer": ("--trainer.max_stepz=1", r"no key 'trainer.max_stepz': did you mean 'max_steps'"),
    "module": ("--model.init_args.weightin=x", r"model: .*no key 'weightin': did you mean 'weighting'"),
    "network": ("--model.init_args.network.init_args.embed_dimm=4", r"model.network: .*did you mean 'embed_dim'"),
    "weighting": (
        "--model.init_args.weighting.init_args.decay=1",
        r"model.weighting: .*no key 'decay': choose one of lr, reuse_next_loss, weight_decay",
    ),
    "data": ("--data.init_args.batch_siz=4", r"data: .*did you mean 'batch_size'"),
    "augmentation": ("--data.init_args.augmentation.init_args.pach=4", r"augmentation: .*did you mean 'patch'"),
    "type in the trainer": ("--trainer.max_steps=many", r"trainer.max_steps: should be a whole number, not 'many'"),
    "type in the network": ("--model.init_args.network.init_args.embed_dim=four", r"embed_dim: should be a whole"),
    "type in the optimizer": ("--model.init_args.optimizer.init_args.lr=high", r"optimizer.lr: should be a number"),
    "class": ("--model.init_args.network.class_path=fusion_lab.networks.TITTA", r"network: .*did you mean 'TITA'"),
    "class of another kind": (
        "--model.init_args.network.class_path=fusion_lab.weighting.FAMO",
        r"network: .*FAMO is no FusionNetwork",
    ),
    "module that is none": ("--model.init_args.network.class_path=nowhere.TITA", r"network: .*nowhere"),
    "value": ("--model.init_args.network.init_args.embed_dim=13", r"multiple of `num_heads`. Found 13 and 2"),
    "batch size": ("--data.init_args.batch_size=0", r"Found `batch_size = 0`"),
    "interpolation": ("--exp.name=${exp.nmae}", r"nmae"),
    "devices": ("--trainer.devices=0", r"devices"),
    "option without value": ("--ckpt_path", r"--ckpt_path.*expected one argument"),
    "stray argument": ("stray", r"unrecognized arguments: stray"),
}


@pytest.mark.parametrize(("argument", "complaint"), KEYS.values(), ids=KEYS)
def test_wrong_arguments(mistake, argument, complaint):
    assert re.search(complaint, mistake(argument))


def test_wrong_keys_in_a_file(mistake, config, tmp_path):
    extra = tmp_path / "extra.yaml"
    extra.write_text("trainer: {max_stepz: 3}")
    assert "did you mean 'max_steps'" in mistake(configs=(config, extra))
    extra.write_text("model: {init_args: {network: {init_args: {embed_dimm: 3}}}}")
    assert "did you mean 'embed_dim'" in mistake(configs=(config, extra))


@pytest.mark.parametrize("command", TRAINER_COMMANDS)
def test_configuration_must_be_named_and_be_there(mistake, tmp_path, command):
    assert "--config" in mistake(command=command, configs=())
    assert "nowhere.yaml does not exist" in mistake(command=command, configs=(tmp_path / "nowhere.yaml",))


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("command", TRAINER_COMMANDS)
def test_checkpoint_must_be_one(mistake, tmp_path, command):
    def told(path):
        return mistake("--ckpt_path", path, command=command)

    assert f"{tmp_path / 'nowhere.ckpt'} does not exist" in told(tmp_path / "nowhere.ckpt")
    assert "has no checkpoint yet" in told("last")
    text = tmp_path / "text.ckpt"
    text.write_text("no weights")
    assert f"{text} are broken or of no known format" in told(text)
    mark, hostile = tmp_path / "mark", tmp_path / "hostile.ckpt"
    torch.save({"state_dict": {}, "trap": Hostile(mark)}, hostile)
    assert f"{hostile} can only be read by running code" in told(hostile)
    with hostile.open("wb") as file:
        pickle.dump(Hostile(mark), file)
    assert str(hostile) in told(hostile)
    assert not mark.exists()


def test_checkpoint_must_be_of_the_network(mistake, checkpoint, tmp_path):
    told = mistake("--ckpt_path", checkpoint, "--model.init_args.network.init_args.embed_dim=8")
    assert re.search(r"last.ckpt is of another network: \d+ tensors differ", told)
    weights = tmp_path / "weights.safetensors"
    save_network(load_network(checkpoint), weights)
    assert "no checkpoint of a run" in mistake("--ckpt_path", weights)


def test_checkpoint_must_be_of_the_weighting(mistake, checkpoint):
    equal = "--model.init_args.weighting.class_path=fusion_lab.weighting.Equal"
    assert re.search(r"does not fit the configuration.*weighting.logits", mistake("--ckpt_path", checkpoint, equal))


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_untrained_network_is_not_scored(mistake, command):
    assert "--ckpt_path" in mistake(command=command)


def test_finished_run_is_not_overwritten(mistake, run, checkpoint):
    before = checkpoint.read_bytes()
    assert "already holds a run" in mistake(f"--exp.output={run.parent}")
    assert checkpoint.read_bytes() == before


def test_the_best_of_a_finished_run_is_not_overwritten(mistake, run, tmp_path):
    kept = tmp_path / "tiny" / "checkpoints" / "best.ckpt"
    kept.parent.mkdir(parents=True)
    shutil.copy(run / "checkpoints" / "best.ckpt", kept)
    shutil.copy(run / "result.json", tmp_path / "tiny")
    assert "already holds a run" in mistake(f"--exp.output={tmp_path}")
    assert "already holds a run" in mistake(f"--exp.output={tmp_path}", "--exp.auto_resume=true")


def test_a_run_killed_before_its_first_checkpoint_begins_anew(config, checkpoint, tmp_path):
    (tmp_path / "tiny" / "checkpoints").mkdir(parents=True)
    for name in (".step=2-abc.ckpt", "best.ckpt"):
        (tmp_path / "tiny" / "checkpoints" / name).write_bytes(b"half")
    assert main(["fit", "--config", str(config), f"--exp.output={tmp_path}", "--exp.auto_resume=true"]) == 0
    anew = tmp_path / "tiny" / "checkpoints"
    assert {path.name for path in anew.iterdir()} == {path.name for path in checkpoint.parent.iterdir()}
    one, other = (torch.load(path, weights_only=True) for path in (anew / "last.ckpt", checkpoint))
    assert all(torch.equal(other["state_dict"][name], tensor) for name, tensor in one["state_dict"].items())


def test_weighting_that_nothing_measures_for(mistake):
    assert "MeasureAgain" in mistake("--trainer.callbacks=[]")


def test_task_without_objective(mistake, config, tmp_path):
    extra = tmp_path / "extra.yaml"
    content = yaml.safe_load(config.read_text())
    extra.write_text(
        yaml.safe_dump({"data": {"init_args": {"train": {"mif": content["data"]["init_args"]["train"]["ivf"]}}}})
    )
    assert re.search(r"without an objective \(mif\)", mistake(configs=(config, extra)))


@pytest.fixture
def pairs_of(folder, tmp_path):
    """Configurations whose training pairs of one task are spoilt."""

    def spoilt(spoil):
        copy = tmp_path / "spoilt"
        shutil.copytree(folder / "train", copy)
        spoil(copy / "ivf")
        return (overlay(tmp_path, copy, folder / "val"),)

    return spoilt


def test_missing_data(mistake, pairs_of):
    assert re.search(r"The folder .*ivf/a does not exist", mistake(configs=pairs_of(shutil.rmtree)))


def test_unpaired_names(mistake, pairs_of):
    told = mistake(configs=pairs_of(lambda root: (root / "a" / "ivf0.png").rename(root / "a" / "other.png")))
    assert re.search(r"no partner of the same name \(.*other.png", told)


@pytest.mark.parametrize("workers", [0, 1])
def test_image_smaller_than_the_patch_also_from_a_worker(mistake, pairs_of, workers):
    def spoil(root):
        for path in root.rglob("*.png"):
            Image.new("L", (12, 20)).save(path)

    told = mistake(f"--data.init_args.num_workers={workers}", configs=pairs_of(spoil))
    assert re.fullmatch(r"The pair 'ivf\d' \(12x20\) is smaller than the crop of 16 pixels: .*", told)


@pytest.mark.parametrize("command", TRAINER_COMMANDS)
def test_output_that_cannot_be_made(mistake, checkpoint, tmp_path, command):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", Path("/proc/runs")):
        arguments = [] if command == "fit" else ["--ckpt_path", checkpoint]
        told = mistake(*arguments, f"--exp.output={output}", command=command)
        assert str(output) in told
        assert "cannot be made" in told


def test_nothing_is_left_behind_by_a_mistake(mistake, tmp_path):
    mistake("--model.init_args.network.init_args.embed_dim=13")
    assert not (tmp_path / "runs").exists()


def test_help_lists_every_command_in_a_line(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for command, summary in COMMANDS.items():
        assert [line.split(maxsplit=1)[1] for line in lines if line.split()[:1] == [command]] == [summary]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"fusion-lab {command}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["fuse", "--help"], ["data", "list"]])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(words):
    """As ``fusion-lab --help | head -3``."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-u", "-m", "fusion_lab.cli.main", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    # Rich ends with 1 by itself, argparse with 0.
    assert done.returncode in (0, 1, 141)
    assert done.stderr == ""


def test_unknown_command(capsys):
    assert main(["fitt"]) == 2
    assert "There is no command 'fitt': choose one of fit, " in capsys.readouterr().err


def test_tensors_are_given_as_lists(config, tmp_path):
    scalarizer = {"class_path": "torchjd.scalarization.STCH", "init_args": {"mu": 1.0, "weights": [0.25, 0.25, 0.5]}}
    weighting = {"class_path": "fusion_lab.weighting.Scalarization", "init_args": {"scalarizer": scalarizer}}
    layer = {"_base_": str(config), "model": {"init_args": {"weighting": weighting}}}
    (tmp_path / "layer.yaml").write_text(yaml.safe_dump(layer))
    cli = building.build("fit", compose([tmp_path / "layer.yaml"]), [])
    assert torch.equal(cli.model.weighting.method.weights, torch.tensor([0.25, 0.25, 0.5]))
    saved = yaml.safe_load(cli.parser.dump(cli.config))
    assert saved["model"]["init_args"]["weighting"]["init_args"]["scalarizer"] == scalarizer


def test_a_run_that_would_train_nothing_is_told(mistake, checkpoint, run, tmp_path):
    told = mistake("--ckpt_path", checkpoint, "--exp.name=new")
    assert (
        f"Nothing would be trained: {checkpoint} has done 3 steps, as many as `trainer.max_steps` asks for (3)" in told
    )
    assert not (tmp_path / "runs").exists()
    told = mistake("--ckpt_path", checkpoint, "--trainer.max_steps=2")
    assert "has done 3 steps, more than `trainer.max_steps` asks for (2)" in told
    told = mistake("--ckpt_path", checkpoint, "--trainer.max_steps=-1", "--trainer.max_epochs=1")
    assert "Nothing was trained: " in told
    assert not (tmp_path / "runs" / "tiny").exists()
    before = (run / "config.yaml").read_bytes()
    told = mistake("--ckpt_path", "last", f"--exp.output={run.parent}", "--trainer.max_steps=1")
    assert "more than `trainer.max_steps` asks for (1)" in told
    assert (run / "config.yaml").read_bytes() == before


def test_a_finished_run_that_is_asked_to_go_on_says_so(config, checkpoint, tmp_path, capsys):
    copy = tmp_path / "tiny"
    shutil.copytree(checkpoint.parents[1], copy)
    # It was killed before it could say that it had ended.
    (copy / "result.json").unlink()
    arguments = ["fit", "--config", str(config), f"--exp.output={tmp_path}", "--ckpt_path", "last"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"Nothing was left to train: the run in {copy} has done all of its {STEPS} steps." in out
    assert "Trained" not in out
    assert json.loads((copy / "result.json").read_text())["steps"] == STEPS


def test_the_home_folder_is_that_of_the_user_everywhere(config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(config), "--exp.output=~/runs", "--trainer.max_steps=1"]) == 0
    assert not (tmp_path / "~").exists()
    inside = {path.name for path in (tmp_path / "home" / "runs" / "tiny").iterdir()}
    assert {"config.yaml", "checkpoints", "log", "result.json"} <= inside
    assert f"{tmp_path}/home/runs" in (tmp_path / "home" / "runs" / "tiny" / "config.yaml").read_text()


SCHEDULES = {
    "plateau": {
        "class_path": "lightning.pytorch.cli.ReduceLROnPlateau",
        "init_args": {"monitor": "val/loss", "patience": 0, "factor": 0.5, "threshold": 0.99},
    },
    "warm-up, then cosine": {
        "class_path": "torch.optim.lr_scheduler.SequentialLR",
        "init_args": {
            "schedulers": [
                {
                    "class_path": "torch.optim.lr_scheduler.LinearLR",
                    "init_args": {"start_factor": 0.1, "total_iters": 2},
                },
                {"class_path": "torch.optim.lr_scheduler.CosineAnnealingLR", "init_args": {"T_max": 2}},
            ],
            "milestones": [2],
        },
    },
    "every epoch": {
        "class_path": "fusion_lab.modules.schedules.Together",
        "init_args": {
            "schedulers": [
                {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.5}},
                {"class_path": "torch.optim.lr_scheduler.ConstantLR", "init_args": {"factor": 1.0}},
            ],
            "interval": "epoch",
        },
    },
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_come_from_the_configuration_alone(config, tmp_path, name):
    extra = tmp_path / "schedule.yaml"
    limited = {"trainer": {"limit_train_batches": 2}}
    extra.write_text(yaml.safe_dump({"model": {"init_args": {"scheduler": SCHEDULES[name]}}, **limited}))
    arguments = ["fit", "--config", str(config), "--config", str(extra), f"--exp.output={tmp_path}"]
    assert main([*arguments, "--trainer.max_steps=4"]) == 0
    stored = torch.load(tmp_path / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)
    [group] = stored["optimizer_states"][0]["param_groups"]
    # 1e-3 at first; an epoch has two steps, with a validation after it.
    expected = {"plateau": 5e-4, "warm-up, then cosine": 0, "every epoch": 2.5e-4}[name]
    assert group["lr"] == pytest.approx(expected, abs=1e-9)


def test_going_on_for_longer_from_the_command_line(config, tmp_path, capsys):
    cosine = {
        "class_path": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "init_args": {"T_max": "${trainer.max_steps}"},
    }
    extra = tmp_path / "schedule.yaml"
    extra.write_text(yaml.safe_dump({"model": {"init_args": {"scheduler": cosine}}}))
    arguments = ["fit", "--config", str(config), "--config", str(extra), f"--exp.output={tmp_path}"]
    assert main([*arguments, "--trainer.max_steps=2"]) == 0
    assert main([*arguments, "--trainer.max_steps=4", "--ckpt_path=last"]) == 0, capsys.readouterr().err
    stored = torch.load(tmp_path / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)
    [group] = stored["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(0, abs=1e-9)
    [schedule] = stored["lr_schedulers"]
    assert (schedule["T_max"], schedule["last_epoch"]) == (4, 4)


def test_what_is_refused_leaves_the_record_as_it_was(mistake, run, tmp_path):
    copy = tmp_path / "runs" / "tiny"
    shutil.copytree(run, copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    told = mistake(
        "--ckpt_path", "last", "--trainer.max_steps=4", "--model.init_args.optimizer.class_path=torch.optim.SGD"
    )
    assert "cannot take over" in told
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == before


def test_spawned_processes_are_refused(mistake):
    told = mistake("--trainer.strategy=ddp_spawn", "--trainer.devices=2")
    assert "Processes that `trainer.strategy` spawns" in told
    assert "set it to ddp" in told


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_small_pairs_are_told_before_the_first_step(mistake, pairs_of, policy):
    """One of three is too small; with `skip` there may be none."""

    def spoil(root):
        for path in root.rglob("ivf1.png"):
            Image.new("L", (12, 20)).save(path)

    arguments = [f"--data.init_args.on_bad_sample={policy}", "--data.init_args.bad_sample_limit=1"]
    configs = pairs_of(spoil)
    if policy == "raise":
        assert mistake(*arguments, configs=configs).startswith("The pair 'ivf1' (12x20) is smaller than the crop of 16")
    else:
        for path in (Path(configs[0]).parent / "spoilt" / "ivf").rglob("ivf2.png"):
            Image.new("L", (12, 20)).save(path)
        assert "2 training pairs cannot be read, more than" in mistake(*arguments, configs=configs)


def test_predict_sees_raw_thermal_values_in_their_range(tmp_path, config):
    for role in "ab":
        (tmp_path / role).mkdir()
    visible = np.random.default_rng(0).integers(0, 256, (18, 20), np.uint8)
    degrees = np.linspace(-20, 120, 360, dtype=np.float32).reshape(18, 20)
    Image.fromarray(visible).save(tmp_path / "a" / "1.png")
    tifffile.imwrite(tmp_path / "b" / "1.tif", degrees)
    extra = tmp_path / "extra.yaml"
    pairs = {"root": str(tmp_path), "range_b": "minmax", "range_over": "dataset"}
    tasks = {"ivf": [{"class_path": "fusion_lab.data.PairDataset", "init_args": pairs}], "mff": [], "mef": []}
    model = {"network": {"class_path": "fusion_lab.networks.Average"}}
    extra.write_text(yaml.safe_dump({"model": {"init_args": model}, "data": {"init_args": {"predict": tasks}}}))
    arguments = ["predict", "--config", str(config), "--config", str(extra), f"--exp.output={tmp_path / 'runs'}"]
    assert main(arguments) == 0
    fused = np.asarray(Image.open(tmp_path / "runs" / "tiny" / "fused" / "ivf" / "1.png"))
    expected = (visible / 255 + (degrees + 20) / 140) / 2
    assert fused.dtype == np.uint16
    assert abs(fused / 65535 - expected).max() < 1e-3


@pytest.mark.parametrize("name", ["warmup_cosine", "plateau"])
def test_building_blocks_of_schedules(config, name):
    block = Path(building.__file__).parents[2] / "configs" / "schedule" / f"{name}.yaml"
    made = building.build("fit", compose([config, block]), []).model.configure_optimizers()
    schedule = made["lr_scheduler"]["scheduler"]
    assert type(schedule).__name__ == {"warmup_cosine": "InTurn", "plateau": "ReduceLROnPlateau"}[name]
    assert made["lr_scheduler"].get("monitor") == {"plateau": "val/loss"}.get(name)
