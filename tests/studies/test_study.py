"""`fusion_lab.Study`: axes, running, and the table, from Python."""

import json
import sys

import pytest
import yaml

import fusion_lab
from fusion_lab.studies import Sweep, launching, read_sweep

STAND_IN = """
import json, pathlib, sys
options = dict(a[2:].split("=", 1) for a in sys.argv[1:] if a.startswith("--"))
run = pathlib.Path(options["exp.output"], options["exp.name"])
run.mkdir(parents=True, exist_ok=True)
half = "b: true" in pathlib.Path(sys.argv[2]).read_text()
loss = float(options.get("model.lr", 1)) + int(options["exp.seed"]) + half / 2
(run / "options.json").write_text(json.dumps(sys.argv[1:]))
(run / "result.json").write_text(json.dumps({"steps": 2, "metrics": {"val/loss": loss}}))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with an experiment, two overlays, and a stand-in for training."""
    (tmp_path / "fit.py").write_text(STAND_IN)
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({"exp": {"name": "base"}}))
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(f"{name}: true")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "COMMAND", (sys.executable, str(tmp_path / "fit.py")))
    return tmp_path


def test_axes_are_combined_trained_and_compared(place):
    axes = {"overlay": "[ab].yaml", "model.lr": [1.0, 2.0]}
    study = fusion_lab.Study("base.yaml", axes=axes, seeds=2, folder="out", overrides={"exp.data_root": "x"})
    assert [trial.title for trial in study.trials[:4]] == ["a, lr=1.0", "a, lr=2.0", "b, lr=1.0", "b, lr=2.0"]
    assert len(study.trials) == 8
    table = study.run(jobs=2).table(against="a, lr=1.0")["val/loss"]
    assert list(table["mean"]) == [1.5, 2.5, 2.0, 3.0]
    assert list(table["seeds"]) == [2, 2, 2, 2]
    assert list(table["difference"][1:]) == [1.0, 0.5, 1.5]
    assert list(table["low"][1:]) == [1.0, 0.5, 1.5]
    assert "lr=2.0" in study.table().to_markdown()
    assert "lr=2.0" in study.table().to_latex()
    # Nothing is written before somebody asks for it.
    assert not (place / "out" / "table.md").exists()
    study.write()
    assert "fusion_lab.Study('base.yaml')" in (place / "out" / "table.md").read_text()
    given = json.loads((place / "out" / "seed1" / "base-b-lr=2.0" / "options.json").read_text())
    assert given[:4] == ["-c", "out/configs/base-b-lr=2.0.yaml", "--model.lr=2.0", "--exp.data_root=x"]
    assert yaml.safe_load((place / given[1]).read_text()) == {"exp": {"name": "base"}, "b": True}
    assert given[4:] == ["--exp.name=base-b-lr=2.0", "--exp.seed=1", "--exp.output=out/seed1"]


def test_seeds_may_be_named_and_nothing_is_run_again(place):
    study = fusion_lab.Study("base.yaml", axes={"model.lr": [1.0]}, seeds=[7], folder="out").run()
    before = (place / "out" / "seed7" / "base-lr=1.0" / "result.json").stat().st_mtime_ns
    study.run()
    assert (place / "out" / "seed7" / "base-lr=1.0" / "result.json").stat().st_mtime_ns == before
    assert study.table()["val/loss"]["mean"].item() == 8.0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"axes": {"x": "none/*.yaml"}}, "No configuration matches 'none/\\*.yaml' of the axis 'x'"),
        ({"axes": {"x": []}}, "axis 'x' has no values"),
        ({"experiments": "nowhere.yaml"}, r"nowhere\.yaml does not exist"),
        ({"experiments": []}, "needs an experiment"),
        ({"axes": {"x": ["a.yaml", "./a.yaml"]}}, "have the same `exp.name`"),
    ],
)
def test_mistakes(place, arguments, told):
    with pytest.raises(fusion_lab.FusionLabError, match=told):
        fusion_lab.Study(**{"experiments": "base.yaml", "folder": "out", **arguments})


