"""``fusion-lab sweep``: what is run with which values, what is not run again, what ends early, and the table."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from fusion_lab.cli.main import main
from fusion_lab.errors import FusionLabError
from fusion_lab.files import in_use
from fusion_lab.runs.build import FusionCLI
from fusion_lab.runs.cluster import Cluster
from fusion_lab.runs.compose import compose
from fusion_lab.studies import launching
from fusion_lab.studies.search import Listed
from fusion_lab.studies.sweep_file import read_sweep

REPOSITORY = Path(__file__).parents[2]
SWEEPS = sorted((REPOSITORY / "experiments" / "sweeps").glob("*.yaml"))

# Stands for `fusion-lab fit`: its loss follows from what it is given.
STAND_IN = """
import json, os, pathlib, sys, time
arguments = sys.argv[2:]
options = dict(a[2:].split("=", 1) for a in arguments if a.startswith("--") and "=" in a)
run = pathlib.Path(options["exp.output"], options["exp.name"])
(run / "log").mkdir(parents=True, exist_ok=True)
with open("order.txt", "a") as file:
    print(run.name, arguments, os.environ.get("CUDA_VISIBLE_DEVICES"), file=file)
if options.get("crash") == "true" and not os.path.exists("mended"):
    sys.exit("out of luck")
loss = abs(float(options.get("x", 0)) - 3) + int(options.get("exp.seed", 0)) / 10
with open(run / "log" / "metrics.csv", "w") as file:
    print("step,val/loss", file=file, flush=True)
    for step in range(int(options.get("steps", 2))):
        print(f"{step},{loss + 1 / (step + 1)}", file=file, flush=True)
        time.sleep(float(options.get("pause", 0)))
