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


def test_heads_must_divide_the_features():
    with pytest.raises(ValueError, match=r"`num_heads` should divide `2 \+ 3 width` \(98\)"):
        GIFNet(num_heads=3)
