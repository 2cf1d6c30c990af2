"""FMI against its formulas written out window by window, and the features it looks at."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.fft import dctn

from fusion_lab.metrics import feature_mutual_information
from fusion_lab.metrics.feature_information import window_information
from fusion_lab.metrics.features import cosine_transform, edges, horizontal_gradient
from tests.metrics.images import random_triple

FEATURES = ["edge", "gradient", "dct", "pixel"]


def information_by_the_formulas(source: np.ndarray, fused: np.ndarray) -> float:
    """One pair of windows, with the bounds of the joint distribution function (Fréchet and Hoeffding) as such."""
    if (source == fused).all():
        return 1.0
    p, q = (
        np.full(9, 1 / 9) if np.ptp(window) == 0 else (window - window.min()) / (window - window.min()).sum()
        for window in (source, fused)
    )
    flat = [np.ptp(source) == 0, np.ptp(fused) == 0]
    correlation = float(all(flat)) if any(flat) else np.corrcoef(p, q)[0, 1]
    place = np.arange(1, 10)
    spread_p, spread_q = (math.sqrt(max(d @ place**2 - (d @ place) ** 2, 0)) for d in (p, q))
    bound, product = np.zeros((10, 10)), np.outer(q.cumsum(), p.cumsum())
    for i in range(9):
        for j in range(9):
            end_q, end_p = q.cumsum()[i], p.cumsum()[j]
            bound[i + 1, j + 1] = min(end_q, end_p) if correlation >= 0 else max(end_q + end_p - 1, 0)
    density = np.diff(np.diff(bound, axis=0), axis=1)
    share = 0.0
    if correlation != 0 and spread_p > 1e-9 and spread_q > 1e-9:
        share = correlation / ((bound[1:, 1:] - product).sum() / (spread_p * spread_q))
    joint = share * density + (1 - share) * np.outer(q, p)

    def entropy(distribution):
        filled = distribution[np.abs(distribution) > 1e-15]
        return -(filled * np.log2(np.abs(filled))).sum()

    separate = entropy(p) + entropy(q)
    return 2 * (separate - entropy(joint)) / separate if separate > 1e-12 else 0.0


def sparse_triple() -> tuple[torch.Tensor, ...]:
    """Noise of few bright pixels, which has more edges than that of all levels."""
    return tuple(torch.floor((image / 255) ** 16 * 255) for image in random_triple(1, 11, 13))


@settings(max_examples=150, deadline=None)
@given(windows=arrays(np.uint8, (2, 9), elements=st.sampled_from([0, 0, 0, 1, 1, 1, 7, 200])))
def test_windows_equal_the_formulas(windows):
    source, fused = windows.astype(np.float64)
    found = window_information(torch.from_numpy(source)[None], torch.from_numpy(fused)[None]).item()
    assert found == pytest.approx(information_by_the_formulas(source, fused), abs=1e-9)


@pytest.mark.parametrize("feature", FEATURES)
def test_images_equal_the_mean_over_windows(feature):
    fused, source_a, source_b = sparse_triple()
    extract = {"edge": edges, "gradient": horizontal_gradient, "dct": cosine_transform, "pixel": lambda x: x}[feature]
    map_f, map_a, map_b = (extract(image[0])[0].numpy() for image in (fused, source_a, source_b))
    assert min(np.count_nonzero(feature_map) for feature_map in (map_f, map_a, map_b)) > 4
    values = []
    for row in range(9):
        for column in range(11):
            window = np.s_[row : row + 3, column : column + 3]
            of_fused = map_f[window].T.ravel()
            values += [information_by_the_formulas(source[window].T.ravel(), of_fused) for source in (map_a, map_b)]
    found = feature_mutual_information(fused, source_a, source_b, feature).item()
    assert found == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("feature", FEATURES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999))
def test_a_copy_of_both_sources_tells_everything(feature, seed):
    image, other, _ = random_triple(1, 8, 11, seed)
    assert feature_mutual_information(image, image, image, feature).item() == pytest.approx(1)
    assert 0 <= feature_mutual_information(other, image, image, feature).item() <= 1


@pytest.mark.parametrize("feature", FEATURES)
def test_another_image_tells_less(feature):
    assert feature_mutual_information(*sparse_triple(), feature).item() < 0.95


def test_edges_of_a_step_are_one_pixel_wide():
    step = torch.zeros(1, 8, 10)
    step[..., 5:] = 100
    expected = torch.zeros(1, 8, 10)
    # Both columns beside the step are equally steep; the one on the right of an equal pair is kept.
    expected[..., 5] = 1
    assert torch.equal(edges(step), expected)
    assert torch.equal(edges(step.mT), expected.mT)


def test_edges_do_not_depend_on_the_scale():
    image = random_triple(1, 30, 40)[0][0]
    assert torch.equal(edges(image), edges(image / 256))
    assert 0 < edges(image).mean() < 0.3


def test_cosine_transform_equals_that_of_scipy():
    images = random_triple(2, 12, 15)[0][:, 0]
    expected = dctn(images.numpy(), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(cosine_transform(images).numpy(), expected, atol=1e-10)
    constant = cosine_transform(torch.full((1, 12, 15), 100.0))
    assert constant.count_nonzero() == 1
    assert constant[0, 0, 0].item() == pytest.approx(100 * math.sqrt(180))


def test_chunks_make_no_difference(monkeypatch):
    triple = random_triple(2, 20, 21)
    whole = [feature_mutual_information(*triple, feature) for feature in ("edge", "pixel")]
    monkeypatch.setattr("fusion_lab.metrics.feature_information.CHUNK", 37)
    pieces = [feature_mutual_information(*triple, feature) for feature in ("edge", "pixel")]
    torch.testing.assert_close(pieces, whole)