(run / "result.json").write_text(json.dumps({"steps": 2, "metrics": {"val/loss": loss}}))
"""
SWEEP = {
    "program": "fusion-lab",
    "command": ["${env}", "fusion-lab", "fit", "--config=a.yaml", "${args}", "--exp.output=${oc.env:WANDB_RUN_ID}"],
    "metric": {"name": "val/loss", "goal": "minimize"},
    "method": "grid",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "fit.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "COMMAND", (sys.executable, str(tmp_path / "fit.py"), "fit"))
    return tmp_path


def write(place, parameters, **keys):
    path = place / "one.yaml"
    path.write_text(yaml.safe_dump({**SWEEP, "parameters": parameters, **keys}, sort_keys=False))
    return path


def sweep(path, *arguments):
    return main(["sweep", str(path), "-o", "out", *map(str, arguments)])


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def ran(place):
    return (place / "order.txt").read_text().splitlines()


GRID = {"x": {"values": [1, 2.5]}, "exp.seed": {"values": [0, 1]}, "config.data": {"value": "b.yaml"}}


def test_grid_is_run_whole_and_compared_over_seeds(place):
    assert sweep(write(place, GRID)) == 0
    first, *others = ran(place)
    assert first.startswith("0000 ")
    assert "'--config=a.yaml', '--x=1', '--config.data=b.yaml', '--exp.output=${oc.env:WANDB_RUN_ID}'" in first
    assert [line[:4] for line in others] == ["0001", "0002", "0003"]
    told = rows(place / "out" / "table.csv")
    assert [(row["experiment"], row["seeds"]) for row in told] == [("x=1", "2"), ("x=2.5", "2")]
    assert [float(row["mean"]) for row in told] == pytest.approx([2.05, 0.55])
    runs = rows(place / "out" / "runs.csv")
    assert [(run["x"], run["exp.seed"], run["state"]) for run in runs] == [
        ("1", "0", "finished"), ("1", "1", "finished"), ("2.5", "0", "finished"), ("2.5", "1", "finished"),
    ]  # fmt: skip


def test_it_goes_on_only_when_it_is_told_to(place, capsys):
    path = write(place, GRID)
    assert sweep(path) == 0
    assert sweep(path) == 2
    assert "out holds a sweep: go on with --resume" in capsys.readouterr().err
    assert sweep(path, "--resume") == 0
    assert len(ran(place)) == 4
    write(place, {**GRID, "y": {"value": 1}})
    assert sweep(path, "--resume") == 2
    assert "was begun with another file" in capsys.readouterr().err


def test_one_at_a_time_in_a_folder(place, capsys):
    path = write(place, GRID)
    with in_use(place / "out"):
        assert sweep(path) == 2
    assert "Another command is running in out: wait" in capsys.readouterr().err
    assert sweep(path) == 0


def test_a_crash_is_recorded_and_tried_again(place, capsys):
    path = write(place, {**GRID, "crash": {"values": [False, True]}, "exp.seed": {"value": 0}})
    assert sweep(path) == 1
    assert "out of luck" in capsys.readouterr().err
    states = [run["state"] for run in rows(place / "out" / "runs.csv")]
    assert states == ["finished", "failed"] * 2
    assert "Failed and not in the table: 2 of 4" in (place / "out" / "table.md").read_text()
    (place / "mended").touch()
    assert sweep(path, "--resume") == 0
    assert len(ran(place)) == 6
    assert all(run["state"] == "finished" for run in rows(place / "out" / "runs.csv"))


def test_each_run_has_a_gpu_of_its_own(place):
    assert sweep(write(place, {"x": {"values": [1, 2, 3, 4]}, "pause": {"value": 0.2}}), "--gpus", 2) == 0
    assert {line.split()[-1] for line in ran(place)} == {"0", "1"}


def test_killed_in_the_middle_it_ends_with_the_same_table(place):
    path = write(place, {"x": {"values": [1, 2, 3, 4]}, "exp.seed": {"values": [0, 1]}, "pause": {"value": 0.1}})
    assert sweep(path) == 0
    whole = (place / "out" / "table.csv").read_bytes()
    stand_in = (sys.executable, str(place / "fit.py"), "fit")
    program = (
        f"import sys; from fusion_lab.studies import launching; launching.COMMAND = {stand_in!r};"
        f"from fusion_lab.cli.main import main; sys.exit(main(['sweep', {str(path)!r}, '-o', 'killed', '--resume']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=place, env=environment, stderr=subprocess.DEVNULL)
    while not (place / "killed" / "0003" / "log").is_dir():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(["sweep", str(path), "-o", "killed", "--resume"]) == 0
    assert (place / "killed" / "table.csv").read_bytes() == whole
    begun = [line[:4] for line in ran(place)[8:]]
    assert sorted(set(begun)) == [f"000{n}" for n in range(8)]
    # The one that was running, or the one after it, may have been begun twice.
    assert len(begun) <= 9


BAYES = {"x": {"distribution": "uniform", "min": 0, "max": 10}}


def test_bayesian_search_finds_the_minimum_and_remembers(place):
    path = write(place, BAYES, method="bayes", run_cap=25)
    assert sweep(path) == 0
    runs = rows(place / "out" / "runs.csv")
    assert min(abs(float(run["x"]) - 3) for run in runs) < 0.3
    # Later ones are nearer than earlier ones.
    apart = [abs(float(run["x"]) - 3) for run in runs]
    assert np.mean(apart[15:]) < np.mean(apart[:10])
    assert sweep(path, "--resume") == 0
    assert len(ran(place)) == 25
    assert rows(place / "out" / "runs.csv") == runs


def test_bad_runs_end_early_and_stay_out_of_the_table(place):
    parameters = {"x": {"values": [3, 3, 9, 3, 9, 9]}, "steps": {"value": 30}, "pause": {"value": 0.03}}
    early = {"type": "hyperband", "min_iter": 3, "eta": 2}
    path = write(place, parameters, early_terminate=early)
    assert sweep(path) == 0
    runs = rows(place / "out" / "runs.csv")
    states = {run["run"]: run["state"] for run in runs}
    ended = [run for run in runs if run["state"] == "ended early"]
    assert ended
    assert all(run["x"] == "9" for run in ended)
    assert set(states.values()) == {"finished", "ended early"}
    count = len(ran(place))
    assert sweep(path, "--resume") == 0
    assert len(ran(place)) == count


def test_numbers_are_drawn_as_described(tmp_path):
    parameters = {
        "a": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "b": {"min": 1, "max": 4},
        "c": {"min": 0.0, "max": 1.0},
        "d": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25},
        "e": {"values": ["u", "v"], "probabilities": [0.0, 1.0]},
        "f": {"distribution": "normal", "mu": 5, "sigma": 0.1},
    }
    file = read_sweep(write(tmp_path, parameters, method="random", run_cap=400))
    drawn = list(Listed(file))
    assert drawn == list(Listed(file)) != list(Listed(file, seed=1))
    assert {values["b"] for values in drawn} == {1, 2, 3, 4}
    assert {values["d"] for values in drawn} == {0, 0.25, 0.5, 0.75, 1}
    assert {values["e"] for values in drawn} == {"v"}
    assert np.mean([math.log10(values["a"]) for values in drawn]) == pytest.approx(-3, abs=0.1)
    assert np.mean([values["c"] for values in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([values["f"] for values in drawn]) == pytest.approx(5, abs=0.03)


def test_numbers_and_nesting_are_those_of_wandb(tmp_path):
    path = write(tmp_path, {"x": {"value": 0}}, method="random", run_cap=3)
    text = """
