"""``fusion-lab ablate``: what is run, what is not run again, what is told of failures, and the table."""

import csv
import json
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import yaml

from fusion_lab.cli.main import main
from fusion_lab.files import in_use
from fusion_lab.studies import launching
from tests.tiny import make_pairs, overlay

# Stands for `fusion-lab fit` where only the order of things matters: it does what the configuration says.
STAND_IN = """
import json, pathlib, signal, sys, time
import yaml
arguments = sys.argv[1:]
options = dict(a[2:].split("=", 1) for a in arguments if a.startswith("--") and "=" in a)
config = {}
for name, value in zip(arguments, arguments[1:]):
    if name == "-c":
        config.update(yaml.safe_load(open(value)))
run = pathlib.Path(options["exp.output"], config["exp"]["name"])
(run / "checkpoints").mkdir(parents=True, exist_ok=True)
(run / "arguments.json").write_text(json.dumps(arguments))
with open("order.txt", "a") as file:
    print(run, file=file)
if config.get("wait") and "--ckpt_path" not in arguments:
    try:
        (run / "started").touch()
        time.sleep(60)
    except KeyboardInterrupt:
        (run / "checkpoints" / "interrupted.ckpt").touch()
        sys.exit(130)
if config.get("crash") and options["exp.seed"] == "1":
    print("It begins.")
    sys.exit("out of luck")
if not config.get("silent"):
    metrics = {name: value + int(options["exp.seed"]) ** 2 for name, value in config["metrics"].items()}
    (run / "result.json").write_text(json.dumps({"steps": 7, "metrics": metrics}))
"""
METRICS = {"val/ivf/EN": 7.0, "val/ivf/loss": 1.0, "val/loss": 2.0}


@pytest.fixture
def experiment(tmp_path):
    """Write a configuration for the stand-in."""

    def write(name, **content):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"exp": {"name": name}, "metrics": METRICS, **content}))
        return path

    return write


