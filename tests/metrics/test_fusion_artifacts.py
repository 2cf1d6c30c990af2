"""What Nabf says of edges that no source has."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_lab.metrics import fusion_artifacts
from tests.metrics.images import random_triple, scene


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999))
def test_a_copy_of_a_source_adds_nothing(seed):
    _, source_a, source_b = random_triple(1, 9, 12, seed)
    assert fusion_artifacts(source_a, source_a, source_b).item() == 0
    assert fusion_artifacts(torch.zeros_like(source_a), source_a, source_b).item() == 0


def test_noise_adds_more_the_stronger_it_is():
    source_a, source_b = scene()
    noise = torch.rand(source_a.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = [
        fusion_artifacts((source_a + strength * noise).floor(), source_a, source_b).item() for strength in (0, 20, 60)
    ]
    assert values[0] == 0
    assert values[0] < values[1] < values[2] <= 1


def test_an_edge_in_flat_sources_is_wholly_artefact():
    flat = torch.full((1, 1, 8, 8), 50.0)
    edge = flat.clone()
    edge[..., 4:] = 90
    # Two of eight columns have the edge; nothing of its strength or, at a right angle to none, orientation was there.
    kept = 0.9999 / (1 + math.exp(19 * 0.5)) * 0.9995 / (1 + math.exp(22 * 0.5))
    assert fusion_artifacts(edge, flat, flat).item() == pytest.approx((1 - math.sqrt(kept)) * 2 / 8, rel=1e-5)
