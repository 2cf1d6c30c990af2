import pytest
import torch
from torch import nn

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.operation_weights import OperationWeightsReader, operation_weights
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.networks import TITA, Average
from fusion_lab.networks.operations.adaptive_fusion import AdaptiveFusion
from fusion_lab.networks.operations.addition import Addition
from fusion_lab.networks.operations.high_pass import HighPass
from tests.tiny import NETWORK


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = TITA(**NETWORK)
    # Fresh weights of OAF are nearly equal.
    nn.init.normal_(network.adaptation.weight_generator[2].weight)
    return network.train()


def images(height, width, batch=1):
    return torch.rand(2, batch, 1, height, width, generator=torch.Generator().manual_seed(0))


def test_weights_are_those_of_the_fusion(network):
    seen = []
    handle = network.adaptation.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    a, b = images(19, 13)
    found = operation_weights(network, a, b)
    handle.remove()
    ((x, y),) = seen
    # Padded as the official test programs do.
    assert x.shape[-2:] == (24, 16)
    expected = network.adaptation.operation_weights(x, y)[0].double()
    assert list(found) == ["HPF", "ADD", "MUL"]
    torch.testing.assert_close(torch.stack(list(found.values()), dim=-1), expected.detach(), rtol=0, atol=0)
    assert sum(weights.sum() for weights in found.values()) == pytest.approx(1)
    assert found["HPF"][0] != found["HPF"][1]


def test_tiles_share_the_weights_of_the_whole_image(network):
    whole = operation_weights(network, *images(60, 90))
    network.bytes_per_pixel = 2**30 // 48**2
    with OperationWeightsReader(network) as reader:
        fuse_luminance(network, *images(60, 90), memory_limit=1.0)
        tiles = list(reader._read["adaptation"])
        assert len(tiles) > 1
        assert all(torch.equal(tile, tiles[0]) for tile in tiles)
    found = operation_weights(network, *images(60, 90), memory_limit=1.0)
    for name, weights in found.items():
        torch.testing.assert_close(weights, tiles[0][0][:, list(found).index(name)])
        torch.testing.assert_close(weights, whole[name], rtol=0, atol=1e-4)


def test_network_is_left_as_it_was(network):
    operation_weights(network, *images(8, 8))
    assert all(part.training for part in network.modules())
    assert not network.adaptation._forward_hooks
    with pytest.raises(FusionLabError, match="too small"):
        operation_weights(network, *images(4, 4))
    assert not network.adaptation._forward_hooks


def test_reading_does_not_change_the_result(network):
    a, b = images(16, 16)
    expected = fuse_luminance(network, a, b)
    with OperationWeightsReader(network) as reader:
        assert reader.take() is None
        assert torch.equal(fuse_luminance(network, a, b), expected)
        assert reader.take().shape == (1, 2, 3)
        assert reader.take() is None
        network(*images(8, 8, batch=2))
        assert reader.take().shape == (2, 2, 3)


class Two(nn.Module):
    """OAF twice, with an operation of another name."""

    def __init__(self):
        super().__init__()
        other = type("Sharpen", (HighPass,), {})
        self.coarse, self.fine = AdaptiveFusion(4, [Addition]), AdaptiveFusion(4, [other, Addition])

    def forward(self, x, y):
        return self.fine(self.coarse(x, y), y)


def test_several_oafs_stand_in_one_row():
    with OperationWeightsReader(network := Two()) as reader:
        network(*torch.rand(2, 3, 4, 8, 8))
        weights = reader.take()
    assert reader.operations == ["coarse.ADD", "fine.Sharpen", "fine.ADD"]
    assert weights.shape == (3, 2, 3)
    torch.testing.assert_close(weights[..., :1].sum((1, 2)), torch.ones(3, dtype=torch.float64))


def test_fixed_weights_are_equal():
    with OperationWeightsReader(fusion := AdaptiveFusion(4, dynamic_weights=False)) as reader:
        fusion(*torch.rand(2, 2, 4, 8, 8))
        assert torch.allclose(reader.take(), torch.tensor(1 / 6, dtype=torch.float64))


def test_network_without_oaf_is_told():
    with pytest.raises(FusionLabError, match=r"network \(Average\) has no OAF") as error:
        operation_weights(Average(), *images(8, 8))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("limit", [6.0, 48**2 * 1e-6])
def test_the_first_weights_are_those_of_the_first_source_whichever_is_brighter(limit):
    torch.manual_seed(0)
    network = TITA(**NETWORK, brighter_first=True).eval()
    nn.init.normal_(network.adaptation.weight_generator[2].weight)
    network.bytes_per_pixel = 2**30 // 10**6
    a, b = images(60, 90)
    a = a / 2
    found, exchanged = operation_weights(network, a, b, limit), operation_weights(network, b, a, limit)
    for name, weights in found.items():
        assert torch.equal(weights, exchanged[name].flip(0))
    # The brighter one went first.
    with OperationWeightsReader(network) as reader:
        network.brighter_first = False
        fuse_luminance(network, b, a, limit)
        inside = reader._read["adaptation"][0][0]
        assert torch.equal(torch.stack(list(found.values()), dim=-1), inside.flip(0))
