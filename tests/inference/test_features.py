import pytest
import torch

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.features import PARTS, feature_maps
from fusion_lab.networks import Average, GIFNet

SOURCES = torch.rand(2, 1, 1, 37, 53, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return GIFNet(2, 2, 4).eval()


def test_maps_of_the_parts(network):
    maps = feature_maps(network, *SOURCES)
    assert tuple(maps) == PARTS == ("encoder", "multi_modal", "digital_photography")
    with torch.no_grad():
        features = network.encoder(*SOURCES)
        for name, each in maps.items():
            own = features if name == "encoder" else network.interact(features, features, name)
            torch.testing.assert_close(each, own.abs().mean(1)[0])
    assert not torch.allclose(maps["multi_modal"], maps["digital_photography"])


def test_tiles_and_the_mode_of_the_network(network):
    network.train()
    limit = network.bytes_per_pixel * 34 * 34 / 2**30
    tiled, whole = feature_maps(network, *SOURCES, limit), feature_maps(network, *SOURCES)
    # The encoder sees seven pixels across, the branches normalise over a tile.
    torch.testing.assert_close(tiled["encoder"], whole["encoder"], atol=1e-6, rtol=0)
    assert tiled["multi_modal"].shape == (37, 53)
    assert not torch.equal(tiled["multi_modal"], whole["multi_modal"])
    assert network.training


def test_other_networks_are_told():
    with pytest.raises(FusionLabError, match=r"network \(Average\) has no shared encoder"):
        feature_maps(Average(), *SOURCES)
