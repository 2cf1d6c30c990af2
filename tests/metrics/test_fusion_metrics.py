"""Every metric: its interface, its contracts, and values that can be told without a program."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import shannon_entropy
from torchmetrics.functional.image import visual_information_fidelity

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics import (
    AverageGradient,
    CorrelationCoefficient,
    EdgePreservation,
    Entropy,
    FusionMutualInformation,
    SpatialFrequency,
    StandardDeviation,
    SumCorrelationDifferences,
    VisualInformationFidelitySum,
    average_gradient,
    correlation_coefficient,
    edge_preservation,
    entropy,
    fusion_mutual_information,
    quantise,
    scores,
    spatial_frequency,
    standard_deviation,
    sum_correlation_differences,
    visual_information_fidelity_sum,
)

MINIMUM_SIDE = {
    Entropy: 1,
    FusionMutualInformation: 1,
    StandardDeviation: 1,
    SpatialFrequency: 2,
    AverageGradient: 2,
    CorrelationCoefficient: 1,
    SumCorrelationDifferences: 1,
    EdgePreservation: 1,
    VisualInformationFidelitySum: 41,
}
METRICS = list(MINIMUM_SIDE)

every_metric = pytest.mark.parametrize("metric_class", METRICS, ids=lambda metric_class: metric_class.label)
examples = settings(max_examples=15, deadline=None)


def random_triple(batch, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (3, batch, 1, height, width), generator=generator)
    return tuple(levels.double())


def scene(side=64):
    """A smooth image with edges of all orientations and levels up to 127, and its mirror image."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.floor(63.5 * (1 + torch.sin(x / 5.0) * torch.cos(y / 7.0)))[None, None].double()
    return image, image.flip(-1)


@every_metric
@examples
@given(data=st.data())
def test_batched_equals_one_by_one(metric_class, data):
    smallest = MINIMUM_SIDE[metric_class]
    sides = st.integers(smallest, smallest + 9)
    triple = random_triple(3, data.draw(sides), data.draw(sides), data.draw(st.integers(0, 99)))
    metric = metric_class()
    batched = metric.score(*triple)
    single = torch.cat([metric.score(*(image[i : i + 1] for image in triple)) for i in range(3)])
    assert batched.shape == (3,)
    assert batched.dtype == torch.float64
    torch.testing.assert_close(batched, single, rtol=1e-10, atol=1e-10)


@every_metric
@examples
@given(data=st.data())
def test_sources_may_be_exchanged(metric_class, data):
    smallest = MINIMUM_SIDE[metric_class]
    sides = st.integers(smallest, smallest + 9)
    triple = random_triple(2, data.draw(sides), data.draw(sides), data.draw(st.integers(0, 99)))
    fused, source_a, source_b = triple
    as_given = metric_class().score(fused, source_a, source_b)
    exchanged = metric_class().score(fused, source_b, source_a)
    torch.testing.assert_close(as_given, exchanged, rtol=1e-10, atol=1e-10)


@every_metric
@examples
@given(data=st.data())
def test_every_image_of_sufficient_size_has_a_finite_value(metric_class, data):
    """Few levels on few pixels make ties, constant images and equal images likely."""
    smallest = MINIMUM_SIDE[metric_class]
    sides = st.integers(smallest, smallest + 4)
    shape = (3, data.draw(sides), data.draw(sides))
    levels = data.draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 254, 255])))
    images = torch.from_numpy(levels)[:, None, None]
    assert metric_class().score(*images).isfinite().all()


@every_metric
@pytest.mark.parametrize("constants", [(0, 0, 0), (255, 255, 255), (7, 200, 13), (255, 0, 255)])
@pytest.mark.parametrize("size", [(64, 64), (41, 57), (97, 83)])
def test_constant_images_have_a_defined_value(metric_class, constants, size):
    images = [torch.full((2, 1, *size), float(constant)) for constant in constants]
    values = metric_class().score(*images)
    assert values.isfinite().all()
    if metric_class is not EdgePreservation:  # The zeros beyond the border make edges.
        assert (values == 0).all()


