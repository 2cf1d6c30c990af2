"""Tables of runs that were trained before, here or on a server of W&B."""

import csv
import json
from types import SimpleNamespace

import pytest
import wandb
import yaml

from fusion_lab.cli.main import main


def write_run(folder, name, seed, loss, switches=None):
    run = folder / f"{name}-{seed}" / name
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"exp": {"name": name, "seed": seed, "switches": switches or {}}}))
    (run / "result.json").write_text(json.dumps({"steps": 5, "metrics": {"val/loss": loss}}))
    return run


def table(path):
    with (path / "table.csv").open(newline="") as file:
        return {row["experiment"]: (float(row["mean"]), row["seeds"]) for row in csv.DictReader(file)}


def test_runs_in_a_folder_are_compared(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / "runs", "whole", seed, 1.0 + seed, {"MUL": True})
        write_run(tmp_path / "runs", "minus", seed, 3.0 + seed, {"MUL": False})
    assert main(["ablate", "--from", str(tmp_path / "runs"), "-o", str(tmp_path / "out")]) == 0
    assert table(tmp_path / "out") == {"whole": (1.5, "2"), "minus": (3.5, "2")}
    text = (tmp_path / "out" / "table.md").read_text()
    assert "| whole | ✓ |" in text
    assert "| minus | +2.000 [+2.000, +2.000] |" in text


def test_the_table_may_go_where_the_runs_are(tmp_path):
    write_run(tmp_path, "whole", 0, 1.0)
    # What `ablate` has kept there of the experiment.
    (tmp_path / "whole.yaml").write_text("config: {}\n")
    assert main(["ablate", "--from", str(tmp_path), "-o", str(tmp_path)]) == 0
    assert table(tmp_path) == {"whole": (1.0, "1")}
    assert (tmp_path / "whole.yaml").read_text() == "config: {}\n"


@pytest.fixture
def server(monkeypatch):
    """What the public API answers for a sweep of five runs: one of them still runs, one was ended early."""

    def run(name, seed, state, **summary):
        config = {
            "exp": {"name": name, "seed": seed, "switches": {"TI": name == "whole"}},
            "trainer": {"max_steps": 60},
        }
        numbers = {"_step": 70, "_runtime": 31.5, "trainer/global_step": 59, "epoch": 2, "_wandb": {"runtime": 31}}
        return SimpleNamespace(
            id=f"{name}{seed}", url=f"https://wandb.ai/lab/fusion/runs/{name}{seed}", state=state, config=config,
            summary_metrics={**numbers, **summary},
        )  # fmt: skip

    def scores(loss, score):
        return {"val/loss": {"min": 1.0, "last": loss}, "val/ivf/Qabf": {"max": 0.6, "last": score}}

    runs = [
        run("whole", 0, "finished", **scores(2.0, 0.5)),
        run("whole", 1, "finished", **scores(3.0, 0.4)),
        run("minus", 0, "finished", **{"val/loss": 5.0, "val/ivf/Qabf": 0.25, "conflict": {"_type": "images"}}),
        run("minus", 1, "running", **{"val/loss": 9.0}),
        run("minus", 2, "finished", **{"val/loss": 7.0, "ended_early": True}),
    ]

    def sweep(path):
        if path != "lab/fusion/abc123":
            raise ValueError(f"Could not find sweep <Sweep {path}>")
        return SimpleNamespace(runs=runs)

    def some_runs(path, filters):
        if path != "lab/fusion":
            raise ValueError(f"Could not find project {path}")
        kept = {"{'group': 'first'}": runs[:1], "{'tags': {'$in': ['no MO']}}": runs[2:]}
        return kept.get(str(filters), [])

    monkeypatch.setattr(wandb, "Api", lambda: SimpleNamespace(sweep=sweep, runs=some_runs))
    return runs


def test_runs_of_a_server_are_compared_by_their_last_values(server, tmp_path):
    assert main(["ablate", "--from", "wandb:lab/fusion/abc123", "-o", str(tmp_path)]) == 0
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = {(row["experiment"], row["metric"]): row for row in csv.DictReader(file)}
    assert float(rows["whole", "val/loss"]["mean"]) == 2.5
    assert float(rows["whole", "val/ivf/Qabf"]["mean"]) == pytest.approx(0.45)
    assert rows["minus", "val/loss"]["seeds"] == "1"
    assert "- Steps: 60" in (tmp_path / "table.md").read_text()
    source = tmp_path / "wandb" / "abc123" / "minus0" / "source.txt"
    assert source.read_text() == "https://wandb.ai/lab/fusion/runs/minus0\n"


def test_a_table_made_again_forgets_runs_that_are_gone(server, tmp_path):
    command = ["ablate", "--from", "wandb:lab/fusion/abc123", "-o", str(tmp_path)]
    assert main(command) == 0
    del server[1]
    assert main(command) == 0
    assert table(tmp_path)["whole"][1] == "1"
    assert sorted(path.name for path in (tmp_path / "wandb" / "abc123").iterdir()) == ["minus0", "whole0"]


@pytest.mark.parametrize(("chosen", "name"), [("group=first", "whole"), ("tag=no MO", "minus")])
def test_runs_of_a_project_by_group_or_tag(server, tmp_path, chosen, name):
    assert main(["ablate", "--from", f"wandb:lab/fusion?{chosen}", "-o", str(tmp_path)]) == 0
    assert {experiment: seeds for experiment, (_, seeds) in table(tmp_path).items()} == {name: "1"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("wandb:lab/fusion/other", "W&B does not tell of the sweep lab/fusion/other (Could not find sweep"),
        ("wandb:fusion", "or ?tag=NAME. Found 'fusion'"),
        ("wandb:lab/fusion?group=other", "There is no run in wandb:lab/fusion?group=other that has ended"),
        ("wandb:lab/none?tag=x", "W&B does not tell of the runs of lab/none?tag=x (Could not find project"),
        ("wandb:lab/fusion", "or ?tag=NAME. Found 'lab/fusion'"),
        ("none", "The folder none does not exist"),
        (".", "There is no run in . that has ended"),
    ],
)
def test_mistakes(server, tmp_path, monkeypatch, capsys, source, told):
    monkeypatch.chdir(tmp_path)
    assert main(["ablate", "--from", source, "-o", "out"]) == 2
    assert told in capsys.readouterr().err


def test_two_runs_of_one_name_and_seed_and_a_broken_one_are_told(tmp_path, capsys):
    first = write_run(tmp_path / "one", "whole", 0, 1.0)
    write_run(tmp_path / "two", "whole", 0, 1.0)
    assert main(["ablate", "--from", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "have the same name and seed, whole and 0" in capsys.readouterr().err
    (first / "config.yaml").unlink()
    assert main(["ablate", "--from", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "is missing or broken" in capsys.readouterr().err


def test_either_experiments_or_runs(capsys):
    assert main(["ablate", "-o", "out"]) == 2
    assert "Name experiments to run, or runs to compare by --from." in capsys.readouterr().err
