from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.tiling import _padded, blending_weights, fuse_luminance
from fusion_lab.inference.weights import load_network
from fusion_lab.networks import TITA, Average, FusionNetwork
from fusion_lab.networks.layers.padding import pad_to_next_multiple

SIZES = [(8, 8), (9, 13), (37, 53)]


class Local(FusionNetwork):
    """Sees three pixels across, and notes the sizes that it is given."""

    bytes_per_pixel = 1024

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.sizes = []

    def forward(self, source_a, source_b):
        self.sizes.append(tuple(source_a.shape[-2:]))
        return self.drop(self.convolution(torch.cat([source_a, source_b], 1)))


class PaddedLocal(Local):
    test_padding = 8


def sources(height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 1, 1, height, width, generator=generator)


def gibibytes(pixels):
    return Local.bytes_per_pixel * pixels / 2**30


@pytest.mark.parametrize("network", [Local, PaddedLocal])
@pytest.mark.parametrize("size", [(70, 90), (64, 64), (200, 41), (9, 300), (50, 49), (131, 77)])
@pytest.mark.parametrize("pixels", [32 * 32, 40 * 40, 2000])
def test_tiles_equal_the_whole(network, size, pixels):
    network = network()
    a, b = sources(*size)
    whole = fuse_luminance(network, a, b)
    assert len(network.sizes) == 1
    tiled = fuse_luminance(network, a, b, gibibytes(pixels))
    tiles = network.sizes[1:]
    assert len(tiles) > 1
    assert max(height * width for height, width in tiles) <= pixels
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("tile", [32, 40, 64, 200, 512])
@pytest.mark.parametrize("length", [8, 13, 32, 33, 39, 64, 81, 200, 511, 1000, 2049])
def test_blending_weights(length, tile):
    starts, weights = blending_weights(length, tile)
    torch.testing.assert_close(weights.sum(0), torch.ones(length))
    assert weights.min() >= 0
    assert all(start % 8 == 0 for start in starts)
    assert starts == sorted(set(starts))
    for start, row in zip(starts, weights, strict=True):
        seen = row.nonzero()
        # No tile counts where it has no pixels, nor next to a border that is not the image's.
        assert seen.min() > start or start == 0
        assert seen.max() < start + tile - 1 or start + tile >= length
    assert weights.diff(dim=1).abs().max() < 0.45


@pytest.mark.parametrize("size", SIZES)
def test_small_and_odd_sizes(size):
    a, b = sources(*size)
    network = TITA(12, 2, num_extraction_blocks=1, num_interaction_blocks=2, num_reconstruction_blocks=1)
    fused = fuse_luminance(network, a, b)
    assert fused.shape == a.shape
    assert fused.isfinite().all()
    torch.testing.assert_close(fuse_luminance(Average(), a, b), (a + b) / 2)


@pytest.mark.parametrize("network", ["tita", "gifnet"])
@pytest.mark.parametrize("side", [56])
def test_tiles_give_the_whole_image_to_one_grey_level(network, side):
    """The halves of the image differ: whatever pools over one of its tiles alone would say something else there."""
    network = load_network(network)
    rows, columns = torch.linspace(0, 1, 64)[:, None], torch.linspace(0, 1, 80)
    a, b = sources(64, 80) * 0.3 + torch.stack([(rows * columns) ** 2, 1 - columns.expand(64, -1)])[:, None, None] * 0.7
    whole = fuse_luminance(network, a, b)
    tiled = fuse_luminance(network, a, b, network.bytes_per_pixel * side**2 / 2**30)
    assert not torch.equal(tiled, whole)
    assert (tiled - whole).abs().max() <= 1 / 255


@pytest.mark.parametrize("room", [True, False])
def test_tita_computes_what_its_tiles_have_to_tell_once_if_it_can_be_kept(monkeypatch, room):
    network = TITA(embed_dim=12, num_extraction_blocks=1, num_interaction_blocks=1, num_reconstruction_blocks=1).eval()
    limit = network.bytes_per_pixel * 40**2 / 2**30
    expected = fuse_luminance(network, *sources(64, 80), limit)
    called = []
    for part in (network.extraction_a, network.reconstruction):
        part.register_forward_hook(lambda part, *_: called.append(part))
    if not room:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert torch.equal(fuse_luminance(network, *sources(64, 80), limit), expected)
    tiles = called.count(network.reconstruction)
    assert tiles > 1
    assert called.count(network.extraction_a) == (1 if room else 2) * tiles


def test_padding_is_that_of_the_official_program():
    network = PaddedLocal()
    a, b = sources(16, 21)
    fuse_luminance(network, a, b)
    assert network.sizes == [(24, 24)]
    assert torch.equal(_padded(a, 8), pad_to_next_multiple(a, 8))


def test_sides_smaller_than_the_padding_are_mirrored_over_and_over():
    row = torch.arange(8.0).expand(1, 1, 40, 8)
    expected = [*range(8), *range(7, -1, -1), *range(8), *range(7, -1, -1)]
    padded = _padded(row, 32)
    assert padded.shape == (1, 1, 64, 32)
    assert padded[0, 0, 63].tolist() == expected


@pytest.mark.parametrize("size", [(7, 64), (64, 7), (1, 1)])
def test_too_small_images_are_told(size):
    with pytest.raises(FusionLabError, match=rf"{size[1]}x{size[0]}.*too small"):
        fuse_luminance(Average(), *sources(*size))


def test_different_sizes_are_told():
    with pytest.raises(FusionLabError, match="8x9 and 10x9"):
        fuse_luminance(Average(), torch.rand(1, 1, 9, 8), torch.rand(1, 1, 9, 10))


def test_hopeless_limit_is_told_with_one_that_does():
    a, b = sources(64, 64)
    with pytest.raises(FusionLabError, match=r"too small for Local: give 0\.001 or more"):
        fuse_luminance(Local(), a, b, 1e-9)
    assert fuse_luminance(Local(), a, b, 0.001).shape == a.shape


def test_network_evaluates_and_gets_its_modes_back():
    network = Local()
    network.train()
    network.convolution.eval()
    a, b = sources(16, 16)
    assert torch.equal(fuse_luminance(network, a, b), fuse_luminance(network, a, b))
    assert network.training
    assert network.drop.training
    assert not network.convolution.training


def test_device_without_room_is_told():
    class Greedy(Local):
        def forward(self, source_a, source_b):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(FusionLabError, match="lower the memory limit of 6 GiB"):
        fuse_luminance(Greedy(), *sources(16, 16))


def test_a_network_may_give_several_maps():
    class Both(Local):
        def forward(self, source_a, source_b):
            return torch.cat([super().forward(source_a, source_b), source_b], 1)

    network = Both()
    a, b = sources(70, 90)
    whole, tiled = fuse_luminance(network, a, b), fuse_luminance(network, a, b, gibibytes(2000))
    assert whole.shape == (1, 2, 70, 90)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(tiled[:, 1:], b, rtol=0, atol=1e-6)
