import pytest
import torch

from examples.cifar100.resnet import ResidualBlock, ResNet


def test_resnet56_has_the_size_of_the_published_one():
    """0.85 million for ten classes (He et al., 2016, table 6)."""
    assert sum(p.numel() for p in ResNet(10).parameters()) == pytest.approx(0.85e6, rel=0.01)
    convolutions = [m for m in ResNet().modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) + 1 == 56


@torch.no_grad()
def test_stages_halve_the_map_and_double_the_channels():
    x = torch.rand(2, 16, 32, 32)
    assert ResidualBlock(16, 32)(x).shape == (2, 32, 16, 16)
    assert ResNet(7, blocks=1)(torch.rand(2, 3, 32, 32)).shape == (2, 7)


@torch.no_grad()
def test_the_way_around_has_no_parameters():
    block = ResidualBlock(2, 4).eval()
    torch.nn.init.zeros_(block.norm2.weight)
    x = torch.rand(1, 2, 4, 4)
    out = block(x)
    assert torch.equal(out[:, :2], x[..., ::2, ::2])
    assert not out[:, 2:].any()