@every_metric
def test_an_image_that_is_too_small_is_refused(metric_class):
    smallest = MINIMUM_SIDE[metric_class]
    assert metric_class().score(*random_triple(1, smallest, smallest)).isfinite().all()
    for size in [(smallest - 1, 64), (64, smallest - 1)]:
        with pytest.raises(FusionLabError, match=f"at least {smallest} pixels"):
            metric_class().update(*random_triple(1, *size))


@every_metric
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda image: image[0], "shape"),
        (lambda image: image.expand(-1, 3, -1, -1), "shape"),
        (lambda image: image[..., :-1], "one size"),
        (lambda image: image / 255, "quantise"),
        (lambda image: image - 1, "0 to 255"),
        (lambda image: image + 1, "0 to 255"),
        (lambda image: image * math.nan, "0 to 255"),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_wrong_images_are_refused(metric_class, spoil, message, position):
    images = list(random_triple(2, 48, 48))
    images[position][..., 0, :3] = torch.tensor([0.0, 1.0, 255.0])
    images[position] = spoil(images[position])
    metric = metric_class()
    with pytest.raises(FusionLabError, match=message):
        metric.update(*images)
    assert metric.count == 0


@every_metric
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32])
def test_the_type_of_the_images_makes_no_difference(metric_class, dtype):
    triple = random_triple(1, 48, 48)
    score = metric_class().score
    assert torch.equal(score(*(image.to(dtype) for image in triple)), score(*triple))


@every_metric
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_metric_is_the_mean_over_images_of_any_size(metric_class):
    first, second = random_triple(3, 48, 48), random_triple(1, 50, 61)
    metric = metric_class()
    metric.update(*first)
    metric.update(*second)
    values = torch.cat([metric.score(*first), metric.score(*second)])
    torch.testing.assert_close(metric.compute(), values.mean())
    metric.reset()
    with pytest.raises(FusionLabError, match="no image"):
        metric.compute()


@every_metric
def test_states_of_two_processes_add_up(metric_class):
    first, second, whole = metric_class(), metric_class(), metric_class()
    triple = random_triple(3, 48, 48)
    whole.update(*triple)
    first.update(*(image[:1] for image in triple))
    second.update(*(image[1:] for image in triple))
    first.merge_state(second)
    torch.testing.assert_close(first.compute(), whole.compute())
    assert first.sum.dtype == torch.float64


@every_metric
def test_metric_says_what_the_tables_need(metric_class):
    assert metric_class.label
    assert isinstance(metric_class.higher_is_better, bool)


def test_scores_by_label():
    triple = random_triple(1, 48, 48)
    metrics = [metric_class() for metric_class in METRICS]
    found = scores(*triple, metrics)
    assert list(found) == ["EN", "MI", "SD", "SF", "AG", "CC", "SCD", "Qabf", "VIF"]
    for metric in metrics:
        assert found[metric.label] == metric(*triple).item()


def test_quantise():
    image = torch.tensor([-0.1, 0.0, 0.4 / 255, 0.5 / 255, 1.5 / 255, 1.0, 1.2], dtype=torch.float64)
    assert quantise(image).tolist() == [0, 0, 0, 1, 2, 255, 255]
    every_level = torch.arange(256) / 255
    assert torch.equal(quantise(every_level), torch.arange(256.0))
    assert quantise(torch.ones(1, dtype=torch.bfloat16)).item() == 255


@pytest.mark.parametrize("metric_class", [SpatialFrequency, AverageGradient])
def test_unknown_norm_is_refused(metric_class):
    with pytest.raises(FusionLabError, match="`norm` should be"):
        metric_class(norm="sum")


def test_entropy_of_known_distributions():
    every_level = torch.arange(256.0).view(1, 1, 16, 16)
    assert entropy(every_level).item() == pytest.approx(8)
    assert entropy(255.0 * (every_level > 127)).item() == pytest.approx(1)


