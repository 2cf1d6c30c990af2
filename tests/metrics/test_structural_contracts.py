"""What every metric of structure and visibility keeps to."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics import MEFSSIM, VIFF, FusionSSIM, Qc, Qcb, Qcv, Qw, Qy, WaveletVIF
from tests.metrics.images import random_triple, scene

# The metric, the least side, and its value for three equal images.
CASES = {
    "SSIM": (FusionSSIM(), 1, 1),
    "SSIM-valid": (FusionSSIM(border="valid", reduction="sum"), 11, 2),
    "SSIM-uniform": (FusionSSIM(border="valid", window="uniform"), 7, 1),
    "MEF-SSIM": (MEFSSIM(), 44, 1),
    "MEF-SSIM-1": (MEFSSIM(scales=1), 11, 1),
    "Qw": (Qw(), 11, 1),
    "Qy": (Qy(), 7, 1),
    "Qc": (Qc(), 7, 1),
    "Qcb": (Qcb(), 1, 1),
    "Qcv": (Qcv(), 1, 0),
    "VIFF": (VIFF(), 41, 1),
    "WaveletVIF": (WaveletVIF(), 136, 1),
}
# What constant images give. The others compare their levels, or the edges that they have at the border.
OF_CONSTANTS = {"MEF-SSIM": 1, "MEF-SSIM-1": 1, "Qc": 0, "Qcb": 0, "Qcv": 0, "VIFF": 1, "WaveletVIF": 0}
# Where neither source is related to the fused image: B counts in VIFF; Qc is 0 or 1.
DEPEND_ON_THE_ORDER = {"VIFF", "Qc"}

every_metric = pytest.mark.parametrize("name", CASES)
examples = settings(max_examples=4, deadline=None)


def sides(name):
    smallest = CASES[name][1]
    return st.integers(smallest, smallest + 9)


@every_metric
@examples
@given(data=st.data())
def test_batched_equals_one_by_one_and_sources_may_be_exchanged(name, data):
    triple = random_triple(3, data.draw(sides(name)), data.draw(sides(name)), data.draw(st.integers(0, 99)))
    metric = CASES[name][0]
    batched = metric.score(*triple)
    single = torch.cat([metric.score(*(image[i : i + 1] for image in triple)) for i in range(3)])
    assert batched.shape == (3,)
    assert batched.dtype == torch.float64
    torch.testing.assert_close(batched, single, rtol=1e-9, atol=1e-10)
    if name not in DEPEND_ON_THE_ORDER:
        fused, source_a, source_b = triple
        torch.testing.assert_close(batched, metric.score(fused, source_b, source_a), rtol=1e-9, atol=1e-10)


@every_metric
@examples
@given(data=st.data())
def test_every_image_of_sufficient_size_has_a_finite_value(name, data):
    """Few levels on few pixels make ties, flat windows and equal images likely."""
    shape = (3, data.draw(sides(name)), data.draw(sides(name)))
    levels = data.draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 254, 255]), fill=st.just(0)))
    images = torch.from_numpy(levels)[:, None, None]
    for dtype in (torch.float64, torch.float32):
        assert CASES[name][0].score(*images.to(dtype)).isfinite().all()


@every_metric
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("constants", [(0, 0, 0), (255, 255, 255), (7, 200, 13)])
def test_constant_images_have_a_defined_value(name, constants, dtype):
    images = [torch.full((2, 1, 137, 141), float(constant), dtype=dtype) for constant in constants]
    values = CASES[name][0].score(*images)
    assert values.isfinite().all()
    if name in OF_CONSTANTS:
        torch.testing.assert_close(values, torch.full_like(values, OF_CONSTANTS[name]))


@every_metric
def test_a_copy_of_equal_sources_has_the_best_value(name):
    image, other = scene(140)
    metric, _, best = CASES[name]
    assert metric.score(image, image, image).item() == pytest.approx(best, abs=2e-4)
    worse = metric.score(other, image, image).item()
    assert worse < best - 0.01 if metric.higher_is_better else worse > best + 1


@every_metric
def test_single_precision_is_close_to_double(name):
    triple = [torch.cat([image, image.flip(2)]) for image in (*scene(139), scene(139)[0].mT)]
    metric = CASES[name][0]
    single = metric.score(*(image.float() for image in triple))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), metric.score(*triple), rtol=1e-4, atol=1e-5)
    assert torch.equal(metric.score(*(image.byte() for image in triple)), metric.score(*triple))


@every_metric
def test_of_colour_images_each_channel_is_scored(name):
    metric = CASES[name][0]
    fused, source_a, source_b = random_triple(2, 137, 136, channels=3)
    source_b = source_b[:, :1]
    channels = [metric.score(fused[:, [i]], source_a[:, [i]], source_b) for i in range(3)]
    torch.testing.assert_close(metric.score(fused, source_a, source_b), torch.stack(channels).mean(0))


@every_metric
def test_an_image_that_is_too_small_is_refused(name):
    metric, smallest, _ = CASES[name]
    assert metric.score(*random_triple(1, smallest, smallest)).isfinite().all()
    if smallest > 1:
        for size in [(smallest - 1, 150), (150, smallest - 1)]:
            with pytest.raises(FusionLabError, match=f"at least {smallest} pixels"):
                metric.score(*random_triple(1, *size))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FusionSSIM(reduction="max"), "`reduction` should be"),
        (lambda: FusionSSIM(border="zero"), "`border` should be"),
        (lambda: FusionSSIM(window="box"), "`window` should be"),
        (lambda: FusionSSIM(data_range=0), "`data_range` should be above 0"),
        (lambda: MEFSSIM(scales=2), "`scales` should be 1 or 3"),
        (lambda: WaveletVIF(data_range=-1), "`data_range` should be above 0"),
    ],
)
def test_unknown_options_are_refused(make, message):
    with pytest.raises(FusionLabError, match=message):
        make()


def test_mean_over_images_of_any_size():
    first, second = random_triple(2, 20, 21), random_triple(1, 30, 11)
    metric = FusionSSIM(border="valid")
    metric.update(*first)
    metric.update(*second)
    torch.testing.assert_close(metric.compute(), torch.cat([metric.score(*first), metric.score(*second)]).mean())
