import pytest
import torch
from torch import nn

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.cost import costs, named_networks, operations, peak_memory
from fusion_lab.inference.weights import save_network
from fusion_lab.networks import TITA, Average, FusionNetwork, GIFNet, Maximum


class Convolution(FusionNetwork):
    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, channels, 3, padding=1, bias=False)

    def forward(self, source_a, source_b):
        return self.layer(torch.cat([source_a, source_b], dim=1)).relu().sum(dim=1, keepdim=True)


def test_operations_are_counted_by_hand():
    found = operations(Convolution(), 16, 24)
    assert found["flop"] == 2 * 4 * 2 * 9 * 16 * 24
    # The ReLU makes and the sum reads each of the four maps.
    assert found["other_flop"] == 2 * 4 * 16 * 24


@pytest.mark.parametrize("network", [TITA(12, 2, num_interaction_blocks=1), GIFNet(2, 2, 4)])
def test_products_grow_with_the_image_alone(network):
    small, large = (operations(network, side, side)["flop"] for side in (32, 64))
    assert large == pytest.approx(4 * small, rel=0.02)


def test_strips_change_no_count():
    network = TITA(12, 2, num_interaction_blocks=1)
    found = costs({"TITA": network}, 64, 64, rounds=1)["TITA"]
    assert found.flop == operations(network, 64, 64)["flop"]
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())


def test_networks_take_turns_and_keep_their_mode():
    network = Convolution().train()
    found = costs({"one": network, "other": Average()}, 16, 16, rounds=3)
    assert [len(cost.seconds_of_rounds) for cost in found.values()] == [3, 3]
    assert sorted(found["one"].seconds_of_rounds)[1] == found["one"].seconds
    assert network.training


def test_peak_memory_is_that_of_the_maps():
    # 64 float32 maps of one MiB each, and what the ReLU makes of them.
    peak = peak_memory(Convolution(64), 512, 512)
    assert 64 * 2**20 <= peak <= 400 * 2**20


def test_mixed_precision():
    assert costs({"one": Convolution()}, 16, 16, dtype="bfloat16", rounds=1)["one"].flop > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"height": 4}, "too small"),
        ({"dtype": "int8"}, "float32, bfloat16, float16"),
        ({"rounds": 0}, "`rounds` should be 1 or more"),
    ],
)
def test_mistakes(arguments, told):
    with pytest.raises(FusionLabError, match=told):
        costs({"Maximum": Maximum()}, **{"height": 16, "width": 16} | arguments)


def test_gifnet_asks_for_the_share_of_titas_operations_that_its_size_tells():
    """Not the 96 % less of its paper, which compares with networks that are not here: the measured share is told."""
    tita, gifnet = (operations(network, 480, 640)["flop"] for network in (TITA(), GIFNet()))
    assert gifnet / tita == pytest.approx(0.412, abs=0.01)


def test_networks_are_named_and_files_may_hold_an_equals_sign(tmp_path):
    file = tmp_path / "step=2.safetensors"
    save_network(TITA(12, 2, num_interaction_blocks=1), file)
    found = named_networks(
        [str(file), f"TITA={file}", "fusion_lab.networks.Average", "Mean=fusion_lab.networks.Average"]
    )
    assert list(found) == ["step=2", "TITA", "Average", "Mean"]
    with pytest.raises(FusionLabError, match="Two networks are called 'Average'"):
        named_networks(["fusion_lab.networks.Average"] * 2)