def test_a_table_needs_results_and_a_row_that_is_there(place):
    study = fusion_lab.Study("base.yaml", axes={"model.lr": [1.0]}, seeds=1, folder="out")
    with pytest.raises(fusion_lab.FusionLabError, match="has ended yet"):
        study.table()
    study.run()
    with pytest.raises(fusion_lab.FusionLabError, match="no experiment 'x' to compare with"):
        study.table(against="x")


def test_a_file_of_several_experiments_names_them_all():
    study = fusion_lab.Study("tita/components", seeds=1, layers=["configs/data/embedded.yaml"])
    names = "no-component ti ta mo ti-ta ti-mo ta-mo ti-ta-mo"
    assert [trial.name for trial in study.trials] == [f"tita-{name}" for name in names.split()]


def test_the_rows_of_several_experiments_with_axes_are_told_apart():
    study = fusion_lab.Study(
        "gifnet/auxiliary",
        axes={"model.optimizer.lr": [1e-3, 1e-4]},
        seeds=1,
        layers=["configs/data/joint_embedded.yaml"],
    )
    titles = [trial.title for trial in study.trials]
    assert len(titles) == len(set(titles)) == 2 * len({title.partition(",")[0] for title in titles}) > 2


def test_what_a_study_began_with_is_what_it_trains(place):
    study = fusion_lab.Study("base.yaml", axes={"model.lr": [1.0]}, seeds=2, folder="out")
    trials = iter(study.run(launcher=Editing(place)).trials)
    for trial in trials:
        words = json.loads((trial.run / "options.json").read_text())
        kept = yaml.safe_load((place / words[words.index("-c") + 1]).read_text())
        assert kept == {"exp": {"name": "base"}}


class Editing(launching.Processes):
    """Edits the experiment once the first trial has begun."""

    def __init__(self, folder):
        super().__init__()
        object.__setattr__(self, "folder", folder)

    def start(self, trial, place, group):
        started = super().start(trial, place, group)
        (self.folder / "base.yaml").write_text("exp: {name: base}\nmodel: {lr: 9}\n")
        return started


def test_further_seeds_of_another_configuration_are_refused(place):
    given = {"axes": {"model.lr": [1.0]}, "folder": "out"}
    fusion_lab.Study("base.yaml", seeds=[0], overrides={"exp.data_root": "x"}, **given).run()
    with pytest.raises(fusion_lab.FusionLabError, match="another configuration or other overrides"):
        fusion_lab.Study("base.yaml", seeds=[1], overrides={"exp.data_root": "y"}, **given).run()


@pytest.mark.parametrize("given", [{"axes": {"exp.seed": [5, 6]}}, {"overrides": {"exp.name": "mine"}}])
def test_what_a_study_itself_gives_is_refused(place, given):
    with pytest.raises(fusion_lab.FusionLabError, match="itself gives `exp"):
        fusion_lab.Study("base.yaml", **given)


def test_no_jobs_at_a_time_are_refused(place):
    with pytest.raises(fusion_lab.FusionLabError, match="`jobs` should be at least 1"):
        fusion_lab.Study("base.yaml", folder="out").run(jobs=0)


def test_a_sweep_that_is_run_twice_is_the_same_sweep(place):
    content = {
        "method": "grid",
        "command": ["fusion-lab", "fit", "--config=base.yaml", "${args}"],
        "parameters": {"model.lr": {"values": [1, 2]}, "exp.seed": {"value": 0}},
    }
    (place / "sweep.yaml").write_text(yaml.safe_dump(content))
    study = fusion_lab.Study(plan=Sweep(read_sweep(place / "sweep.yaml"), place / "out"), folder=place / "out")
    titles = [trial.title for trial in study.run().trials]
    assert [trial.title for trial in study.run().trials] == titles == ["lr=1", "lr=2"]
