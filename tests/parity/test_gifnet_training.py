"""GIFNet's training step against the stored one of the official code."""

import json
from math import isnan
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import Callback
from torch.utils.data import DataLoader

from fusion_lab.callbacks import AlternatingFreeze
from fusion_lab.inference.weights import load_network
from fusion_lab.losses import InformationError, SquaredError
from fusion_lab.losses.information import FixedInformation
from fusion_lab.losses.information.base import squared_response
from fusion_lab.losses.multi_scale_structure import multi_scale_ssim
from fusion_lab.modules import GIFNetModule
from fusion_lab.networks.checkpoints import from_official_gifnet
from fusion_lab.runs.compose import compose
from tests.tiny import REPOSITORY, trainer

pytestmark = pytest.mark.shared

PHASES = {"phase1": "multi_modal", "phase2": "digital_photography"}
FREEZING = {
    name: compose([REPOSITORY / "configs" / "freezing" / f"{name}.yaml"])["trainer"]["callbacks"][0]["init_args"]
    for name in ("strict", "official")
}
TOLERANCE = 1e-4
ADAM = 1e-3


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "golden" / "gifnet"


@pytest.fixture(scope="module")
def batch(golden):
    stored = {name: torch.from_numpy(array) for name, array in np.load(golden / "train_trace.npz").items()}
    return {
        "ivf": {"source_a": stored["vi"], "source_b": stored["ir"]},
        "mff": {"source_a": stored["far"], "source_b": stored["near"], "target": stored["vi"]},
    }


def make_module(golden):
    network = load_network(golden / "Final.model").train().requires_grad_(True)
    objectives = {"ivf": {"information": InformationError(FixedInformation())}, "mff": {"error": SquaredError()}}
    return GIFNetModule(network, objectives)


@pytest.fixture(scope="module")
def steps(golden, batch):
    """What each kind of freezing leads to in each phase: the loss terms, and the gradient of every parameter."""
    module = make_module(golden)
    network = module.network
    found = {}
    for kind, arguments in FREEZING.items():
        freeze = AlternatingFreeze(**arguments)
        for number, (phase, branch) in enumerate(PHASES.items()):
            place = SimpleNamespace(global_step=number, accumulate_grad_batches=1)
            freeze.on_train_batch_start(place, module, batch, 0)
            assert module.phase == branch
            network.zero_grad()
            (terms,) = module.task_terms(batch).values()
            torch.stack(list(terms.values())).sum().backward()
            gradients = {name: None if p.grad is None else p.grad.clone() for name, p in network.named_parameters()}
            found[kind, phase] = ({name: term.item() for name, term in terms.items()}, gradients)
        freeze.on_train_end(SimpleNamespace(), module)
    return found


@pytest.fixture(scope="module")
def trace(golden):
    return json.loads((golden / "train_trace.json").read_text())


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", FREEZING)
def test_losses(steps, trace, kind, phase):
    terms, _ = steps[kind, phase]
    private = sum(value for name, value in terms.items() if name.startswith("private"))
    assert private == pytest.approx(trace[phase]["L_pri"], rel=TOLERANCE)
    assert terms["public_structure"] == pytest.approx(1 - trace[phase]["ms_ssim_norm"], rel=TOLERANCE, abs=1e-6)
    assert terms["public_error"] == pytest.approx(trace[phase]["mse_rec"], rel=TOLERANCE)
    assert sum(terms.values()) == pytest.approx(trace[phase]["L_total"], rel=TOLERANCE)


def official_norms(trace, phase):
    """The stored norm of the gradient of each parameter of ours, NaN where it has none."""
    stored = {n: torch.tensor(torch.nan if x is None else x) for n, x in trace[phase]["grad_norm_param"].items()}
    return {name: number.item() for name, number in from_official_gifnet(stored).items()}


@pytest.mark.parametrize("phase", PHASES)
def test_official_freezing_leaks_as_the_release_does(steps, trace, phase):
    _, gradients = steps["official", phase]
    expected = official_norms(trace, phase)
    assert gradients.keys() == expected.keys()
    for name, norm in expected.items():
        assert (gradients[name] is None) == isnan(norm), name
        if not isnan(norm):
            # Gradients that cancel, such as that of a bias before a softmax, are rounding.
            assert gradients[name].norm().item() == pytest.approx(norm, rel=TOLERANCE, abs=1e-8), name


