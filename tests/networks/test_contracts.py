"""What every fusion network promises, tried on every one there is."""

import copy
import inspect
import json
import pickle
import pkgutil
from importlib import import_module

import pytest
import torch

import fusion_lab.networks
from fusion_lab.networks import FusionNetwork

# Arguments that make a network small; those that have none are tried as they come.
SMALL = {
    "GIFNet": {"width": 4, "num_heads": 2},
    "TITA": {
        "embed_dim": 12,
        "num_heads": 2,
        "num_extraction_blocks": 2,
        "num_interaction_blocks": 2,
        "num_reconstruction_blocks": 2,
    },
}
# What fusing a pair has no use for.
TRAINING_ONLY = {"GIFNet": ("reconstruction.", "influence.multi_modal", "multi_modal.blocks.1.")}
SIZES = [(8, 8), (9, 13), (37, 53)]


def all_networks():
    found = set()
    for info in pkgutil.walk_packages(fusion_lab.networks.__path__, "fusion_lab.networks."):
        for cls in vars(import_module(info.name)).values():
            if inspect.isclass(cls) and issubclass(cls, FusionNetwork) and not inspect.isabstract(cls):
                found.add(cls)
    return sorted(found, key=lambda cls: cls.__name__)


@pytest.fixture(params=all_networks(), ids=lambda cls: cls.__name__)
def network(request):
    torch.manual_seed(0)
    return request.param(**SMALL.get(request.param.__name__, {})).eval()


def sources(batch, height, width):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, batch, 1, height, width, generator=generator).unbind()


def test_all_networks_are_found():
    assert {"TITA", "Average"} <= {cls.__name__ for cls in all_networks()}
    assert {cls.__name__ for cls in all_networks()} >= set(SMALL)


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_size_is_kept_and_output_is_finite(network, size):
    a, b = sources(2, *size)
    fused = network(a, b)
    assert fused.shape == a.shape
    assert fused.dtype == a.dtype
    assert fused.isfinite().all()
    flat = torch.zeros_like(a)
    assert network(flat, flat).isfinite().all()


def test_every_parameter_gets_a_gradient(network):
    if not list(network.parameters()):
        pytest.skip("nothing to learn")
    network.train()
    network(*sources(2, 16, 16)).square().sum().backward()
    used_in_training_only = TRAINING_ONLY.get(type(network).__name__, ())
    without = [n for n, p in network.named_parameters() if p.grad is None and not n.startswith(used_in_training_only)]
    assert not without
    # Some are zero by nature, as those of key biases: a softmax does not feel them.
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert not [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    still = [name for name, gradient in gradients.items() if gradient.abs().max() == 0 and "key" not in name]
    assert not still


@torch.no_grad()
def test_batch_equals_one_by_one(network):
    network.double()
    a, b = (source.double() for source in sources(3, 9, 13))
    alone = torch.cat([network(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(a, b), alone, atol=1e-10, rtol=1e-10)


@torch.no_grad()
def test_evaluation_is_repeatable_and_leaves_no_state(network):
    a, b = sources(1, 9, 13)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = network(a, b)
    network(*sources(2, 16, 8))
    assert torch.equal(network(a, b), first)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@torch.no_grad()
def test_sources_are_not_written_to(network):
    a, b = sources(1, 16, 16)
    kept = a.clone(), b.clone()
    network(a, b)
    assert torch.equal(a, kept[0])
    assert torch.equal(b, kept[1])


def build(value):
    """Turn dotted paths of this package back into what they name."""
    if isinstance(value, list):
        return [build(item) for item in value]
    if isinstance(value, str) and value.startswith("fusion_lab."):
        module, _, name = value.rpartition(".")
        return getattr(import_module(module), name)
    return value


@torch.no_grad()
def test_description_survives_json_and_builds_the_same_network(network):
    description = json.loads(json.dumps(network.description))
    arguments = {name: build(value) for name, value in description["init_args"].items()}
    again = build(description["class_path"])(**arguments).eval()
    assert type(again) is type(network)
    assert again.description == network.description
    again.load_state_dict(network.state_dict())
    a, b = sources(1, 9, 13)
    assert torch.equal(again(a, b), network(a, b))


def test_description_holds_the_defaults_too(network):
    parameters = inspect.signature(type(network).__init__).parameters
    assert ["self", *network.description["init_args"]] == list(parameters)


def test_copies_keep_the_description(network):
    assert copy.deepcopy(network).description == network.description
    assert pickle.loads(pickle.dumps(network)).description == network.description


class Scaled(FusionNetwork):
    def __init__(self, factor, offsets=(0.5, [1]), kind=dict):
        super().__init__()

    def forward(self, source_a, source_b):
        return source_a


def test_description_tells_every_argument_however_it_was_given():
    expected = {"factor": 3, "offsets": [0.5, [1]], "kind": "builtins.dict"}
    for network in (Scaled(3), Scaled(factor=3), copy.deepcopy(Scaled(3)), pickle.loads(pickle.dumps(Scaled(3)))):
        assert network.description == {"class_path": f"{__name__}.Scaled", "init_args": expected}


def test_missing_and_unknown_arguments_are_errors():
    with pytest.raises(TypeError, match="factor"):
        Scaled()
    with pytest.raises(TypeError, match="depths"):
        Scaled(3, depths=[6])


def test_parts_hold_every_parameter_once(network):
    in_parts = [id(p) for part in network.parts().values() for p in part.parameters()]
    assert sorted(in_parts) == sorted(id(p) for p in network.parameters())
