"""Errors of single pixels."""

import math

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio as of_torchmetrics

from fusion_lab.metrics import mean_squared_error, peak_signal_noise_ratio, vifb_root_mean_squared_error
from tests.metrics.images import random_triple


def test_errors_by_hand():
    fused, source_a, source_b = (torch.full((1, 1, 4, 8), float(level)) for level in (100, 97, 104))
    assert mean_squared_error(fused, source_a, source_b).item() == (9 + 16) / 2
    # The norms of 32 differences, not divided by their number under the root.
    expected = (3 * math.sqrt(32) + 4 * math.sqrt(32)) / 64
    assert vifb_root_mean_squared_error(fused, source_a, source_b).item() == pytest.approx(expected)


def test_peak_signal_noise_ratios_tell_the_same_in_three_ways():
    fused, source, _ = random_triple(2, 20, 30)
    plain = peak_signal_noise_ratio(fused, source, source)
    for value, image, reference in zip(plain, fused, source, strict=True):
        assert value.item() == pytest.approx(of_torchmetrics(image, reference, data_range=255.0).item())
    torch.testing.assert_close(peak_signal_noise_ratio(fused, source, source, "tang"), plain + 20 * math.log10(255))
    vifb = peak_signal_noise_ratio(fused, source, source, "vifb")
    torch.testing.assert_close(vifb, 20 * torch.log10(255 / vifb_root_mean_squared_error(fused, source, source).sqrt()))


def test_a_copy_of_both_sources_is_infinitely_good():
    image, other, _ = random_triple(1, 5, 5)
    for variant in ("mean_mse", "tang", "vifb"):
        assert peak_signal_noise_ratio(image, image, image, variant).item() == math.inf
        assert peak_signal_noise_ratio(image, image, other, variant).isfinite().all()
