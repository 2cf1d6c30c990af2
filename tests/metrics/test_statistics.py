"""Contrast and sharpness of images for which they can be told."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from fusion_lab.metrics import average_gradient, edge_intensity, spatial_frequency, standard_deviation
from tests.metrics.images import random_triple


def test_a_checkerboard_and_a_ramp():
    board = 255.0 * (torch.arange(8)[:, None] + torch.arange(8)).remainder(2)[None, None]
    assert standard_deviation(board).item() == pytest.approx(127.5)
    assert spatial_frequency(board).item() == pytest.approx(255 * math.sqrt(2))
    assert spatial_frequency(board, norm="n").item() == pytest.approx(255 * math.sqrt(2 * 7 / 8))
    ramp = (3 * torch.arange(10.0)).expand(1, 1, 6, 10)
    assert average_gradient(ramp, norm="n").item() == pytest.approx(3 / math.sqrt(2))
    assert average_gradient(ramp).item() == pytest.approx(3 / math.sqrt(2) * 60 / 45)
    # Four times the difference over two columns, half of it at the repeated border.
    assert edge_intensity(ramp).item() == pytest.approx((8 * 24 + 2 * 12) / 10)


def test_equal_independent_programs():
    fused, *_ = random_triple(1, 67, 53)
    image = fused[0, 0].numpy()
    assert standard_deviation(fused).item() == pytest.approx(image.std())
    gradient = np.hypot(*np.gradient(image))
    assert average_gradient(fused, norm="n").item() == pytest.approx(gradient.mean() / math.sqrt(2))
    edges = np.hypot(*(ndimage.sobel(image, axis, mode="nearest") for axis in (0, 1)))
    assert edge_intensity(fused).item() == pytest.approx(edges.mean())


def test_vifb_lays_the_channels_side_by_side():
    red, green, blue = (torch.full((1, 1, 4, 5), float(level)) for level in (10, 40, 0))
    colour = torch.cat([red, green, blue], dim=1)
    assert spatial_frequency(colour, norm="n").item() == 0
    # Two borders of 4 pixels with differences of 30 and 40.
    assert spatial_frequency(colour, norm="vifb").item() == pytest.approx(math.sqrt(4 * (30**2 + 40**2) / 60))
    grey = random_triple(1, 9, 7)[0]
    assert spatial_frequency(grey, norm="vifb") == spatial_frequency(grey, norm="n")
