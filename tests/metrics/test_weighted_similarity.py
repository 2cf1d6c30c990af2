"""Qw, Qy and Qc: which source they look at, and what they say of flat windows."""

import pytest
import torch

from fusion_lab.metrics import cvejic_similarity, piella_edge_similarity, yang_similarity
from tests.metrics.images import random_triple, scene


def test_where_only_one_source_has_edges_only_it_counts():
    source, _ = scene()
    flat = torch.zeros_like(source)
    assert piella_edge_similarity(source, source, flat).item() == pytest.approx(1, abs=0.01)
    assert piella_edge_similarity(flat, source, flat).item() < 0.1


def test_yang_takes_the_better_of_unlike_sources():
    fused, source_a, _ = random_triple(1, 32, 32)
    assert yang_similarity(source_a, source_a, fused).item() == pytest.approx(1)


def test_yang_compares_levels_of_flat_images():
    grey, dark = torch.full((1, 1, 16, 16), 100.0), torch.full((1, 1, 16, 16), 50.0)
    assert yang_similarity(grey, grey, grey).item() == pytest.approx(1)
    # 2 * 100 * 50 / (100^2 + 50^2)
    assert yang_similarity(dark, grey, grey).item() == pytest.approx(0.8)


def test_cvejic_takes_the_middle_of_the_jump_where_one_source_is_flat():
    source, _ = scene()
    flat = torch.full_like(source, 255)
    # All weight is on the source: SSIM is 1, and so is the value beyond the jump.
    assert cvejic_similarity(source, source, flat).item() == pytest.approx(1)
    assert cvejic_similarity(source, flat, source).item() == pytest.approx(0.5)
    assert cvejic_similarity(flat, source, source).item() == 0


def test_nearly_flat_windows_are_told_from_flat_ones_in_any_precision():
    flat = torch.full((1, 1, 13, 13), 255.0)
    speck = flat.clone()
    speck[..., 0, 0] = 254
    for similarity in (yang_similarity, cvejic_similarity):
        single = similarity(speck, speck, flat)
        assert single.dtype == torch.float32
        assert single.item() == pytest.approx(similarity(speck.double(), speck.double(), flat.double()).item())
