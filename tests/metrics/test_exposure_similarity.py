"""MEF-SSIM against the paper's window-by-window definition."""

import math

import numpy as np
import pytest
import torch
from skimage.transform import downscale_local_mean

from fusion_lab.metrics import mef_ssim
from fusion_lab.metrics.filters.gaussian_filter import gaussian_filter
from fusion_lab.metrics.filters.local_moments import local_moments
from tests.metrics.images import random_triple, scene

EPS = np.finfo(float).eps
OFFSETS = np.arange(11) - 5
GAUSSIAN = np.exp(-(OFFSETS[:, None] ** 2 + OFFSETS**2) / (2 * 1.5**2))
GAUSSIAN /= GAUSSIAN.sum()
STABILISER = (0.03 * 255) ** 2


def window_similarity(fused, sources):
    """One window, ``(11, 11)`` and ``(2, 11, 11)``."""
    structures = sources - sources.mean((1, 2), keepdims=True)
    norms = np.sqrt((structures**2).sum((1, 2)))
    strengths = norms + 0.001
    agreement = (np.linalg.norm(structures.sum(0)) + EPS) / (norms.sum() + EPS)
    power = min(math.tan(math.pi / 2 * min(agreement, 1 - EPS)), 10)
    weights = (strengths / 11) ** power + EPS
    weights /= weights.sum()
    desired = (weights[:, None, None] * structures / strengths[:, None, None]).sum(0)
    if np.linalg.norm(desired) > 0:
        desired *= strengths.max() / np.linalg.norm(desired)
    desired_free, fused_free = (image - (GAUSSIAN * image).sum() for image in (desired, fused))
    covariance = (GAUSSIAN * desired_free * fused_free).sum()
    variances = (GAUSSIAN * desired_free**2).sum() + (GAUSSIAN * fused_free**2).sum()
    return (2 * covariance + STABILISER) / (variances + STABILISER)


def reference(fused, sources):
    rows, columns = (side - 10 for side in fused.shape)
    values = [
        window_similarity(fused[y : y + 11, x : x + 11], sources[:, y : y + 11, x : x + 11])
        for y in range(rows)
        for x in range(columns)
    ]
    return np.mean(values)


def test_one_scale_equals_the_windows():
    fused, source_a, source_b = (image[0, 0].numpy() for image in random_triple(1, 19, 23))
    source_b[:, 11:] = 255  # Flat windows.
    triple = [torch.from_numpy(image)[None, None] for image in (fused, source_a, source_b)]
    expected = reference(fused, np.stack([source_a, source_b]))
    assert mef_ssim(*triple, scales=1).item() == pytest.approx(expected, rel=1e-10)


def test_three_scales_equal_the_windows():
    source_a, source_b = scene(48)
    triple = [torch.floor((source_a + source_b) / 2), source_a, source_b]
    planes = np.stack([image[0, 0].numpy() for image in triple])
    expected = 1.0
    for weight in (0.0448, 0.2856, 0.3001):
        expected *= reference(planes[0], planes[1:]) ** (weight / 0.6305)
        planes = downscale_local_mean(planes, (1, 2, 2))
    assert mef_ssim(*triple).item() == pytest.approx(expected, rel=1e-10)


def test_a_negative_counts_as_nothing():
    source, _ = scene(64)
    negative = 255 - source
    assert mef_ssim(negative, source, source, scales=1).item() < 0
    assert mef_ssim(negative, source, source).item() == 0


def test_of_sources_that_cancel_each_other_no_structure_is_desired():
    """The window-by-window programs blow up the rounding errors that are left of it."""
    source, _ = scene(64)
    moments = local_moments(source, [(0, 0)], lambda images: gaussian_filter(images, 11, 1.5))
    expected = (STABILISER / (moments.variance + STABILISER)).mean().item()
    assert mef_ssim(source, source, 255 - source, scales=1).item() == pytest.approx(expected)


def test_brightness_does_not_count():
    source, other = scene(64)
    assert mef_ssim(source, source, other).item() == pytest.approx(mef_ssim(source + 100, source, other).item())
