"""`fusion_lab.Run`: composing, training, going on, scoring, beginning with weights, from Python."""

import logging
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch

import fusion_lab
from fusion_lab.inference.weights import save_network
from fusion_lab.networks import TITA
from fusion_lab.runs.compose import override
from fusion_lab.runs.endings import in_sentences
from fusion_lab.runs.start import start_from
from tests.tiny import NETWORK, make_pairs, overlay, trainer


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_pairs(folder / "train", ivf=2, mff=1, mef=1)
    return overlay(folder, folder / "train", folder / "train")


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("lightning").setLevel(logging.WARNING)


@pytest.fixture(scope="module")
def done(config):
    """A run and its result."""
    run = fusion_lab.Run.load(config, {"trainer.max_steps": 2})
    return run, run.fit()


def test_a_result_has_steps_metrics_network_and_history(done):
    run, result = done
    assert (result.folder, result.steps, result.resumed_from) == (run.folder, 2, 0)
    assert result.metrics["val/ivf/EN"] > 0
    assert result.network.init_args["embed_dim"] == NETWORK["embed_dim"]
    history = result.history
    assert list(history["step"][history["train/loss"].notna()]) == [0, 1]
    again = fusion_lab.Result.read(result.folder)
    assert (again.steps, again.metrics) == (result.steps, result.metrics)


def test_scores_are_returned(done):
    run, result = done
    scores = run.validate("last")
    assert scores["val/ivf/EN"] == pytest.approx(result.metrics["val/ivf/EN"])
    assert set(run.test(result.folder / "checkpoints" / "last.ckpt")) == {n.replace("val/", "test/") for n in scores}
    assert sorted(path.name for path in run.predict("last").rglob("*.png")) == [
        "ivf0.png", "ivf1.png", "mef0.png", "mff0.png",
    ]  # fmt: skip


@pytest.fixture
def single(config, tmp_path):
    """An experiment of one task, which needs no second pass."""
    path = tmp_path / "single.yaml"
    text = "model: {init_args: {weighting: {class_path: fusion_lab.weighting.Equal}}}\n"
    path.write_text(f"_base_: {config}\n{text}data: {{init_args: {{train: {{mff: [], mef: []}}}}}}\n")
    return path