@pytest.mark.parametrize("phase", PHASES)
def test_strict_freezing_leaves_the_same_gradients_to_the_rest(steps, phase):
    _, strict = steps["strict", phase]
    _, official = steps["official", phase]
    frozen = "digital_photography." if phase == "phase1" else "multi_modal."
    assert any(gradient is not None for name, gradient in official.items() if name.startswith(frozen))
    for name, gradient in official.items():
        if name.startswith(frozen) or gradient is None:
            assert strict[name] is None
        else:
            assert torch.equal(strict[name], gradient), name


@pytest.mark.parametrize("phase", PHASES)
def test_gradients_themselves(steps, golden, phase):
    stored = np.load(golden / "train_trace.npz")
    arrays = {n.split(":")[1]: torch.from_numpy(stored[n]) for n in stored if n.startswith(f"{phase}_grad:")}
    for name, expected in from_official_gifnet(arrays).items():
        gradient = steps["official", phase][1][name]
        if len(expected):
            torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)
        else:
            assert gradient is None


@pytest.mark.parametrize("size", [64, 128, 176])
def test_multi_scale_ssim(golden, size):
    stored = np.load(golden / "functions.npz")
    x, y = (torch.from_numpy(stored[f"p{size}_{name}"]).double() for name in "ab")
    assert multi_scale_ssim(x, y).item() == pytest.approx(stored[f"p{size}_msssim_norm"].item(), abs=1e-6)
    below = stored[f"p{size}_msssim_norm_minus1"].item()
    assert multi_scale_ssim(2 * x - 1, y).item() == pytest.approx(below, abs=1e-6)


def test_information_of_features(golden):
    stored = np.load(golden / "functions.npz")
    measured = [
        torch.stack([squared_response(torch.from_numpy(stored[f"info_f{side}{i}"])) for i in range(3)]).mean()
        for side in "ab"
    ]
    assert [m.item() for m in measured] == pytest.approx([stored["info_ga"].item(), stored["info_gb"].item()], rel=1e-6)
    assert torch.stack(measured).softmax(0)[0].item() == pytest.approx(stored["info_wa"].item(), abs=1e-6)
    response = torch.from_numpy(stored["grad_out"])
    expected = response.square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(squared_response(torch.from_numpy(stored["grad_in"])), expected)


@pytest.mark.parametrize("drift", [False, True])
def test_some_steps_of_adam(golden, batch, trace, tmp_path, drift):
    """By Lightning, with gradients set to None and, as in the PyTorch of the release, to zero."""
    kind = "adam_grad_zero_torch1.8" if drift else "adam_grad_none_torch2"
    told = []

    class Losses(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            told.append({name: value.item() for name, value in trainer.callback_metrics.items()})

    module, rounds = make_module(golden), trace[kind]
    freeze = AlternatingFreeze(**{**FREEZING["official"], "drift": drift})
    batches = DataLoader([batch] * (2 * len(rounds)), batch_size=None)
    trainer(tmp_path, max_epochs=1, callbacks=[freeze, Losses()]).fit(module, batches)
    expected = [one[phase] for one in rounds for phase in PHASES]
    for logged, stored, task in zip(told, expected, ["ivf", "mff"] * len(rounds), strict=True):
        terms = {name.split("/")[-1]: value for name, value in logged.items() if name.startswith(f"train/{task}/")}
        private = sum(value for name, value in terms.items() if name.startswith("private"))
        # Adam's first steps go by the sign of a gradient, which rounding turns where there is almost none.
        assert private == pytest.approx(stored["L_pri"], rel=ADAM)
        assert terms["loss"] - private == pytest.approx(stored["L_pub"], rel=ADAM)
    sums = {name: torch.tensor(number) for name, number in trace[f"{kind}_final_abs_sum"].items()}
    parameters = dict(module.network.named_parameters())
    for name, number in from_official_gifnet(sums).items():
        assert parameters[name].abs().sum().item() == pytest.approx(number.item(), rel=ADAM, abs=2e-5), name
