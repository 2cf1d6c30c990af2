"""Cross entropy and Tsallis' entropy of images whose distributions are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_lab.metrics import cross_entropy, tsallis_entropy
from tests.metrics.images import random_triple


def halves(dark: int, bright: int, share: float = 0.5) -> torch.Tensor:
    """An image with the given share of dark pixels, the dark ones first."""
    return torch.where(torch.arange(64) < 64 * share, float(dark), float(bright)).view(1, 1, 8, 8)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999))
def test_only_the_distribution_counts_for_cross_entropy(seed):
    fused, *_ = random_triple(1, 9, 10, seed)
    shuffled = fused.flatten()[torch.randperm(90)].view_as(fused)
    assert cross_entropy(fused, shuffled, fused.flip(-1)).item() == pytest.approx(0, abs=1e-12)


def test_cross_entropy_by_hand():
    fused, source = halves(10, 200, share=0.25), halves(10, 200)
    # 1/2 log2(1/2 / 1/4) + 1/2 log2(1/2 / 3/4)
    assert cross_entropy(fused, source, source).item() == pytest.approx(0.5 + 0.5 * -0.5849625)
    # Levels that the fused image lacks do not count, so that the value may fall below 0.
    other = halves(10, 99, share=0.25)
    assert cross_entropy(source, other, other).item() == pytest.approx(-0.25)


def test_tsallis_entropy_by_hand():
    image = halves(0, 255)
    # Two cells of the joint histogram with 1/2 each, marginals 1/2: (1 - 2 (1/2)^1.85 / (1/4)^0.85) / (1 - 1.85)
    one_source = (1 - 2 * 0.5**1.85 / 0.25**0.85) / (1 - 1.85)
    assert tsallis_entropy(image, image, image).item() == pytest.approx(2 * one_source)
    independent = image.mT
    assert tsallis_entropy(image, independent, independent).item() == pytest.approx(0, abs=1e-6)