def test_mutual_information_of_copies_and_of_independent_images():
    fused = random_triple(1, 32, 32)[0]
    assert fusion_mutual_information(fused, fused, fused).item() == pytest.approx(2 * entropy(fused).item())
    nats = fusion_mutual_information(fused, fused, fused, base=math.e).item()
    assert nats == pytest.approx(2 * math.log(2) * entropy(fused).item())
    rows = torch.arange(16.0).view(1, 1, 16, 1).expand(1, 1, 16, 16)
    assert fusion_mutual_information(rows, rows.mT, rows.mT).item() == pytest.approx(0, abs=1e-12)


def test_statistics_of_a_checkerboard_and_a_ramp():
    board = 255.0 * (torch.arange(8)[:, None] + torch.arange(8)).remainder(2)[None, None]
    assert standard_deviation(board).item() == pytest.approx(127.5)
    assert spatial_frequency(board).item() == pytest.approx(255 * math.sqrt(2))
    assert spatial_frequency(board, norm="n").item() == pytest.approx(255 * math.sqrt(2 * 7 / 8))
    ramp = (3 * torch.arange(10.0)).expand(1, 1, 6, 10)
    assert average_gradient(ramp, norm="n").item() == pytest.approx(3 / math.sqrt(2))
    assert average_gradient(ramp).item() == pytest.approx(3 / math.sqrt(2) * 60 / 45)


def test_correlation_of_copies_negatives_and_sums():
    source_a, source_b = scene()
    assert correlation_coefficient(source_a, source_a, source_a).item() == pytest.approx(1)
    assert correlation_coefficient(255 - source_a, source_a, source_a).item() == pytest.approx(-1)
    assert sum_correlation_differences(source_a + source_b, source_a, source_b).item() == pytest.approx(2)
    assert sum_correlation_differences(source_a, source_a, source_a).item() == 0
    dark = torch.zeros_like(source_a)
    assert sum_correlation_differences(dark, source_a, source_a).item() == pytest.approx(-2)
    assert sum_correlation_differences(dark, source_a, source_a, saturate=True).item() == 0


def test_edge_preservation_of_copies_and_losses():
    source_a, source_b = scene()
    kept = edge_preservation(source_a, source_a, source_a).item()
    # All edges are kept, so that only the two sigmoids' values at 1 and at the strength itself remain.
    assert 0.9 < kept <= 0.9994 * 0.9879
    assert edge_preservation(torch.zeros_like(source_a), source_a, source_b).item() < 0.01
    black = torch.zeros_like(source_a)
    assert edge_preservation(source_a, black, black).item() == 0


def test_visual_information_of_copies_and_losses():
    source_a, source_b = scene()
    assert visual_information_fidelity_sum(source_a, source_a, source_a).item() == pytest.approx(2, rel=1e-6)
    assert visual_information_fidelity_sum(torch.zeros_like(source_a), source_a, source_b).item() == 0
    stronger = 2 * source_a
    assert visual_information_fidelity_sum(stronger, source_a, source_a).item() > 2


def test_metrics_equal_independent_programs():
    fused, source_a, source_b = random_triple(1, 67, 53)
    image = fused[0, 0].numpy()
    assert entropy(fused).item() == pytest.approx(shannon_entropy(image))
    assert standard_deviation(fused).item() == pytest.approx(image.std())
    gradient = np.hypot(*np.gradient(image))
    assert average_gradient(fused, norm="n").item() == pytest.approx(gradient.mean() / math.sqrt(2))
    correlations = np.corrcoef([plane.flatten().numpy() for plane in (fused, source_a, source_b)])
    found = correlation_coefficient(fused, source_a, source_b).item()
    assert found == pytest.approx(correlations[0, 1:].mean())
    expected = sum(visual_information_fidelity(fused, source) for source in (source_a, source_b))
    assert visual_information_fidelity_sum(fused, source_a, source_b).item() == pytest.approx(expected.item())
