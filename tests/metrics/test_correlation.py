"""Correlations of copies, negatives and sums."""

import numpy as np
import pytest
import torch

from fusion_lab.metrics import correlation_coefficient, sum_correlation_differences
from tests.metrics.images import random_triple, scene


def test_copies_negatives_and_sums():
    source_a, source_b = scene()
    assert correlation_coefficient(source_a, source_a, source_a).item() == pytest.approx(1)
    assert correlation_coefficient(255 - source_a, source_a, source_a).item() == pytest.approx(-1)
    assert sum_correlation_differences(source_a + source_b, source_a, source_b).item() == pytest.approx(2)
    assert sum_correlation_differences(source_a, source_a, source_a).item() == 0


def test_saturation_hides_what_was_taken_away():
    source, _ = scene()
    dark = torch.zeros_like(source)
    assert sum_correlation_differences(dark, source, source).item() == pytest.approx(-2)
    assert sum_correlation_differences(dark, source, source, saturate=True).item() == 0


def test_correlation_equals_that_of_numpy():
    triple = random_triple(1, 67, 53)
    correlations = np.corrcoef([image.flatten().numpy() for image in triple])
    assert correlation_coefficient(*triple).item() == pytest.approx(correlations[0, 1:].mean())
