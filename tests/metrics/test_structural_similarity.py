"""SSIM against the programs of others."""

import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from fusion_lab.metrics import fusion_ssim
from tests.metrics.images import random_triple, scene


def test_equals_scikit_image():
    fused, source_a, source_b = random_triple(1, 31, 27)
    for window, options in {
        "uniform": {},
        "gaussian": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
    }.items():
        expected = [
            structural_similarity(source[0, 0].numpy(), fused[0, 0].numpy(), data_range=255, **options)
            for source in (source_a, source_b)
        ]
        found = fusion_ssim(fused, source_a, source_b, reduction="sum", border="valid", window=window)
        assert found.item() == pytest.approx(sum(expected), rel=1e-12)


def test_is_close_to_torchmetrics_which_mirrors_the_border():
    image, other = scene()
    fused = torch.floor((image + other) / 2)
    expected = structural_similarity_index_measure(fused, image, data_range=255.0)
    assert fusion_ssim(fused, image, image).item() == pytest.approx(expected.item(), abs=1e-3)


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_reduction_and_data_range(window):
    triple = random_triple(1, 16, 16)
    mean = fusion_ssim(*triple, window=window)
    assert fusion_ssim(*triple, reduction="sum", window=window).item() == pytest.approx(2 * mean.item())
    assert fusion_ssim(*triple, data_range=1, window=window) != mean


def test_the_border_may_be_all_there_is():
    fused, source_a, source_b = random_triple(1, 1, 3)
    assert fusion_ssim(fused, source_a, source_b).isfinite().all()
