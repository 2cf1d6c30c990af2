import pytest
import torch

from fusion_lab.networks import GIFNet

PHASES = ("multi_modal", "digital_photography")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return GIFNet(width=4).double().eval()


def features(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 14, 12, 20, dtype=torch.float64, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("task", PHASES)
def test_main_branch_takes_from_the_auxiliary_one_by_its_influence(network, task):
    main, one, other = (features(seed) for seed in range(3))
    assert not torch.allclose(network.interact(main, one, task), network.interact(main, other, task))
    network.influence[task].zero_()
    assert torch.equal(network.interact(main, one, task), network.interact(main, other, task))


@torch.no_grad()
def test_each_phase_has_its_own_main_branch(network):
    main, auxiliary = features(0), features(1)
    assert not torch.allclose(*(network.fuse(main, auxiliary, task) for task in PHASES))


def test_nothing_is_frozen_inside(network):
    """Whoever wants one branch to rest freezes it from outside."""
    main, auxiliary = features(0).requires_grad_(), features(1).requires_grad_()
    network.fuse(main, auxiliary, "multi_modal").sum().backward()
    assert main.grad.abs().max() > 0
    assert auxiliary.grad.abs().max() > 0
    assert all(parameter.grad is not None for parameter in network.digital_photography.blocks[0].parameters())


@pytest.mark.parametrize("task", PHASES)
def test_the_auxiliary_attention_may_be_detached(network, task):
    """The values stay, and so do the gradients of what the auxiliary branch does besides attention."""
    main, auxiliary = features(0), features(1)
    whole = network.fuse(main, auxiliary, task)
    detached = network.fuse(main, auxiliary, task, detach_auxiliary=True)
    assert torch.equal(detached, whole)
    detached.sum().backward()
    other = network.digital_photography if task == "multi_modal" else network.multi_modal
    block = other.blocks[0]
    assert all(p.grad is None for part in (block.query_key, block.value, block.projection) for p in part.parameters())
    assert all(p.grad is not None for part in (other.embedding, block.mlp) for p in part.parameters())


@torch.no_grad()
def test_without_influence_the_auxiliary_branch_does_not_matter():
    network = GIFNet(width=4, influence=0).double()
    main, one, other = (features(seed) for seed in range(3))
    assert torch.equal(network.fuse(main, one, PHASES[0]), network.fuse(main, other, PHASES[0]))
    assert not list(network.influence.parameters())


@torch.no_grad()
def test_influence_may_be_fixed_or_shared(network):
    main, auxiliary = features(0), features(1)
    state = network.state_dict()
    for task in PHASES:
        state[f"influence.{task}"] = torch.full((1,), 0.25)
    network.load_state_dict(state)
    rest = {name: tensor for name, tensor in state.items() if not name.startswith("influence.")}
    fixed, shared = (GIFNet(width=4, influence=value).double() for value in (0.25, "shared"))
    fixed.load_state_dict(rest)
    shared.load_state_dict({**rest, "influence.shared": torch.full((1,), 0.25)})
    for task in PHASES:
        expected = network.fuse(main, auxiliary, task)
        torch.testing.assert_close(fixed.fuse(main, auxiliary, task), expected)
        torch.testing.assert_close(shared.fuse(main, auxiliary, task), expected)


@torch.no_grad()
@pytest.mark.parametrize("main", PHASES)
def test_fusing_has_the_main_branch_that_was_chosen(main):
    network = GIFNet(width=4, main=main)
    a, b = torch.rand(2, 1, 1, 12, 20)
    encoded = network.encoder(a, b)
    assert torch.equal(network(a, b), network.fuse(encoded, encoded, main))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"influence": "fixed"}, "learnt, shared or a number"),
        ({"main": "ivf"}, "one of multi_modal, digital_photography"),
    ],
)
def test_wrong_arguments_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        GIFNet(**arguments)


def test_heads_must_divide_the_features():
    with pytest.raises(ValueError, match=r"`num_heads` should divide `2 \+ 3 width` \(98\)"):
        GIFNet(num_heads=3)
