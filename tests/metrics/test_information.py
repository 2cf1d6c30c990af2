"""Entropy and mutual information of images whose distributions are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import shannon_entropy

from fusion_lab.metrics import entropy, fusion_mutual_information, normalized_mutual_information, qncie
from tests.metrics.images import random_triple, scene

examples = settings(max_examples=10, deadline=None)
ROWS = torch.arange(16.0).view(1, 1, 16, 1).expand(1, 1, 16, 16)
"""Tells nothing of its transpose."""


def test_entropy_of_known_distributions():
    every_level = torch.arange(256.0).view(1, 1, 16, 16)
    assert entropy(every_level).item() == pytest.approx(8)
    assert entropy(255.0 * (every_level > 127)).item() == pytest.approx(1)


def test_entropy_equals_that_of_scikit_image():
    fused, *_ = random_triple(1, 67, 53)
    assert entropy(fused).item() == pytest.approx(shannon_entropy(fused[0, 0].numpy()))


@examples
@given(seed=st.integers(0, 999), side=st.integers(2, 20))
def test_nothing_tells_more_of_the_sources_than_themselves(seed, side):
    fused, source_a, source_b = random_triple(1, side, side + 1, seed)
    of_other = fusion_mutual_information(fused, source_a, source_b)
    assert (of_other <= entropy(source_a) + entropy(source_b) + 1e-12).all()
    torch.testing.assert_close(fusion_mutual_information(fused, fused, fused), 2 * entropy(fused))
    torch.testing.assert_close(normalized_mutual_information(fused, fused, fused), torch.full((1,), 2.0).double())
    assert (normalized_mutual_information(fused, source_a, source_b) >= 0).all()


def test_mutual_information_in_other_units():
    fused, *_ = random_triple(1, 32, 32)
    nats = fusion_mutual_information(fused, fused, fused, base=math.e).item()
    assert nats == pytest.approx(2 * math.log(2) * entropy(fused).item())


def test_independent_images_share_nothing():
    assert fusion_mutual_information(ROWS, ROWS.mT, ROWS.mT).item() == pytest.approx(0, abs=1e-6)
    assert normalized_mutual_information(ROWS, ROWS.mT, ROWS.mT).item() == pytest.approx(0, abs=1e-6)


def test_variants_differ_where_their_quirks_reach():
    fused, source_a, source_b = (image.clamp(max=250) for image in random_triple(1, 24, 24))
    plain = fusion_mutual_information(fused, source_a, source_b)
    assert fusion_mutual_information(fused, source_a, source_b, variant="tang") == plain
    # Stretching 0..250 to 0..255 keeps all levels apart.
    torch.testing.assert_close(fusion_mutual_information(fused, source_a, source_b, variant="vifb"), plain)
    bright = torch.where(torch.arange(24) % 2 == 0, 254.0, 255.0).expand(1, 1, 24, 24)
    assert fusion_mutual_information(bright, bright, bright).item() == pytest.approx(2)
    # One bin holds both levels, so that the pair seems to hold no information while the single images do.
    assert fusion_mutual_information(bright, bright, bright, variant="tang").item() == pytest.approx(4)


def test_stretching_makes_scaled_images_equal():
    source_a, source_b = scene()
    half = torch.floor(source_a / 2)
    assert normalized_mutual_information(half, source_a, source_b) < 2
    torch.testing.assert_close(
        normalized_mutual_information(half, half, source_b),
        normalized_mutual_information(half + 30, half, source_b),
    )


def test_qncie_lies_between_independence_and_equality():
    every_level = torch.arange(256.0).view(1, 1, 16, 16)
    assert qncie(every_level, every_level, every_level).item() == pytest.approx(1)
    # The sources are the same, the fused image is independent of both: eigenvalues 1 + h, 1, 1 - h, h = 4 of 8 bits.
    independent = 1 + sum(share / 3 * math.log2(share / 3) for share in (1.5, 1, 0.5)) / 8
    assert qncie(ROWS, ROWS.mT, ROWS.mT).item() == pytest.approx(independent, rel=1e-5)