@pytest.fixture
def ablate(tmp_path, monkeypatch):
    """Run the command with the stand-in, into the folder ``out``; returns its exit code."""
    (tmp_path / "fit.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "COMMAND", (sys.executable, str(tmp_path / "fit.py")))

    def run(*arguments):
        return main(["ablate", "-o", "out", *map(str, arguments)])

    return run


def table(path):
    with (path / "table.csv").open(newline="") as file:
        return {(row["experiment"], row["metric"]): row for row in csv.DictReader(file)}


def ran(tmp_path):
    """The runs so far, in their order."""
    return [line.removeprefix("out/") for line in (tmp_path / "order.txt").read_text().split()]


def test_two_experiments_and_three_seeds(ablate, experiment, tmp_path, capsys):
    first, second = experiment("first"), experiment("second", metrics={**METRICS, "val/loss": 1.0})
    assert ablate(first, second) == 0
    assert ran(tmp_path) == [f"seed{seed}/{name}" for seed in range(3) for name in ("first", "second")]
    written = table(tmp_path / "out")
    assert len(written) == 2 * len(METRICS)
    values = [2.0, 3.0, 6.0]
    row = written["first", "val/loss"]
    assert float(row["mean"]) == pytest.approx(np.mean(values))
    assert float(row["std"]) == pytest.approx(np.std(values, ddof=1))
    assert row["seeds"] == "3"
    text = (tmp_path / "out" / "table.md").read_text()
    assert "| second | **2.667 ± 2.082** |" in text
    assert f"`fusion-lab ablate -o out {first} {second}`" in text
    assert "- Seeds: 0, 1, 2\n- Steps: 7\n" in text
    assert "Failed" not in text
    assert "second" in capsys.readouterr().out


def test_nothing_is_run_again(ablate, experiment, tmp_path):
    first = experiment("first")
    assert ablate(first, "--seeds", 2) == 0
    results = sorted((tmp_path / "out").rglob("result.json"))
    before = [path.stat().st_mtime_ns for path in results]
    assert ablate(first, "--seeds", 2) == 0
    assert [path.stat().st_mtime_ns for path in results] == before
    assert len(ran(tmp_path)) == len(results) == 2
    # More seeds and experiments join what is there.
    assert ablate(first, experiment("second"), "--seeds", 3) == 0
    assert ran(tmp_path)[2:] == ["seed0/second", "seed1/second", "seed2/first", "seed2/second"]


def test_one_at_a_time_in_a_folder(ablate, experiment, tmp_path, capsys):
    first = experiment("first")
    with in_use(tmp_path / "out"):
        assert ablate(first) == 2
    assert "Another command is running in out: wait" in capsys.readouterr().err
    assert not (tmp_path / "order.txt").exists()
    assert ablate(first, "--seeds", 1) == 0


def test_a_crash_is_told_and_stops_no_other(ablate, experiment, tmp_path, capsys):
    assert ablate(experiment("bad", crash=True), experiment("good"), "--seeds", 2) == 1
    assert len(ran(tmp_path)) == 4
    told = "bad, seed 1: out of luck (log: out/seed1/bad.log)"
    assert told in capsys.readouterr().err
    text = (tmp_path / "out" / "table.md").read_text()
    assert told in text
    assert "1 of 4 trials" in text
    assert "| bad | **2.000 (1)** |" in text
    assert table(tmp_path / "out")["bad", "val/loss"]["seeds"] == "1"
    # Only the failed one is tried again.
    assert ablate(experiment("bad", crash=True), experiment("good"), "--seeds", 2) == 1
    assert ran(tmp_path)[4:] == ["seed1/bad"]


def test_a_run_without_a_result_has_failed(ablate, experiment, capsys):
    assert ablate(experiment("silent", silent=True), "--seeds", 1) == 1
    assert "silent, seed 0: it left no result.json in out/seed0/silent" in capsys.readouterr().err


def test_several_run_at_a_time(ablate, experiment, tmp_path):
    assert ablate(*(experiment(f"e{n}") for n in range(4)), "--seeds", 1, "--jobs", 3) == 0
    assert sorted(ran(tmp_path)) == [f"seed0/e{n}" for n in range(4)]


@pytest.fixture
def heard():
    """Let this process hear Ctrl-C, which shells make ignored in what they start in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_itself_and_is_resumed(ablate, experiment, tmp_path, number):
    quick, slow = experiment("quick"), experiment("slow", wait=True)
    started = tmp_path / "out" / "seed0" / "slow" / "started"

    def interrupt():
        while not started.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    assert ablate(quick, slow, "--seeds", 1) == 130
    assert (started.parent / "checkpoints" / "interrupted.ckpt").exists()
    assert not (started.parent / "result.json").exists()
    assert "Not ended yet: 1 of 2" in (tmp_path / "out" / "table.md").read_text()
    assert ablate(quick, slow, "--seeds", 1) == 0
    assert json.loads((started.parent / "arguments.json").read_text())[-2:] == ["--ckpt_path", "last"]
    assert ran(tmp_path) == ["seed0/quick", "seed0/slow", "seed0/slow"]
    assert "Not ended yet" not in (tmp_path / "out" / "table.md").read_text()


def test_layers_and_overrides_reach_every_trial(ablate, experiment, tmp_path):
    layer = tmp_path / "layer.yaml"
    layer.write_text("extra: 1")
    first = experiment("first")
    arguments = [first, "--with", layer, "--seeds", 1, "--metrics", "val/loss", "--", "--exp.data_root=x"]
    assert ablate(*arguments) == 0
    given = json.loads((tmp_path / "out" / "seed0" / "first" / "arguments.json").read_text())
    kept = "out/configs/first.yaml"
    assert given == ["-c", kept, "--exp.data_root=x", "--exp.seed=0", "--exp.output=out/seed0"]
    assert yaml.safe_load((tmp_path / kept).read_text()) == {**yaml.safe_load(first.read_text()), "extra": 1}
    assert set(table(tmp_path / "out")) == {("first", "val/loss")}


@pytest.fixture
def mistake(ablate, capsys, tmp_path):
    """Run a command that must fail before any trial; returns the one sentence that it tells."""

    def told(*arguments, runs=0):
        capsys.readouterr()
        assert ablate(*arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert (len(ran(tmp_path)) if (tmp_path / "order.txt").exists() else 0) == runs
        return error

    return told


def test_mistakes(mistake, experiment, tmp_path):
    first = experiment("first")
    twin = tmp_path / "twin.yaml"
    twin.write_text(first.read_text())
    assert f"{first} and {twin} have the same `exp.name`, first: rename" in mistake(first, twin)
    assert "nowhere.yaml does not exist" in mistake(first, tmp_path / "nowhere.yaml")
    assert "nowhere.yaml does not exist" in mistake(first, "--with", tmp_path / "nowhere.yaml")
    twin.write_text("exp: {name: a/b}")
    assert "plain `exp.name`. Found 'a/b'" in mistake(twin)
    assert "seeds" in mistake(first, "--seeds", 0)
    assert "`ablate` itself gives --exp.name" in mistake(first, "--", "--exp.name=x")
    assert "follow ` -- `" in mistake(first, "--trainer.max_steps=3")
    unscored = experiment("unscored", data={"init_args": {"train": {"ivf": []}}})
    assert f"The experiment {unscored} validates nothing" in mistake(unscored)
    assert not (tmp_path / "out").exists()


def test_a_metric_that_no_run_has(mistake, experiment):
    assert "No run has the metric val/x" in mistake(experiment("first"), "--seeds", 1, "--metrics", "val/x", runs=1)


def test_a_broken_result_is_told(ablate, mistake, experiment, tmp_path):
    first = experiment("first")
    assert ablate(first, "--seeds", 1) == 0
    (tmp_path / "out" / "seed0" / "first" / "result.json").write_text("{")
    assert "result.json is broken" in mistake(first, "--seeds", 1, runs=1)


def test_runs_of_different_configurations_are_not_mixed(ablate, mistake, experiment):
    assert ablate(experiment("first"), "--seeds", 1) == 0
    changed = experiment("first", other=1)
    assert "out/seed0/first was made with another configuration" in mistake(changed, "--seeds", 2, runs=1)


def test_real_trainings(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    make_pairs(tmp_path / "train", ivf=3, mff=2, mef=3)
    make_pairs(tmp_path / "val", ivf=2, mff=1, mef=1)
    tiny = overlay(tmp_path, tmp_path / "train", tmp_path / "val")
    other = tmp_path / "other.yaml"
    other.write_text("_base_: tiny.yaml\nexp: {name: other}\n")
    out = tmp_path / "out"
    command = ["ablate", str(tiny), str(other), "--seeds", "1", "--jobs", "2", "-o", str(out)]
    assert main([*command, "--", "--trainer.enable_model_summary=false"]) == 0
    path = out / "seed0" / "tiny" / "result.json"

    def validated():
        result = json.loads(path.read_text())
        assert result["steps"] == 3
        return {name: value for name, value in result["metrics"].items() if name.startswith("val/")}

    scores = validated()
    assert {name for _, name in table(out)} == set(scores)
    assert {name: float(table(out)["tiny", name]["mean"]) for name in scores} == scores
    # What ended while it was scored is scored, not trained, again.
    path.unlink()
    assert main([*command, "--", "--trainer.enable_model_summary=false"]) == 0
    assert validated() == pytest.approx(scores)


def test_switches_differences_and_sources(ablate, experiment, tmp_path, capsys):
    whole = experiment("whole", exp={"name": "whole", "switches": {"TI": True, "TA": True}})
    minus = experiment("minus", exp={"name": "minus", "switches": {"TI": True, "TA": False}}, metrics={"val/loss": 4.0})
    assert ablate(minus, whole, "--metrics", "val/loss") == 0
    out = tmp_path / "out"
    text = (out / "table.md").read_text()
    assert "| experiment | TA | TI | val/loss ↓ |" in text
    assert "| minus |  | ✓ | 5.667" in text
    # The whole one has all switches on.
    assert "| against whole | val/loss |" in text
    assert "| minus | +2.000 [+2.000, +2.000] |" in text
    assert r"whole & \checkmark & \checkmark & \textbf{3.667 $\pm$ 2.082} \\" in (out / "table.tex").read_text()
    assert (out / "differences.png").stat().st_size > 1000
    with (out / "sources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["experiment"], row["seed"], row["run"]) for row in rows} == {
        (name, str(seed), f"out/seed{seed}/{name}") for name in ("whole", "minus") for seed in range(3)
    }
    assert "differences, seed by seed" in capsys.readouterr().out


def test_a_sweep_names_the_experiments(ablate, experiment, tmp_path, capsys):
    first, second = experiment("first"), experiment("second")
    sweep = tmp_path / "sweep.yaml"
    content = {
        "method": "grid",
        "command": ["fusion-lab", "fit", "${args}"],
        "parameters": {"config.one": {"values": [str(first), str(second)]}, "exp.seed": {"values": [0, 1]}},
    }
    sweep.write_text(yaml.safe_dump(content))
    assert ablate(sweep, "--seeds", 1) == 0
    assert ran(tmp_path) == ["seed0/first", "seed0/second"]
    sweep.write_text(yaml.safe_dump({**content, "parameters": {"x": {"values": [1, 2]}}}))
    assert ablate(sweep, "--seeds", 1) == 2
    assert "varies `x`, but `ablate` compares configurations" in capsys.readouterr().err


def test_against_must_be_one_of_them(ablate, experiment, capsys):
    assert ablate(experiment("first"), "--against", "other") == 2
    assert "There is no experiment 'other' to compare with: there are first." in capsys.readouterr().err
