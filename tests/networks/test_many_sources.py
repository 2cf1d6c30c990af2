"""What fusion of more than two sources promises."""

import itertools

import pytest
import torch

from fusion_lab.networks import IFCNN, Average, GuidedFilter, LaplacianPyramid, Maximum, Wavelet

CLASSICAL = [Average, Maximum, LaplacianPyramid, Wavelet, GuidedFilter]
ALL = [*CLASSICAL, IFCNN]


def images(number, height=41, width=56):
    draw = torch.Generator().manual_seed(0)
    return list(torch.rand(number, 1, 1, height, width, dtype=torch.float64, generator=draw))


@pytest.mark.parametrize("network", ALL)
def test_two_sources_are_the_pair(network):
    fuse = network().double().eval()
    a, b = images(2)
    torch.testing.assert_close(fuse.fuse_all([a, b]), fuse(a, b), rtol=0, atol=0)


@pytest.mark.parametrize("network", CLASSICAL)
def test_the_same_image_often_is_the_image(network):
    (image,) = images(1)
    torch.testing.assert_close(network().fuse_all([image] * 4), image, rtol=0, atol=1e-9)


@pytest.mark.parametrize("network", ALL)
def test_the_order_does_not_matter(network):
    fuse = network().double().eval()
    sources = images(3)
    first, *others = (fuse.fuse_all(list(order)) for order in itertools.permutations(sources))
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=1e-6)


@pytest.mark.parametrize("network", [LaplacianPyramid, Wavelet, GuidedFilter])
def test_each_of_three_sharp_thirds_is_kept(network):
    rows, columns = torch.meshgrid(torch.linspace(0, 3, 48), torch.linspace(0, 4, 96), indexing="ij")
    smooth = (0.5 + 0.2 * torch.sin(rows + columns))[None, None].double()
    clear = smooth + 0.1 * torch.randn(1, 1, 48, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sources = [smooth.clone() for _ in range(3)]
    for third, source in enumerate(sources):
        place = (..., slice(32 * third, 32 * third + 32))
        source[place] = clear[place]
    error = (network().fuse_all(sources) - clear).square().mean()
    assert error < 0.2 * (Average().fuse_all(sources) - clear).square().mean()
