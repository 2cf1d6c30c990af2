"""What every metric keeps to, whatever it measures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics import (
    AverageGradient,
    CorrelationCoefficient,
    CrossEntropy,
    EdgeIntensity,
    EdgePreservation,
    Entropy,
    FeatureMutualInformation,
    FusionArtifacts,
    FusionMutualInformation,
    MeanSquaredError,
    NormalizedMutualInformation,
    PeakSignalNoiseRatio,
    Qncie,
    SpatialFrequency,
    StandardDeviation,
    SumCorrelationDifferences,
    TsallisEntropy,
    VIFBRootMeanSquaredError,
    VisualInformationFidelitySum,
    quantise,
    scores,
)
from tests.metrics.images import random_triple

MINIMUM_SIDE = {
    Entropy: 1,
    FusionMutualInformation: 1,
    NormalizedMutualInformation: 1,
    Qncie: 1,
    CrossEntropy: 1,
    TsallisEntropy: 1,
    StandardDeviation: 1,
    SpatialFrequency: 2,
    AverageGradient: 2,
    EdgeIntensity: 1,
    CorrelationCoefficient: 1,
    SumCorrelationDifferences: 1,
    MeanSquaredError: 1,
    VIFBRootMeanSquaredError: 1,
    PeakSignalNoiseRatio: 1,
    EdgePreservation: 1,
    FusionArtifacts: 2,
    FeatureMutualInformation: 3,
    VisualInformationFidelitySum: 41,
}
METRICS = list(MINIMUM_SIDE)
# The zeros beyond the border make edges; these compare the levels themselves.
NOT_ZERO_OF_CONSTANTS = {EdgePreservation, MeanSquaredError, VIFBRootMeanSquaredError, PeakSignalNoiseRatio}
OF_CONSTANTS = {Qncie: 1 - math.log2(3) / 8, FeatureMutualInformation: 1}

every_metric = pytest.mark.parametrize("metric_class", METRICS, ids=lambda metric_class: metric_class.label)
examples = settings(max_examples=8, deadline=None)


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
    values = metric_class().score(*images)
    if metric_class is PeakSignalNoiseRatio:  # Infinite where nothing differs.
        same = ((images[0] == images[1]) & (images[0] == images[2])).all()
        assert values.isposinf().all() if same else values.isfinite().all()
    else:
        assert values.isfinite().all()


@every_metric
@pytest.mark.parametrize("constants", [(0, 0, 0), (255, 255, 255), (7, 200, 13), (255, 0, 255)])
@pytest.mark.parametrize("size", [(64, 64), (41, 57), (97, 83)])
def test_constant_images_have_a_defined_value(metric_class, constants, size):
    images = [torch.full((2, 1, *size), float(constant)) for constant in constants]
    values = metric_class().score(*images)
    assert not values.isnan().any()
    if metric_class not in NOT_ZERO_OF_CONSTANTS:
        torch.testing.assert_close(values.double(), torch.full_like(values, OF_CONSTANTS.get(metric_class, 0)).double())


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
        (lambda image: image[:0], "shape"),
        (lambda image: image.expand(-1, 2, -1, -1), "shape"),
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
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_whole_numbers_are_computed_in_double_precision(metric_class, dtype):
    triple = random_triple(1, 48, 48)
    score = metric_class().score
    assert torch.equal(score(*(image.to(dtype) for image in triple)), score(*triple))


@every_metric
def test_single_precision_is_close_to_double(metric_class):
    fused, source_a, source_b = random_triple(2, 48, 49)
    triple = (torch.floor((fused + source_a) / 2), source_a, source_b)
    score = metric_class().score
    single = score(*(image.float() for image in triple))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), score(*triple), rtol=3e-6, atol=3e-6)
    # All levels are exact in half precision, and arithmetic in it would be too coarse.
    assert torch.equal(score(*(image.to(torch.bfloat16) for image in triple)), single)


@every_metric
def test_of_colour_images_each_channel_is_scored(metric_class):
    triple = random_triple(2, 48, 47, channels=3)
    metric = metric_class()
    channels = torch.stack([metric.score(*(image[:, i : i + 1] for image in triple)) for i in range(3)])
    torch.testing.assert_close(metric.score(*triple), channels.mean(0))
    fused, source_a, grey = triple[0], triple[1], triple[2][:, :1]
    torch.testing.assert_close(
        metric.score(fused, source_a, grey), metric.score(fused, source_a, grey.expand(-1, 3, -1, -1))
    )
    metric.update(fused, source_a, grey)
    assert metric.count == 2


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


@pytest.mark.parametrize(
    ("metric_class", "option"),
    [
        (SpatialFrequency, "norm"),
        (AverageGradient, "norm"),
        (FusionMutualInformation, "variant"),
        (PeakSignalNoiseRatio, "variant"),
        (FeatureMutualInformation, "feature"),
    ],
)
def test_an_unknown_choice_is_refused(metric_class, option):
    with pytest.raises(FusionLabError, match=f'`{option}` should be ".*" or .* Found `{option} = "sum"`'):
        metric_class(**{option: "sum"})


def test_scores_by_label():
    triple = random_triple(1, 48, 48)
    metrics = [Entropy(), FusionMutualInformation(), EdgePreservation()]
    found = scores(*triple, metrics)
    assert list(found) == ["EN", "MI", "Qabf"]
    for metric in metrics:
        assert found[metric.label] == metric(*triple).item()


def test_quantise():
    image = torch.tensor([-0.1, 0.0, 0.4 / 255, 0.5 / 255, 1.5 / 255, 1.0, 1.2], dtype=torch.float64)
    assert quantise(image).tolist() == [0, 0, 0, 1, 2, 255, 255]
    every_level = torch.arange(256) / 255
    assert torch.equal(quantise(every_level), torch.arange(256.0))
    assert quantise(torch.ones(1, dtype=torch.bfloat16)).item() == 255
