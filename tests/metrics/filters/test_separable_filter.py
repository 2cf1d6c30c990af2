"""Filtering by banded products against plain convolutions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fusion_lab.metrics.filters.gaussian_filter import box_sum, gaussian_filter, gaussian_kernel
from fusion_lab.metrics.filters.local_moments import local_moments
from fusion_lab.metrics.filters.separable_filter import BLOCK, separable_filter
from tests.metrics.images import random_triple


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 3 * BLOCK),
    width=st.integers(1, 3 * BLOCK),
    reach=st.integers(0, 6),
    stride=st.integers(1, 3),
    border=st.sampled_from(["valid", "zero", "replicate"]),
)
def test_equals_convolution(height, width, reach, stride, border):
    taps = 2 * reach + 1
    if border == "valid":
        height, width = max(height, taps), max(width, taps)
    planes = random_triple(2, height, width, channels=2)[0]
    kernel = torch.rand(taps, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = planes
    if border != "valid":
        padded = F.pad(planes, (reach,) * 4, mode="constant" if border == "zero" else border)
    expected = F.conv2d(padded.flatten(0, 1)[:, None], torch.outer(kernel, kernel)[None, None], stride=stride)
    found = separable_filter(planes, tuple(kernel.tolist()), border, stride)
    torch.testing.assert_close(found, expected[:, 0].unflatten(0, (2, 2)))


def test_a_gaussian_keeps_the_level():
    assert sum(gaussian_kernel(11, 1.5)) == pytest.approx(1)
    level = torch.full((1, 1, 20, 90), 255.0, dtype=torch.float64)
    for border in ("valid", "replicate"):
        filtered = gaussian_filter(level, 11, 1.5, border)
        torch.testing.assert_close(filtered, torch.full_like(filtered, 255))


def test_sums_of_integers_are_exact_in_single_precision():
    planes = random_triple(1, 70, 75)[0]
    assert torch.equal(box_sum(planes.float(), 11).double(), box_sum(planes, 11))


def test_moments_equal_those_of_windows():
    planes = random_triple(1, 14, 15, channels=3)[0]
    found = local_moments(planes, [(0, 2)], lambda images: box_sum(images, 5) / 25)
    windows = planes.unfold(2, 5, 1).unfold(3, 5, 1).flatten(4)
    torch.testing.assert_close(found.mean, windows.mean(-1))
    torch.testing.assert_close(found.variance, windows.var(-1, correction=0))
    free = windows - windows.mean(-1, keepdim=True)
    torch.testing.assert_close(found.covariance, (free[:, :1] * free[:, 2:]).mean(-1))