parameters:
  model:
    parameters:
      lr: {distribution: log_uniform_values, min: 1e-4, max: 1E-2}
      optimizer:
        parameters:
          eps: {values: [1e-8, 1e+2, -2.e3, .5e1]}
  x: {min: 1e-1, max: 2}
  name: {values: [e5, 1e, "1e-4"]}
"""
    content = yaml.safe_load(path.read_text())
    del content["parameters"]
    path.write_text(yaml.safe_dump(content) + text)
    found = {parameter.name: parameter for parameter in read_sweep(path).parameters}
    assert list(found) == ["model.lr", "model.optimizer.eps", "x", "name"]
    assert found["model.lr"].numbers == {"min": 1e-4, "max": 1e-2}
    assert found["model.optimizer.eps"].values == (1e-8, 100.0, -2000.0, 5.0)
    assert found["x"].numbers == {"min": 0.1, "max": 2}
    assert found["name"].values == ("e5", "1e", "1e-4")


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_sweep_is_one_and_its_configurations_exist(file, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    found = read_sweep(file)
    for values in Listed(found) if found.method == "grid" else [{}]:
        options = [*found.before, *values.items(), *found.after]
        configs = [Path(value) for key, value in options if key.startswith("config")]
        assert "class_path" in compose(configs)["model"]


@pytest.mark.parametrize("name", ["operations", "gifnet_auxiliary", "learning_rate", "patches"])
def test_an_agent_of_wandb_starts_a_run_with_a_folder_of_its_own(name, monkeypatch):
    """The command is made by W&B's own code, as far as that needs no server."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    file = REPOSITORY / "experiments" / "sweeps" / f"{name}.yaml"
    found = read_sweep(file)
    drawn = {p.name: p.values[-1] if p.values else p.numbers["max"] for p in found.parameters}
    made = create_sweep_command_args({"args": {key: {"value": value} for key, value in drawn.items()}})
    command = create_sweep_command(yaml.safe_load(file.read_text())["command"])
    words = [w for word in command for w in (made["args"] if word == "${args}" else [word]) if w != "${env}"]
    built = {}
    monkeypatch.setattr(FusionCLI, "make", lambda cli, make=FusionCLI.make: _stop(built, cli, make))
    assert words[0] == "fusion-lab"
    assert main(words[1:]) == 2
    cli = built["cli"]
    assert Path(cli.trainer.default_root_dir).absolute().parent == Path(f"runs/sweeps/{name}/abc123").absolute()
    if name == "patches":
        assert cli.datamodule.augmentation.patch == 48
        assert cli.datamodule.batch_size == 4


