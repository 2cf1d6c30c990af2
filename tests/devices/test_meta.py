"""Forward and backward without numbers: shapes, types and one device all the way."""

from importlib import import_module

import pytest
import torch
import yaml

from fusion_lab.networks import TITA
from tests.devices.meta_device import HostSyncs, meta_is_a_device
from tests.devices.test_fake_cuda import TERMS, VARIANTS
from tests.networks.test_contracts import SMALL, TRAINING_ONLY, all_networks
from tests.tiny import REPOSITORY

# Two move their parameters in place, which cannot be done to meta; two cannot do with numbers that are made up.
LOOKS_AT_NUMBERS = {"imtl_l", "uncertainty", "geometric_mean", "upgrad"}
WEIGHTINGS = sorted(
    path for path in (REPOSITORY / "configs/weighting").glob("*.yaml") if path.stem not in LOOKS_AT_NUMBERS
)


def images(*shape):
    return torch.empty(shape, device="meta")


def backward(network):
    fused = network.to("meta")(images(2, 1, 16, 24), images(2, 1, 16, 24))
    fused.square().sum().backward()
    return {name for name, parameter in network.named_parameters() if parameter.grad is None}


@pytest.mark.parametrize("cls", all_networks(), ids=lambda cls: cls.__name__)
def test_networks(cls):
    network = cls(**SMALL.get(cls.__name__, {}))
    if not list(network.parameters()):
        assert network(images(2, 1, 16, 24), images(2, 1, 16, 24)).is_meta
        return
    assert all(name.startswith(TRAINING_ONLY.get(cls.__name__, ())) for name in backward(network))


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_tita(variant):
    assert not backward(TITA(**{**SMALL["TITA"], **VARIANTS[variant]}))


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_losses(term):
    fused = images(2, 1, 48, 48).requires_grad_()
    term(fused, {name: images(2, 1, 48, 48) for name in ("source_a", "source_b", "target")}).backward()
    assert fused.grad.is_meta


def make(value):
    """Make what a configuration names by class paths."""
    if isinstance(value, dict) and "class_path" in value:
        module, name = value["class_path"].rsplit(".", 1)
        return getattr(import_module(module), name)(**make(value.get("init_args", {})))
    return {key: make(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("path", WEIGHTINGS, ids=lambda path: path.stem)
def test_weightings(path, monkeypatch):
    weighting = make(yaml.safe_load(path.read_text())["model"]["init_args"]["weighting"])
    weighting.setup(["ivf", "mff", "mef"])
    weighting.to("meta")
    shared = images(5).requires_grad_()
    # Solvers ask for numbers.
    with meta_is_a_device(monkeypatch), HostSyncs():
        losses = {task: (shared * scale).square().sum() for scale, task in enumerate(weighting.tasks, 1)}
        weighting(losses).backward()
        weighting.update(*[{task: loss.detach() for task, loss in losses.items()}] * 2)
    assert shared.grad.is_meta
