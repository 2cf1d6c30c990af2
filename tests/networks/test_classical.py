"""What fusion without learning promises."""

import pytest
import torch

from fusion_lab.networks import Average, GuidedFilter, LaplacianPyramid, Maximum, Wavelet
from fusion_lab.networks.classical.selection import scales_that_fit
from fusion_lab.networks.classical.wavelet import _orthogonal

ALL = [Average, Maximum, LaplacianPyramid, Wavelet, GuidedFilter]
SELECTING = [LaplacianPyramid, Wavelet, GuidedFilter]


def image(seed, height=41, width=56):
    return torch.rand(2, 1, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def smooth(height=48, width=64):
    rows, columns = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return (0.5 + 0.2 * torch.sin(rows + columns))[None, None].double()


@pytest.mark.parametrize("network", ALL)
@pytest.mark.parametrize("size", [(41, 56), (8, 8), (9, 64)])
def test_an_image_with_itself_is_the_image(network, size):
    a = image(0, *size)
    torch.testing.assert_close(network()(a, a), a, atol=1e-9, rtol=0)


@pytest.mark.parametrize("network", ALL)
def test_sources_may_be_swapped(network):
    a, b = image(0), image(1)
    torch.testing.assert_close(network()(a, b), network()(b, a), atol=1e-6, rtol=0)


@pytest.mark.parametrize("network", SELECTING)
def test_the_sharp_half_of_either_source_is_kept(network):
    """A multi-focus pair: each source is sharp where the other is flat."""
    clear = smooth() + 0.1 * torch.randn(1, 1, 48, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, right = smooth(), smooth()
    left[..., :32], right[..., 32:] = clear[..., :32], clear[..., 32:]
    error = (network()(left, right) - clear).square().mean()
    assert error < 0.2 * (Average()(left, right) - clear).square().mean()


@pytest.mark.parametrize("side", [4, 6, 40])
def test_a_step_of_the_wavelet_is_orthogonal_and_finds_lines(side):
    matrix = _orthogonal(side, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(side, dtype=torch.float64))
    if side > 4:
        # Two vanishing moments: details of a line are zero, but where it wraps around.
        details = (matrix @ torch.arange(side, dtype=torch.float64))[side // 2 : -1]
        torch.testing.assert_close(details, torch.zeros_like(details), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("side", "scales"), [(3, 0), (4, 1), (7, 1), (8, 2), (16, 3), (1000, 4)])
def test_scales_end_before_the_pixels_do(side, scales):
    assert scales_that_fit(side, 4) == scales


@pytest.mark.parametrize("network", [LaplacianPyramid, Wavelet])
def test_no_scales_are_refused(network):
    with pytest.raises(ValueError, match="`levels` should be at least 1"):
        network(0)