def _stop(built, cli, make):
    make(cli)
    built["cli"] = cli
    raise FusionLabError("That is enough.")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"method": "guess"}, "`method` in .* should be grid, random or bayes"),
        ({"metod": 1}, "unknown key `metod`"),
        ({"parameters": {}}, "should name what is varied"),
        ({"parameters": {"x": 3}}, r"`parameters.x` in .* should be a dictionary"),
        ({"parameters": {"x": {"values": []}}}, "should list one value or more"),
        ({"parameters": {"x": {"parameters": {}}}}, r"`parameters\.x` in .* should hold `parameters` alone"),
        ({"parameters": {"x": {"parameters": {"y": {"value": 1}}, "value": 2}}}, "should hold `parameters` alone"),
        ({"parameters": {"x": {"parameters": {"y": 3}}}}, r"`parameters\.x\.y` in .* should be a dictionary"),
        ({"parameters": {"x": {"min": 1}}}, "should have the numbers max, min"),
        ({"parameters": {"x": {"min": 2, "max": 1}}, "method": "random", "run_cap": 1}, "`min` should be below `max`"),
        ({"parameters": {"x": {"min": 0, "max": 1}}}, "A grid has no end where `x` is drawn"),
        ({"method": "random"}, "would never end: set `run_cap`"),
        ({"method": "bayes", "metric": {}}, "name what by"),
        ({"command": ["python", "train.py"]}, r"should run `fusion-lab fit` and hold \$\{args\}"),
        ({"early_terminate": {"type": "median"}}, "should have `type: hyperband`"),
        ({"parameters": {"x": {"distribution": "beta"}}}, "has the distribution `beta`: choose one of"),
    ],
)
def test_mistakes_are_told(tmp_path, keys, told):
    path = write(tmp_path, GRID)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}))
    with pytest.raises(FusionLabError, match=told):
        read_sweep(path)


def test_a_missing_file_and_an_experiment_are_told(tmp_path):
    with pytest.raises(FusionLabError, match="does not exist"):
        read_sweep(tmp_path / "none.yaml")
    (tmp_path / "other.yaml").write_text(json.dumps({"exp": {}}))
    with pytest.raises(FusionLabError, match="is no sweep: it needs the keys"):
        read_sweep(tmp_path / "other.yaml")


class EndedJob:
    """Stands for a job that has trained."""

    ended = True

    def wait(self):
        pass


def test_runs_may_be_jobs_of_a_cluster(place, capsys, monkeypatch):
    sent = []

    def submit(cluster, config, options):
        run = place / "out" / "0000"
        run.mkdir(parents=True)
        (run / "result.json").write_text(json.dumps({"steps": 2, "metrics": {"val/loss": 1.0}}))
        sent.append((cluster, config, options, os.environ.get("WANDB_RUN_GROUP")))
        return EndedJob()

    monkeypatch.setattr(Cluster, "submit", submit)
    (place / "a.yaml").write_text("{one: 1, two: 1}")
    (place / "b.yaml").write_text("two: 2")
    path = write(place, {"x": {"values": [1]}, "config.data": {"value": "b.yaml"}, "exp.seed": {"value": 3}})
    assert sweep(path, "--submit", "--cluster local --gpus 0") == 0
    options = ["--x=1", "--exp.output=${oc.env:WANDB_RUN_ID}", "--exp.name=0000", "--exp.seed=3", "--exp.output=out"]
    assert sent == [(Cluster("local", gpus=0), {"one": 1, "two": 2}, options, "out")]
    assert sweep(path, "--resume", "--submit", "'") == 2
    assert "--submit cannot be read" in capsys.readouterr().err
    assert sweep(path, "--resume", "--submit", "--cluster local --nodes 2") == 2
    assert "--cluster local is one machine" in capsys.readouterr().err


def test_a_job_that_is_refused_is_a_failure(place, capsys, monkeypatch):
    def submit(cluster, config, options):
        raise FusionLabError("The queue is full.")

    monkeypatch.setattr(Cluster, "submit", submit)
    (place / "a.yaml").write_text("one: 1")
    assert sweep(write(place, {"x": {"values": [1]}}), "--submit", "--cluster local --gpus 0") == 1
    assert "The queue is full." in capsys.readouterr().err
