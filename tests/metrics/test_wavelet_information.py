"""WaveletVIF and VIFF: the pyramid by plain convolutions, copies and losses."""

import pytest
import torch
from torch.nn import functional as F

from fusion_lab.metrics import fusion_fidelity, wavelet_information_fidelity
from fusion_lab.metrics.filters.steerable_pyramid import FIRST_LOW_PASS, LOW_PASS, ORIENTED, oriented_bands
from tests.metrics.images import random_triple, scene


def symmetric(octant):
    reach = len(octant) - 1
    quarter = torch.zeros(reach + 1, reach + 1, dtype=torch.float64)
    for row, values in enumerate(octant):
        quarter[row, row:] = quarter[row:, row] = torch.tensor(values, dtype=torch.float64)
    half = torch.cat([quarter.flip(0)[:-1], quarter])
    return torch.cat([half.flip(1)[:, :-1], half], dim=1)


def mirrored(image, kernel, stride=1):
    padded = F.pad(image[None, None], (len(kernel) // 2,) * 4, mode="reflect")
    return F.conv2d(padded, kernel[None, None], stride=stride)[0, 0]


def test_bands_equal_plain_correlations():
    image = random_triple(1, 141, 138)[0][0, 0] / 255
    quarter = torch.tensor(ORIENTED, dtype=torch.float64)
    right = torch.cat([quarter.flip(0)[:-1], quarter])
    vertical = torch.cat([-right.flip(1), torch.zeros(7, 1), right], dim=1)
    low = mirrored(image, symmetric(FIRST_LOW_PASS))
    for bands in oriented_bands(image[None]):
        for band, kernel in zip(bands, (vertical, -vertical.T), strict=True):
            torch.testing.assert_close(band[0], mirrored(low, kernel), rtol=1e-10, atol=1e-12)
        low = mirrored(low, symmetric(LOW_PASS), stride=2)


def test_bands_are_of_edges_of_one_direction():
    columns = (torch.arange(140.0) // 8 % 2).expand(1, 140, 140).double()
    for vertical, horizontal in oriented_bands(columns):
        assert vertical.abs().max() > 0.01
        assert horizontal.abs().max() < 1e-12


def test_losses_and_gains():
    source_a, source_b = scene(144)
    flat = torch.zeros_like(source_a)
    stronger = 2 * source_a
    for fidelity in (wavelet_information_fidelity, fusion_fidelity):
        assert fidelity(flat, source_a, source_b).item() == pytest.approx(0, abs=1e-4)
        assert fidelity(stronger, source_a, source_a).item() > 1.1
    # The constant source adds nothing to the mean.
    assert wavelet_information_fidelity(source_a, source_a, flat).item() == pytest.approx(0.5, abs=1e-3)


def test_visual_noise_weighs_more_on_a_smaller_range():
    """Noise added by the fusion is drowned by the eye's on [0, 1], but not on 0..255."""
    noise, source, _ = random_triple(1, 140, 140)
    fused = torch.floor((source + noise) / 2)
    unit, levels = (wavelet_information_fidelity(fused, source, source, data_range=top).item() for top in (1, 255))
    assert levels < unit
