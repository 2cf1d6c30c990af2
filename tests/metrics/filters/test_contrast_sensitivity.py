"""Qcb and Qcv, and the parts they share."""

import pytest
import torch

from fusion_lab.metrics import chen_blum, chen_varshney
from fusion_lab.metrics.filters.contrast_sensitivity import filter_frequencies
from fusion_lab.metrics.histogram import stretch
from tests.metrics.images import random_triple, scene


def test_stretch_rounds_half_up():
    level = torch.tensor([[[10.0, 12.0, 14.0, 61.0]]], dtype=torch.float64)
    assert stretch(level).tolist() == [[[0, 10, 20, 255]]]
    assert stretch(torch.tensor([[[0.0, 1.0, 2.0]]])).tolist() == [[[0, 128, 255]]]
    assert stretch(torch.full((2, 3, 3), 7.0)).eq(0).all()


@pytest.mark.parametrize(("height", "width"), [(30, 40), (31, 41)])
def test_each_frequency_gets_its_factor(height, width):
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    wave = torch.cos(2 * torch.pi * (3 * y / height + 4 * x / width))
    # 3 and 4 cycles make a frequency of 5.
    torch.testing.assert_close(filter_frequencies(wave[None], lambda frequency: frequency, unit=2.0)[0], 2.5 * wave)


def test_levels_are_stretched():
    fused, source_a, source_b = (torch.floor(image / 2) for image in random_triple(1, 40, 33))
    for metric in (chen_blum, chen_varshney):
        assert metric(fused, source_a, source_b).item() == pytest.approx(metric(fused + 99, source_a, source_b).item())


def test_losses():
    source_a, source_b = scene()
    flat = torch.zeros_like(source_a)
    assert chen_blum(flat, source_a, source_b).item() == 0
    # A constant source has no edges, where its distance would count.
    assert chen_varshney(source_a, source_a, flat).item() == 0
    assert chen_varshney(flat, source_a, flat).item() > 100


def test_blocks_beyond_the_border_are_black():
    """17 pixels make two blocks a side, of which the last ones hold little but are divided by all their pixels."""
    fused, source_a, source_b = random_triple(1, 17, 17)
    assert chen_varshney(fused, source_a, source_b) < chen_varshney(
        fused[..., :16, :16], source_a[..., :16, :16], source_b[..., :16, :16]
    )