def test_going_on_is_asked_for(single, tmp_path):
    keys = {"exp.output": str(tmp_path), "trainer.limit_val_batches": 0}
    run = fusion_lab.Run.load(single, {**keys, "trainer.max_steps": 1})
    # Nothing has begun, and so it begins.
    assert run.fit(resume=True).steps == 1
    longer = fusion_lab.Run.load(single, {**keys, "trainer.max_steps": 2})
    with pytest.raises(fusion_lab.FusionLabError, match="already holds a run"):
        longer.fit()
    result = longer.fit(resume=True)
    assert (result.resumed_from, result.steps) == (1, 2)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(5)
    save_network(TITA(**NETWORK), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_training_begins_with_weights_and_a_new_optimizer(single, weights, tmp_path):
    keys = {"exp.output": str(tmp_path), "trainer.max_steps": 1, "trainer.limit_val_batches": 0}
    still = {**keys, "model.optimizer.lr": 0.0, "exp.seed": 3, "model.scheduler": None}
    result = fusion_lab.Run.load(single, still, weights=weights).fit()
    given, trained = fusion_lab.load_network(weights).state_dict(), result.network.state_dict()
    assert all(torch.equal(trained[name], tensor) for name, tensor in given.items())
    report = result.started_from
    assert (set(report.used), report.missing, report.left_out) == (set(given), [], [])
    assert (result.folder / "weights.txt").read_text().startswith(f"Training begins with {weights}: {len(given)} ten")
    assert result.steps == 1


def test_other_shapes_are_refused_unless_asked(weights):
    wide = TITA(**{**NETWORK, "embed_dim": 16})
    with pytest.raises(fusion_lab.FusionLabError, match=r"tensors have another shape, such as .*embed_dim: 12"):
        start_from(wide, str(weights))
    # No tensor is the same whatever the width.
    deeper = TITA(**{**NETWORK, "num_interaction_blocks": 3})
    report = start_from(deeper, str(weights), leave_out_misfits=True)
    assert report.used
    assert set(report.used) | set(report.missing) == set(deeper.state_dict())
    assert report.missing
    assert f"{len(report.missing)} missing (" in str(report)


def test_weights_of_another_network_are_refused():
    with pytest.raises(fusion_lab.FusionLabError, match="are of another network"):
        start_from(TITA(**NETWORK), "gifnet", leave_out_misfits=True)
    with pytest.raises(fusion_lab.FusionLabError, match="do not exist"):
        start_from(TITA(**NETWORK), "nowhere.safetensors")


def test_names_of_the_package_and_mistakes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = fusion_lab.Run.load(["tita/embedded", "configs/weighting/equal.yaml"], {"model.network.embed_dim": 12})
    assert run.config["model"]["init_args"]["network"]["init_args"]["embed_dim"] == 12
    assert run.config["model"]["init_args"]["weighting"]["class_path"].endswith("Equal")
    with pytest.raises(fusion_lab.FusionLabError, match=r"tita/nothing does not exist"):
        fusion_lab.Run.load("tita/nothing")
    with pytest.raises(fusion_lab.FusionLabError, match="did you mean 'max_steps'"):
        fusion_lab.Run.load("tita/embedded", {"trainer.max_step": 1})
    with pytest.raises(fusion_lab.FusionLabError, match="Name an experiment"):
        fusion_lab.Run.load([])


def test_overrides_know_classes_lists_and_appending():
    config = {"model": {"class_path": "A", "init_args": {"x": 1, "items": [1]}}}
    assert override(config, {"model.x": 2, "model.items+": [3]})["model"]["init_args"] == {"x": 2, "items": [1, 3]}
    assert override(config, {"model.init_args.y.z": 1})["model"]["init_args"]["y"] == {"z": 1}
    assert override(config, {"model": {"class_path": "B"}}) == {"model": {"class_path": "B"}}
    with pytest.raises(fusion_lab.FusionLabError, match=r"`model\.init_args\.items` is a list"):
        override(config, {"model.items.x": 1})


def test_the_command_takes_weights(single, weights, tmp_path, capsys):
    from fusion_lab.cli.main import main

    keys = [f"--exp.output={tmp_path}", "--trainer.max_steps=1", "--trainer.limit_val_batches=0"]
    assert main(["fit", "--config", str(single), *keys, f"--exp.weights={weights}"]) == 0
    assert f"Training begins with {weights}: " in capsys.readouterr().out


def test_a_run_that_stops_early_keeps_its_last_step_and_goes_on_from_it(single, tmp_path):
    stops = {
        "class_path": "lightning.pytorch.callbacks.EarlyStopping",
        "init_args": {"monitor": "val/loss", "stopping_threshold": 1e9},
    }
    keys = {"exp.output": str(tmp_path), "trainer.max_steps": -1, "trainer.max_epochs": 2}
    keys |= {"trainer.val_check_interval": 1.0, "trainer.check_val_every_n_epoch": 1, "trainer.log_every_n_steps": 1}
    early = fusion_lab.Run.load(single, {**keys, "trainer.callbacks+": [stops]}).fit()
    assert 0 < early.steps == torch.load(early.folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert early.network.init_args["embed_dim"] == NETWORK["embed_dim"]
    whole = fusion_lab.Run.load(single, {**keys, "exp.name": "whole"}).fit()
    resumed = fusion_lab.Run.load(single, keys).fit(resume=True)
    assert resumed.steps == whole.steps == 2 * early.steps
    assert resumed.metrics == whole.metrics
    assert resumed.history.equals(whole.history)


def test_scores_and_pictures_tell_the_steps_of_their_checkpoint(done):
    run, result = done
    run.validate("last")
    scores = pd.read_csv(result.folder / "log" / "scores.csv")
    assert scores["step"].iloc[-1] == result.steps


def test_values_of_numpy_and_paths_are_taken(config, tmp_path):
    keys = {"exp.data_root": tmp_path, "model.optimizer.lr": np.float64(1e-4), "trainer.max_steps": np.int64(3)}
    made = fusion_lab.Run.load(config, keys).config
    assert made["exp"]["data_root"] == str(tmp_path)
    assert (made["model"]["init_args"]["optimizer"]["init_args"]["lr"], made["trainer"]["max_steps"]) == (1e-4, 3)


def test_loading_draws_no_numbers(config):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fusion_lab.Run.load(config)
    assert torch.equal(torch.rand(2), expected)


def test_a_trial_run_of_lightning_leaves_nothing_to_go_on_from(single, tmp_path):
    keys = {"exp.output": str(tmp_path), "trainer.max_steps": 1, "trainer.limit_val_batches": 0}
    fusion_lab.Run.load(single, {**keys, "trainer.fast_dev_run": True}).fit()
    assert fusion_lab.Run.load(single, keys).fit().steps == 1


def test_a_run_in_a_thread(single, tmp_path):
    run = fusion_lab.Run.load(single, {"exp.output": str(tmp_path), "trainer.max_steps": 1})
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(run.fit).result().steps == 1


@pytest.mark.parametrize("experiment", ["tita/embedded", "gifnet/embedded"])
@pytest.mark.parametrize("layer", ["gpu", "gpus"])
def test_what_a_gpu_wants_is_laid_over_every_network(experiment, layer):
    config = fusion_lab.Run.load([experiment, f"configs/trainer/{layer}.yaml"]).config
    assert config["model"]["init_args"]["optimizer"]["init_args"]["fused"]


def test_mixed_tasks_have_no_overfit_batches(single, tmp_path):
    run = fusion_lab.Run.load(single, {"exp.output": str(tmp_path), "trainer.overfit_batches": 1})
    with pytest.raises(fusion_lab.FusionLabError, match="overfit_batches"):
        run.fit()


def test_ctrl_c_is_heard_again_whatever_happens(tmp_path):
    def interrupted():
        with in_sentences(trainer(tmp_path), None):
            # As Lightning does before it shuts down.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise RuntimeError

    # A shell that runs the tests in the background has them ignore it.
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(RuntimeError):
            interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outside)
