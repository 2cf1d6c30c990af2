"""PSNR and SSIM with a reference."""

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics import ReferencePSNR, ReferenceSSIM, fusion_ssim, reference_psnr, reference_ssim
from tests.metrics.images import random_triple


def test_psnr_equals_scikit_image():
    fused, reference, _ = random_triple(2, 12, 15, channels=3)
    expected = [
        peak_signal_noise_ratio(truth.numpy(), image.numpy(), data_range=255)
        for truth, image in zip(reference, fused, strict=True)
    ]
    assert reference_psnr(fused, reference).tolist() == pytest.approx(expected)
    grey = reference[:, :1]
    torch.testing.assert_close(reference_psnr(fused, grey), reference_psnr(fused, grey.expand(-1, 3, -1, -1)))


def test_ssim_is_that_of_a_single_source():
    fused, reference, _ = random_triple(2, 12, 15)
    torch.testing.assert_close(reference_ssim(fused, reference), fusion_ssim(fused, reference, reference))


def test_equal_images():
    fused = random_triple(1, 12, 15)[0]
    assert reference_psnr(fused, fused).item() == math.inf
    assert reference_ssim(fused, fused).item() == pytest.approx(1)


@pytest.mark.parametrize("metric", [ReferencePSNR, ReferenceSSIM], ids=lambda metric: metric.label)
def test_mean_over_images_of_any_size(metric):
    whole = metric()
    pairs = [random_triple(2, 12, 15)[:2], random_triple(1, 20, 11)[:2]]
    for fused, reference in pairs:
        whole.update(fused, reference)
    values = torch.cat([whole.score(*pair) for pair in pairs])
    torch.testing.assert_close(whole.compute(), values.mean())
    single = whole.score(*(image.float() for image in pairs[0]))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), values[:2], rtol=1e-5, atol=1e-6)
    assert whole.higher_is_better


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("metric", [ReferencePSNR, ReferenceSSIM], ids=lambda metric: metric.label)
def test_wrong_calls_are_refused(metric):
    fused, reference, _ = random_triple(1, 12, 15)
    with pytest.raises(FusionLabError, match="no image"):
        metric().compute()
    for bad, message in [(reference / 255, "`reference` holds other values"), (reference[..., 1:], "one size")]:
        for call in (metric().score, metric().update):
            with pytest.raises(FusionLabError, match=message):
                call(fused, bad)
